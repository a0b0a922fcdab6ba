//! Names of content: SHA-256 where OCI asks for it, BLAKE3 where only rbuild looks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

const SHA256_PREFIX: &str = "sha256:";

/// The SHA-256 of a blob, written `sha256:<64 lowercase hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// The name of a layer: the SHA-256 of its uncompressed tar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiffId(Digest);

/// The name of a stack of layers, by the rule of the OCI image specification ("Layer `ChainID`").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(Digest);

/// The BLAKE3 of a file's bytes, or the Merkle digest of a directory or a whole layer, written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentDigest([u8; 32]);

/// A text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// The text does not begin with `sha256:`.
    #[error("`{0}` is not a SHA-256 digest")]
    Algorithm(String),
    /// What should be 64 lowercase hexadecimal digits is something else.
    #[error("`{0}` does not have 64 lowercase hexadecimal digits")]
    Digits(String),
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest that a hasher came to.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its 64 lowercase hexadecimal digits, without the algorithm.
    pub fn to_hex(&self) -> String {
        to_hex(&self.0)
    }
}

impl DiffId {
    /// The layer whose tar has this digest.
    pub const fn new(digest: Digest) -> Self {
        Self(digest)
    }

    /// The digest of the tar.
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

impl ChainId {
    /// The stack of only this layer.
    pub const fn first(layer: DiffId) -> Self {
        Self(layer.0)
    }

    /// This stack with one more layer on top.
    #[must_use]
    pub fn push(&self, layer: DiffId) -> Self {
        Self(Digest::of(format!("{self} {layer}").as_bytes()))
    }

    /// The stack of these layers, lowest first; `None` for no layers.
    pub fn of(layers: &[DiffId]) -> Option<Self> {
        let (first, rest) = layers.split_first()?;
        let first = Self::first(*first);
        Some(rest.iter().fold(first, |chain, layer| chain.push(*layer)))
    }

    /// The digest that names the stack.
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

impl ContentDigest {
    /// The digest of a file with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The digest that a hasher came to.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<blake3::Hash> for ContentDigest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHA256_PREFIX)?;
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text
            .strip_prefix(SHA256_PREFIX)
            .ok_or_else(|| DigestError::Algorithm(excerpt(text)))?;
        from_hex(digits)
            .map(Self)
            .ok_or_else(|| DigestError::Digits(excerpt(text)))
    }
}

impl FromStr for ContentDigest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        from_hex(text)
            .map(Self)
            .ok_or_else(|| DigestError::Digits(excerpt(text)))
    }
}

/// The traits that a digest over [`Digest`] has as that one does.
macro_rules! as_digest {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                text.parse().map(Self)
            }
        }
    )*};
}

as_digest!(DiffId, ChainId);

/// What is written and read as text, in `Debug` too.
macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text!(Digest, DiffId, ChainId, ContentDigest);

fn to_hex(bytes: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(64);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// The beginning of a text from outside, short enough for a message.
fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_reads_what_it_writes() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(Digest::of(b"")));
        let json = serde_json::to_string(&DiffId::new(Digest::of(b""))).unwrap();
        assert_eq!(json, format!("\"{EMPTY}\""));
        assert_eq!(
            serde_json::from_str::<DiffId>(&json).unwrap().digest(),
            &Digest::of(b"")
        );
        let content = ContentDigest::of(b"x");
        assert_eq!(content.to_string().parse(), Ok(content));
    }

    #[test]
    fn what_is_not_a_digest_is_refused() {
        let upper = EMPTY.to_uppercase().replace("SHA256", "sha256");
        let long = format!("{EMPTY}0");
        let texts = [
            "",
            "sha256:",
            "sha512:00",
            "sha256:é",
            &EMPTY[7..],
            &EMPTY[..70],
            &upper,
            &long,
        ];
        for text in texts {
            assert!(text.parse::<Digest>().is_err(), "{text}");
            assert!(text.parse::<ContentDigest>().is_err() || text == &EMPTY[7..]);
        }
    }

    #[test]
    fn chains_follow_the_oci_rule() {
        let (a, b) = (DiffId::new(Digest::of(b"a")), DiffId::new(Digest::of(b"b")));
        assert_eq!(ChainId::of(&[]), None);
        assert_eq!(ChainId::of(&[a]).unwrap().to_string(), a.to_string());
        let expected = Digest::of(format!("{a} {b}").as_bytes());
        assert_eq!(ChainId::of(&[a, b]).unwrap().digest(), &expected);
    }
}
