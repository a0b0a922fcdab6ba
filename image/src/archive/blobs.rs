//! The files that an archive or a layout is to have, gathered before any is written: a tar wants their sizes first.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use layer::{DiffId, Digest};

use super::blob_file;
use crate::compressing::Uncompressed;
use crate::compression::{Compression, Encoding};
use crate::error::Error;
use crate::manifest::Descriptor;
use crate::transfer::{KnownBlob, LayerSource, Observer, Phase, Update};

/// What a file holds.
#[derive(Debug)]
pub(super) enum Body {
    Bytes(Vec<u8>),
    /// The first bytes of a file, so many.
    File(File, u64),
}

/// The files by name, and what is known of the layers among them.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    pub(super) files: BTreeMap<String, Body>,
    layers: BTreeMap<DiffId, KnownBlob>,
}

/// How layers get in.
pub(super) struct LayerWriter<'a> {
    pub(super) encoding: Encoding,
    pub(super) scratch: &'a Path,
    pub(super) source: &'a dyn LayerSource,
    pub(super) observer: &'a dyn Observer,
}

impl Body {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, size) => *size,
        }
    }

    /// Writes all of it. A file that has become shorter is an error.
    pub(super) fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let (file, size) = match self {
            Self::Bytes(bytes) => return out.write_all(bytes),
            Self::File(file, size) => (file, *size),
        };
        let mut file = file;
        file.seek(SeekFrom::Start(0))?;
        let copied = io::copy(&mut io::Read::take(file, size), out)?;
        if copied == size {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

impl Blobs {
    /// Adds a document under its digest.
    pub(super) fn document(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::of(media_type, &bytes);
        let name = blob_file(&descriptor.digest);
        self.files.insert(name, Body::Bytes(bytes));
        descriptor
    }

    /// Adds a layer, unless it is there.
    pub(super) fn layer(
        &mut self,
        layer: DiffId,
        writer: &LayerWriter<'_>,
    ) -> Result<KnownBlob, Error> {
        if let Some(blob) = self.layers.get(&layer) {
            return Ok(blob.clone());
        }
        let (file, blob) = writer.blob(layer)?;
        let name = blob_file(&blob.digest);
        self.files.insert(name, Body::File(file, blob.size));
        self.layers.insert(layer, blob.clone());
        Ok(blob)
    }
}

impl LayerWriter<'_> {
    fn blob(&self, layer: DiffId) -> Result<(File, KnownBlob), Error> {
        let (tar, size) = self.source.open(&layer).map_err(Error::Store)?;
        let compression = self.encoding.compression();
        if compression == Compression::None {
            let digest = *layer.digest();
            self.tell(layer, Phase::Done, digest, size, size);
            let blob = KnownBlob {
                digest,
                size,
                compression,
            };
            return Ok((tar, blob));
        }
        let mut file = tempfile::tempfile_in(self.scratch).map_err(|source| Error::File {
            action: "create a file in",
            path: self.scratch.to_owned(),
            source,
        })?;
        let uncompressed = Uncompressed {
            layer,
            tar,
            size,
            encoding: self.encoding,
        };
        let blob = uncompressed.compress(&mut file, self.observer, &AtomicBool::new(false))?;
        self.source
            .remember_blob(&layer, &blob)
            .map_err(Error::Store)?;
        self.tell(layer, Phase::Done, blob.digest, size, size);
        Ok((file, blob))
    }

    fn tell(&self, layer: DiffId, phase: Phase, blob: Digest, done: u64, total: u64) {
        self.observer.update(&Update {
            layer,
            blob: Some(blob),
            phase,
            done,
            total,
        });
    }
}
