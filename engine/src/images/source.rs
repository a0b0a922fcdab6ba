//! Gives layers of the store to those who write and send images.

use std::fs::File;

use image::transfer::{KnownBlob, LayerSource};
use image::{Compression, Repository, StoreError};
use layer::{DiffId, Digest};

use super::sink::{kept, remember_blob};
use crate::engine::Engine;

/// The layers of an engine's store.
#[derive(Debug, Clone)]
pub(crate) struct StoreSource {
    engine: Engine,
    /// Whether a blob made now counts for more than one that is known, which may be in a registry.
    renews: bool,
}

impl StoreSource {
    /// For one who sends blobs: what is made now is what a registry has soon.
    pub(super) fn for_registry(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            renews: true,
        }
    }

    /// For one who writes archives: what registries have stays known.
    pub(crate) fn for_archive(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            renews: false,
        }
    }
}

impl LayerSource for StoreSource {
    fn open(&self, layer: &DiffId) -> Result<(File, u64), StoreError> {
        let stored = self.engine.store().layers().get(layer)?;
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
            let stored = self.engine.store().layers().get(layer)?;
            return Ok(stored.map(|stored| KnownBlob {
                digest: *layer.digest(),
                size: stored.tar_size,
                compression,
            }));
        }
        let known = self
            .engine
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
        if self.renews || self.known_blob(layer, blob.compression)?.is_none() {
            remember_blob(&self.engine, layer, blob)?;
        }
        Ok(())
    }

    fn repositories(&self, blob: &Digest) -> Result<Vec<Repository>, StoreError> {
        let names = self.engine.store().transfers().locations(blob)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn remember_repository(
        &self,
        blob: &Digest,
        repository: &Repository,
    ) -> Result<(), StoreError> {
        let transfers = self.engine.store().transfers();
        Ok(transfers.remember_location(blob, &repository.to_string())?)
    }
}
