//! Takes the layers of images into the store.
//!
//! A tar may leave out directories that it has something in: these are as the layers below have them, which are not
//! known while layers come in side by side. Such a layer is held back until all are there, and its index is then made
//! for the layers below it.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use image::transfer::{self, KnownBlob, LayerFiles, LayerSink, ReceivedLayer};
use image::{MediaTypes, Repository, StoreError};
use layer::{ContentDigest, DiffId, Digest, Index, LayerTree, View};

use crate::engine::{Engine, create_files};
use crate::error::ImageError;

/// Takes layers; after the last one, [`StoreSink::settle`] is called for each image.
#[derive(Debug)]
pub(super) struct StoreSink {
    engine: Engine,
    held: Arc<Mutex<HashMap<DiffId, Held>>>,
    kept: Kept,
}

/// Layers that no record leads to yet.
type Kept = Arc<Mutex<Vec<cache::Layer>>>;

/// A layer that waits for those below it.
#[derive(Debug)]
struct Held {
    draft: cache::LayerDraft,
    content: ContentDigest,
    origin: Option<Blob>,
}

/// The blob that a layer came in.
#[derive(Debug)]
struct Blob {
    known: KnownBlob,
    repository: Option<Repository>,
}

/// The beginning of a blob.
struct Partial(cache::Partial);

/// A layer that is being written.
struct Draft {
    engine: Engine,
    held: Arc<Mutex<HashMap<DiffId, Held>>>,
    kept: Kept,
    files: cache::LayerDraft,
}

impl StoreSink {
    pub(super) fn new(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            held: Arc::default(),
            kept: Arc::default(),
        }
    }

    /// The layers that it took or found, which stay in the store as long as they are held.
    pub(super) fn take_kept(&self) -> Vec<cache::Layer> {
        std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts what was held back of an image into the store. `layers` are those of the image, lowest first, and all
    /// others among them are in the store. Blocks.
    pub(super) fn settle(&self, layers: &[DiffId]) -> Result<(), ImageError> {
        let mut lower: Vec<Arc<dyn LayerTree>> = Vec::with_capacity(layers.len());
        let any = !self
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty();
        for layer in layers.iter().filter(|_| any) {
            let held = self
                .held
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(layer);
            if let Some(held) = held {
                let content = described(&held, &lower)?;
                let origin = held.origin.as_ref();
                keep(
                    &self.kept,
                    put(&self.engine, held.draft, layer, &content, origin)?,
                );
            }
            // What is missing is noticed by the one who opens the image's layers.
            if let Some(sealed) = self.engine.sealed_layer(layer).map_err(Arc::new)? {
                lower.push(sealed.index);
            }
        }
        Ok(())
    }
}

/// Has the index describe implied directories as the layers below do; the digest of the content that it then has.
fn described(held: &Held, lower: &[Arc<dyn LayerTree>]) -> Result<ContentDigest, ImageError> {
    let place = held.draft.index();
    let better = place.with_extension("new");
    let failed = |action| {
        let path = better.clone();
        move |source| ImageError::Io {
            action,
            path,
            source,
        }
    };
    let index = Index::open(&place, &held.draft.tar())?;
    let out = std::fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&better)
        .map_err(failed("create"))?;
    let lower = View::new(lower.to_vec());
    if let Some(content) = layer::reindex(&index, &lower, &out)? {
        std::fs::rename(&better, &place).map_err(failed("rename"))?;
        return Ok(content);
    }
    std::fs::remove_file(&better).map_err(failed("remove"))?;
    Ok(held.content)
}

fn keep(kept: &Kept, layer: cache::Layer) {
    kept.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(layer);
}

/// Puts a layer into the store and remembers where it came from.
fn put(
    engine: &Engine,
    draft: cache::LayerDraft,
    layer: &DiffId,
    content: &ContentDigest,
    origin: Option<&Blob>,
) -> Result<cache::Layer, cache::Error> {
    let stored = draft.commit(layer, content)?;
    let Some(Blob { known, repository }) = origin else {
        return Ok(stored);
    };
    remember_blob(engine, layer, known)?;
    if let Some(repository) = repository {
        let transfers = engine.store().transfers();
        transfers.remember_location(&known.digest, &repository.to_string())?;
    }
    Ok(stored)
}

/// Remembers that a blob holds a layer.
pub(super) fn remember_blob(
    engine: &Engine,
    layer: &DiffId,
    blob: &KnownBlob,
) -> Result<(), cache::Error> {
    engine.store().transfers().remember(&cache::Transfer {
        layer: *layer,
        compression: kept(blob.compression),
        blob: blob.digest,
        size: blob.size,
        media_type: MediaTypes::Oci.layer(blob.compression),
    })
}

/// A compression as the store calls it.
pub(super) fn kept(compression: image::Compression) -> cache::Compression {
    match compression {
        image::Compression::None => cache::Compression::None,
        image::Compression::Gzip => cache::Compression::Gzip,
        image::Compression::Zstd => cache::Compression::Zstd,
    }
}

impl LayerSink for StoreSink {
    fn contains(&self, layer: &DiffId) -> Result<bool, StoreError> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.engine.store().layers().get(layer)?;
        let contains = held.contains_key(layer) || stored.is_some();
        if let Some(stored) = stored {
            keep(&self.kept, stored);
        }
        Ok(contains)
    }

    fn partial(
        &self,
        blob: &Digest,
        size: u64,
    ) -> Result<Option<Box<dyn transfer::PartialBlob>>, StoreError> {
        let partial = self.engine.store().partials().open(blob, size)?;
        Ok(partial.map(|partial| Box::new(Partial(partial)) as _))
    }

    fn begin(&self) -> Result<Box<dyn transfer::LayerDraft>, StoreError> {
        Ok(Box::new(Draft {
            engine: self.engine.clone(),
            held: Arc::clone(&self.held),
            kept: Arc::clone(&self.kept),
            files: self.engine.store().layers().begin()?,
        }))
    }
}

impl transfer::PartialBlob for Partial {
    fn file(&self) -> Arc<File> {
        self.0.file()
    }

    fn discard(self: Box<Self>) {
        // What stays is removed when it is old.
        self.0.discard().ok();
    }
}

impl transfer::LayerDraft for Draft {
    fn files(&self) -> Result<LayerFiles, StoreError> {
        let (tar, index) = create_files(&self.files)?;
        Ok(LayerFiles { tar, index })
    }

    fn commit(self: Box<Self>, layer: &ReceivedLayer) -> Result<(), StoreError> {
        let summary = &layer.summary;
        let repository = layer.repository.clone();
        let origin = layer.blob.clone().map(|known| Blob { known, repository });
        if summary.implied_dirs.is_empty() {
            let (name, content) = (&summary.diff_id, &summary.content);
            let stored = put(&self.engine, self.files, name, content, origin.as_ref())?;
            keep(&self.kept, stored);
            return Ok(());
        }
        let held = Held {
            draft: self.files,
            content: summary.content,
            origin,
        };
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(summary.diff_id, held);
        Ok(())
    }
}
