//! The form that a build's result has in the store.

use image::manifest::Descriptor;
use image::{MediaTypes, index_of};
use layer::{DiffId, Digest};

use crate::build::{Finished, FinishedImage};
use crate::engine::Engine;
use crate::error::ImageError;
use crate::images::{Documents, Recorded};

/// The documents of a result, where layers are not compressed.
pub(super) struct Stored {
    /// The digest of the image's config, or of the index.
    pub(super) id: Digest,
    /// The bytes of that.
    bytes: Vec<u8>,
    /// The pointer to the manifest or index.
    pub(super) pointer: Descriptor,
    /// The manifest of an image.
    manifest: Option<Vec<u8>>,
    /// Manifests and configs of an index.
    parts: Vec<(Digest, Vec<u8>)>,
    /// All layers.
    layers: Vec<DiffId>,
}

impl Stored {
    pub(super) fn new(engine: &Engine, finished: &Finished) -> Result<Self, ImageError> {
        let manifest = |image: &FinishedImage| {
            engine.local_manifest("the build", &image.bytes, &diff_ids(image))
        };
        let images = match finished {
            Finished::Image(image) => {
                let (bytes, pointer) = manifest(image)?;
                return Ok(Self {
                    id: image.id,
                    bytes: image.bytes.clone(),
                    pointer,
                    manifest: Some(bytes),
                    parts: Vec::new(),
                    layers: diff_ids(image),
                });
            }
            Finished::Index(images) => images,
        };
        let (mut parts, mut entries) = (Vec::new(), Vec::new());
        let mut layers: Vec<DiffId> = Vec::new();
        for image in images {
            let (bytes, pointer) = manifest(image)?;
            parts.push((pointer.digest, bytes));
            parts.push((image.id, image.bytes.clone()));
            entries.push((image.platform.clone(), pointer));
            for layer in diff_ids(image) {
                if !layers.contains(&layer) {
                    layers.push(layer);
                }
            }
        }
        // Two platforms can come to the same image.
        parts.sort_by_key(|(digest, _)| digest.to_string());
        parts.dedup_by(|one, other| one.0 == other.0);
        let (bytes, pointer) = index_of(entries, MediaTypes::Oci);
        Ok(Self {
            id: pointer.digest,
            bytes,
            pointer,
            manifest: None,
            parts,
            layers,
        })
    }

    /// Puts it into the store, where it stays as long as what is given is held.
    pub(super) fn record(&self, engine: &Engine) -> Result<Recorded, ImageError> {
        let manifest = self.manifest.as_deref();
        let documents = Documents {
            id: &self.id,
            config: &self.bytes,
            manifest: manifest.map(|bytes| (&self.pointer.digest, bytes)),
            parts: &self.parts,
        };
        engine.record_image(documents, &self.layers)
    }
}

/// The layers of an image, lowest first.
pub(super) fn diff_ids(image: &FinishedImage) -> Vec<DiffId> {
    image.layers.iter().map(|layer| layer.diff_id).collect()
}
