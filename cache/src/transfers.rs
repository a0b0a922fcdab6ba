//! What is known of compressed layers, so that nothing is compressed, downloaded or uploaded twice: which blob a layer
//! was compressed to, which layer a blob holds, and which repositories have a blob.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use layer::{DiffId, Digest};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::record::{self, Record};
use crate::store::entries;
use crate::{Bucket, Store, names};

/// How long what is known of a layer that is gone stays without being asked for.
const AGE_MAX: Duration = Duration::from_hours(90 * 24);

/// The transfer records of a store.
#[derive(Debug, Clone, Copy)]
pub struct Transfers<'a> {
    store: &'a Store,
}

/// How a blob holds a layer's tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// As it is.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// gzip with a table of contents (eStargz).
    Estargz,
}

/// A layer and one blob that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The layer.
    pub layer: DiffId,
    /// How the blob holds it.
    pub compression: Compression,
    /// The blob's digest.
    pub blob: Digest,
    /// The blob's length in bytes.
    pub size: u64,
    /// The media type that the blob goes by.
    pub media_type: String,
}

/// A repository that has a blob.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Location {
    repository: String,
}

impl Record for Transfer {
    const KIND: &'static str = "transfer";
    const VERSION: u32 = 1;
}

impl Record for Location {
    const KIND: &'static str = "location";
    const VERSION: u32 = 1;

    fn file_name(&self) -> Option<String> {
        Some(names::hashed(&self.repository))
    }
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Estargz => "estargz",
        }
    }
}

impl<'a> Transfers<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Remembers that a blob holds a layer. Of several blobs of a layer with the same compression, the last counts.
    pub fn remember(self, transfer: &Transfer) -> Result<(), Error> {
        self.store.write_record(
            &self.by_layer_path(&transfer.layer, transfer.compression),
            transfer,
        )?;
        self.store
            .write_record(&self.by_blob_path(&transfer.blob), transfer)
    }

    /// The blob that holds a layer with this compression.
    pub fn by_layer(
        self,
        layer: &DiffId,
        compression: Compression,
    ) -> Result<Option<Transfer>, Error> {
        record::read_used(&self.by_layer_path(layer, compression))
    }

    /// The layer that a blob holds. It need not be in the store.
    pub fn by_blob(self, blob: &Digest) -> Result<Option<Transfer>, Error> {
        record::read_used(&self.by_blob_path(blob))
    }

    /// Remembers that a repository (`registry/path`) has a blob.
    pub fn remember_location(self, blob: &Digest, repository: &str) -> Result<(), Error> {
        let location = Location {
            repository: repository.to_owned(),
        };
        self.store.write_record(
            &self.location_path(blob).join(names::hashed(repository)),
            &location,
        )
    }

    /// The repositories that have, or had, a blob, sorted.
    pub fn locations(self, blob: &Digest) -> Result<Vec<String>, Error> {
        let mut repositories = Vec::new();
        for path in entries(&self.location_path(blob))? {
            repositories
                .extend(record::read::<Location>(&path)?.map(|location| location.repository));
        }
        repositories.sort_unstable();
        Ok(repositories)
    }

    /// Forgets that a repository has a blob: it turned out not to.
    pub fn forget_location(self, blob: &Digest, repository: &str) -> Result<(), Error> {
        self.store
            .discard(&self.location_path(blob).join(names::hashed(repository)))
    }

    /// Forgets what was not asked for in a long time of layers that are gone, and the places of blobs of which no layer is
    /// known any more.
    pub(crate) fn forget_old(self) -> Result<(), Error> {
        let now = SystemTime::now();
        for bucket in [Bucket::Transfers, Bucket::Origins] {
            for path in shards(self.store, bucket)? {
                let Some(transfer) = record::read::<Transfer>(&path)? else {
                    continue;
                };
                if record::age(&path, now) > AGE_MAX
                    && !self.store.layers().contains(&transfer.layer)
                {
                    self.store.discard(&path)?;
                }
            }
        }
        for path in shards(self.store, Bucket::Locations)? {
            let digits = path.file_name().unwrap_or_default().to_string_lossy();
            let Ok(blob) = format!("sha256:{digits}").parse::<Digest>() else {
                continue;
            };
            let is_layer = self.store.layers().contains(&DiffId::new(blob));
            if !is_layer && !self.by_blob_path(&blob).exists() {
                self.store.discard(&path)?;
            }
        }
        Ok(())
    }

    fn by_layer_path(self, layer: &DiffId, compression: Compression) -> PathBuf {
        let name = format!("{}.{}", names::digits(layer), compression.name());
        self.store.sharded(Bucket::Transfers, &name)
    }

    fn by_blob_path(self, blob: &Digest) -> PathBuf {
        self.store.sharded(Bucket::Origins, &names::digits(blob))
    }

    fn location_path(self, blob: &Digest) -> PathBuf {
        self.store.sharded(Bucket::Locations, &names::digits(blob))
    }
}

/// What is in a bucket of two levels.
fn shards(store: &Store, bucket: Bucket) -> Result<Vec<PathBuf>, Error> {
    let shards = entries(&store.directory(bucket))?;
    let all: Result<Vec<_>, _> = shards.iter().map(|shard| entries(shard)).collect();
    Ok(all?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests;
