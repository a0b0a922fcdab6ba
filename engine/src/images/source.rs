//! Gives layers of the store to those who write and send images.

use std::fs::File;

use image::transfer::{KnownBlob, LayerSource};
use image::{Compression, Repository, StoreError};
use layer::{DiffId, Digest};

use super::sink::{kept, remember_blob};
use crate::engine::Engine;

/// The layers of an engine's store.
#[derive(Debug, Clone)]
pub(crate) struct StoreSource(pub(crate) Engine);

impl LayerSource for StoreSource {
    fn open(&self, layer: &DiffId) -> Result<(File, u64), StoreError> {
        let stored = self.0.store().layers().get(layer)?;
        let stored = stored.ok_or_else(|| cache::Error::NoLayer {
            diff_id: layer.to_string(),
        })?;
        Ok((File::open(stored.tar())?, stored.tar_size))
    }

    fn known_blob(
        &self,
        layer: &DiffId,
        compression: Compression,
    ) -> Result<Option<KnownBlob>, StoreError> {
        if compression == Compression::None {
            let stored = self.0.store().layers().get(layer)?;
            return Ok(stored.map(|stored| KnownBlob {
                digest: *layer.digest(),
                size: stored.tar_size,
                compression,
            }));
        }
        let known = self
            .0
            .store()
            .transfers()
            .by_layer(layer, kept(compression))?;
        Ok(known.map(|known| KnownBlob {
            digest: known.blob,
            size: known.size,
            compression,
        }))
    }

    fn remember_blob(&self, layer: &DiffId, blob: &KnownBlob) -> Result<(), StoreError> {
        Ok(remember_blob(&self.0, layer, blob)?)
    }

    fn repositories(&self, blob: &Digest) -> Result<Vec<Repository>, StoreError> {
        let names = self.0.store().transfers().locations(blob)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn remember_repository(
        &self,
        blob: &Digest,
        repository: &Repository,
    ) -> Result<(), StoreError> {
        let transfers = self.0.store().transfers();
        Ok(transfers.remember_location(blob, &repository.to_string())?)
    }
}
