//! What is known of the images in the store.

use std::time::SystemTime;

use cache::{Image, Tag};
use image::Reference;
use image::config::ImageConfig;
use image::manifest::{Descriptor, Document};
use layer::{DiffId, Digest};

use super::names;
use crate::engine::Engine;
use crate::error::ImageError;

/// An image in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    /// The digest of its config or index.
    pub id: Digest,
    /// The names that the user gave it, sorted; those with a tag.
    pub names: Vec<Reference>,
    /// Names with the digests that they have, or had, in registries, sorted; these have no tags.
    pub digests: Vec<Reference>,
    /// When it was made, as its config tells.
    pub created: Option<SystemTime>,
    /// Bytes of its layers, uncompressed.
    pub size: u64,
}

/// All about an image.
#[derive(Debug, Clone)]
pub struct ImageDetail {
    /// What lists tell of it.
    pub summary: ImageSummary,
    /// The pointer to its manifest or index: the one it came with, else the store's own.
    pub manifest: Descriptor,
    /// Its config's bytes; of an index those of the image that runs here, else of the first.
    pub config_bytes: Vec<u8>,
    /// The config.
    pub config: ImageConfig,
    /// Bytes of each layer, uncompressed, lowest first. 0 for one that the store has lost.
    pub layer_sizes: Vec<u64>,
}

impl Engine {
    /// The images that the user built, pulled or loaded, the newest first.
    pub fn images(&self) -> Result<Vec<ImageSummary>, ImageError> {
        let mut images = Vec::new();
        for named in self.store().images().list()? {
            let only_builds = !named.tags.is_empty() && !named.tags.iter().any(names::is_users);
            if only_builds {
                continue;
            }
            // A config that is lost or damaged must not hide the other images.
            let shown = self.shown_variant("", &named.image).ok();
            let config = shown.map(|shown| shown.config).unwrap_or_default();
            images.push(self.summary(&named.image, &named.tags, &config)?);
        }
        images.sort_by_key(|image| std::cmp::Reverse(image.created));
        Ok(images)
    }

    /// One image: by name, name with digest, id or the unique beginning of one.
    pub fn image(&self, name: &str) -> Result<ImageDetail, ImageError> {
        let image = self.find_image(name)?.image;
        let shown = self.shown_variant(name, &image)?;
        let tags = self.tags_of(&image.id)?;
        let manifest = if image.is_index() {
            let bytes = self.document(name, &image.id)?;
            Descriptor::of(self.index(name, &image)?.media_type, &bytes)
        } else if let Some(manifest) = self.own_manifest(&tags, &image.id)? {
            manifest
        } else {
            self.local_manifest(name, &shown.bytes, &image.layers)?.1
        };
        Ok(ImageDetail {
            summary: self.summary(&image, &tags, &shown.config)?,
            manifest,
            layer_sizes: self.sizes(&shown.layers)?,
            config_bytes: shown.bytes,
            config: shown.config,
        })
    }

    /// The names of an image, sorted.
    pub(super) fn tags_of(&self, id: &Digest) -> Result<Vec<Tag>, ImageError> {
        let mut tags = self.store().images().tags()?;
        tags.retain(|tag| tag.image == *id);
        Ok(tags)
    }

    /// The manifest that the image came with under one of its names.
    fn own_manifest(&self, tags: &[Tag], id: &Digest) -> Result<Option<Descriptor>, ImageError> {
        for digest in tags.iter().filter_map(|tag| tag.document) {
            let Some(bytes) = self.store().blobs().get(&digest)? else {
                continue;
            };
            if let Ok(Document::Manifest(manifest)) = Document::parse("the store", "", &bytes)
                && manifest.config.digest == *id
            {
                return Ok(Some(Descriptor::of(manifest.media_type, &bytes)));
            }
        }
        Ok(None)
    }

    fn summary(
        &self,
        image: &Image,
        tags: &[Tag],
        config: &ImageConfig,
    ) -> Result<ImageSummary, ImageError> {
        let users = || tags.iter().filter(|tag| names::is_users(tag));
        let names = users().filter_map(names::reference);
        let digests = users().filter_map(|tag| {
            let repository = names::reference(tag)?.repository().to_string();
            format!("{repository}@{}", tag.manifest?).parse().ok()
        });
        let mut digests: Vec<Reference> = digests.collect();
        digests.sort();
        digests.dedup();
        Ok(ImageSummary {
            id: image.id,
            names: names.filter(|name| name.tag().is_some()).collect(),
            digests,
            created: created(config),
            size: self.sizes(&image.layers)?.iter().sum(),
        })
    }

    fn sizes(&self, layers: &[DiffId]) -> Result<Vec<u64>, ImageError> {
        let sizes = layers.iter().map(|layer| {
            let stored = self.store().layers().get(layer)?;
            Ok(stored.map_or(0, |stored| stored.tar_size))
        });
        sizes.collect()
    }
}

/// When an image was made.
pub(crate) fn created(config: &ImageConfig) -> Option<SystemTime> {
    let time: jiff::Timestamp = config.created.as_ref()?.parse().ok()?;
    Some(time.into())
}
