//! What was downloaded from URLs, so that a server can be asked whether there is anything newer.

use std::path::PathBuf;

use layer::{DiffId, Digest};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::record::{self, Record};
use crate::{Bucket, Store, names};

/// The downloads of a store.
#[derive(Debug, Clone, Copy)]
pub struct Downloads<'a> {
    store: &'a Store,
}

/// What came of a URL last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Downloaded {
    /// The digest of the bytes.
    pub digest: Digest,
    /// The layer that was made of them.
    pub layer: DiffId,
    /// The version, as the server named it.
    pub etag: Option<String>,
    /// When it last changed, as the server said.
    pub last_modified: Option<String>,
}

impl Record for Downloaded {
    const KIND: &'static str = "download";
    const VERSION: u32 = 1;
}

impl<'a> Downloads<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Remembers what came, in place of what came before.
    pub fn remember(self, key: &[u8; 32], downloaded: &Downloaded) -> Result<(), Error> {
        self.store.write_record(&self.path(key), downloaded)
    }

    /// What came last, if the store still has it.
    pub fn get(self, key: &[u8; 32]) -> Result<Option<Downloaded>, Error> {
        let found = record::read_used::<Downloaded>(&self.path(key))?;
        Ok(found.filter(|found| self.store.layers().contains(&found.layer)))
    }

    /// Removes the records whose layers are gone.
    pub(crate) fn forget_lost(self) -> Result<(), Error> {
        let layers = self.store.layers();
        let is_there = |found: &Downloaded| layers.contains(&found.layer);
        self.store.forget_records(Bucket::Downloads, is_there)
    }

    fn path(self, key: &[u8; 32]) -> PathBuf {
        self.store.sharded(Bucket::Downloads, &names::hex(key))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn what_has_lost_its_layer_counts_as_absent_and_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let downloaded = Downloaded {
            digest: Digest::of(b"content"),
            layer: DiffId::new(Digest::of(b"layer")),
            etag: Some("\"1\"".to_owned()),
            last_modified: None,
        };
        let downloads = store.downloads();
        downloads.remember(&[7; 32], &downloaded).unwrap();
        assert_eq!(downloads.get(&[7; 32]).unwrap(), None);
        assert!(downloads.path(&[7; 32]).exists());
        downloads.forget_lost().unwrap();
        assert!(!downloads.path(&[7; 32]).exists());
    }
}
