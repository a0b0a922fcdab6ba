//! Small blobs by their SHA-256 digest: image configs and manifests.

use std::fs;
use std::path::{Path, PathBuf};

use layer::Digest;

use crate::error::{Error, IoContext as _, optional};
use crate::store::entries;
use crate::{Bucket, Store, names};

/// The blobs of a store.
#[derive(Debug, Clone, Copy)]
pub struct Blobs<'a> {
    store: &'a Store,
}

impl<'a> Blobs<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Keeps `bytes` under `digest`, once it is sure that it is theirs. [`Store::make_durable`] counts them in.
    pub fn put(self, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        check(digest, bytes)?;
        let path = self.path(digest);
        if !holds(&path, bytes) {
            self.store.write(&path, bytes)?;
        }
        self.store.note_needed(&path);
        Ok(())
    }

    /// Whether there are bytes under a digest: one system call, which notices no damage.
    pub fn contains(self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    /// Whether these bytes are there under their digest and outlast a power failure, if that is wanted.
    pub fn is_durable(self, digest: &Digest, bytes: &[u8]) -> bool {
        let path = self.path(digest);
        self.store.outlasts(&path) && holds(&path, bytes)
    }

    /// All names, with the file of each.
    pub(crate) fn names(self) -> Result<Vec<(Digest, PathBuf)>, Error> {
        let mut names = Vec::new();
        for path in entries(&self.store.directory(Bucket::Blobs).join("sha256"))? {
            let digits = path.file_name().unwrap_or_default().to_string_lossy();
            if let Ok(digest) = format!("sha256:{digits}").parse() {
                names.push((digest, path));
            }
        }
        Ok(names)
    }

    /// The bytes under a digest, if there are any. Damaged ones are removed and absent.
    pub fn get(self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(digest);
        let Some(bytes) = optional(fs::read(&path)).at("read", &path)? else {
            return Ok(None);
        };
        if check(digest, &bytes).is_err() {
            self.store.discard(&path)?;
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    /// Removes the blob of this digest, if there is one.
    pub fn remove(self, digest: &Digest) -> Result<(), Error> {
        self.store.discard(&self.path(digest))
    }

    fn path(self, digest: &Digest) -> PathBuf {
        let directory = self.store.directory(Bucket::Blobs).join("sha256");
        directory.join(names::digits(digest))
    }
}

/// Whether a file is there and has these bytes.
fn holds(path: &Path, bytes: &[u8]) -> bool {
    fs::read(path).is_ok_and(|found| found == bytes)
}

/// Whether bytes have a digest.
fn check(digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
    if Digest::of(bytes) == *digest {
        Ok(())
    } else {
        Err(Error::DamagedBlob {
            digest: digest.to_string(),
        })
    }
}
