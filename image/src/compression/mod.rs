//! Compression of layers and archives.
//!
//! Reading looks at the first bytes, not at names or media types, since those are sometimes wrong. Writing cuts the
//! tar into parts that all cores compress on their own; the parts one after another are a valid gzip or Zstandard
//! stream, and the same bytes on every machine.

mod read;
mod write;

use std::fmt;
use std::str::FromStr;

pub use read::{Format, decoder};
pub use write::{Compressed, compress};
pub(crate) use write::{cores, workers};

use crate::error::Error;

/// How a blob holds a layer's tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// As it is.
    None,
    /// gzip.
    #[default]
    Gzip,
    /// Zstandard.
    Zstd,
}

/// A compression with its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Encoding {
    compression: Compression,
    level: i32,
}

impl Compression {
    /// The highest level, if it has any.
    fn highest(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Gzip => 12,
            Self::Zstd => 22,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// A text that names no compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a compression is `gzip`, `zstd` or `uncompressed`")]
pub struct UnknownCompression;

/// By the names that BuildKit has for them.
impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            "uncompressed" => Ok(Self::None),
            _ => Err(UnknownCompression),
        }
    }
}

impl Encoding {
    /// A compression with a level from 0 (gzip: stored; zstd: its own choice) to 12 (gzip) or 22 (zstd). Without one,
    /// gzip's is 6 and zstd's 3.
    pub fn new(compression: Compression, level: Option<i32>) -> Result<Self, Error> {
        let default = match compression {
            Compression::None => 0,
            Compression::Gzip => 6,
            Compression::Zstd => 3,
        };
        let highest = compression.highest();
        let level = level.unwrap_or(default);
        if !(0..=highest).contains(&level) {
            return Err(Error::CompressionLevel {
                compression,
                level,
                highest,
            });
        }
        Ok(Self { compression, level })
    }

    /// Which compression.
    pub fn compression(self) -> Compression {
        self.compression
    }

    /// Its level.
    pub fn level(self) -> i32 {
        self.level
    }
}

impl From<Compression> for Encoding {
    fn from(compression: Compression) -> Self {
        Self::new(compression, None).expect("each compression has its default level")
    }
}

#[cfg(test)]
mod tests;
