//! One layer, from its tar to a compressed blob.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use layer::DiffId;

use crate::compression::{Encoding, compress, workers};
use crate::error::Error;
use crate::transfer::{KnownBlob, Observer, Phase, Update};

/// A layer that is to be compressed.
#[derive(Debug)]
pub(crate) struct Uncompressed {
    pub(crate) layer: DiffId,
    pub(crate) tar: File,
    pub(crate) size: u64,
    pub(crate) encoding: Encoding,
}

impl Uncompressed {
    /// How many cores it keeps busy.
    pub(crate) fn cores(&self) -> usize {
        workers(self.encoding, self.size)
    }

    /// Compresses it, unless `stopped` is set before the end.
    pub(crate) fn compress(
        &self,
        out: &mut dyn Write,
        observer: &dyn Observer,
        stopped: &AtomicBool,
    ) -> Result<KnownBlob, Error> {
        let mut progress = |done| {
            observer.update(&Update {
                layer: self.layer,
                blob: None,
                phase: Phase::Compressing,
                done,
                total: self.size,
            });
            !stopped.load(Ordering::Relaxed)
        };
        progress(0);
        let result = compress(self.encoding, &self.tar, self.size, out, &mut progress)?;
        Ok(KnownBlob {
            digest: result.digest,
            size: result.size,
            compression: self.encoding.compression(),
        })
    }
}
