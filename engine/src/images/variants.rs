//! Images of the store for one platform each: the only one, or those that an index leads to.
//!
//! An index is kept as an image is. Its id is its own digest, its layers are those of all its images, and its record names
//! their manifests and configs.

use cache::Image;
use image::config::ImageConfig;
use image::manifest::{Descriptor, Document, Index};
use image::{Content, LocalImage, Platform};
use layer::{DiffId, Digest};

use crate::engine::Engine;
use crate::error::ImageError;

/// An image for one platform.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    /// The platform that it is for.
    pub(crate) platform: Platform,
    /// The digest of its config.
    pub(crate) id: Digest,
    /// Its config's bytes.
    pub(crate) bytes: Vec<u8>,
    /// The config.
    pub(crate) config: ImageConfig,
    /// Its layers, lowest first.
    pub(crate) layers: Vec<DiffId>,
}

impl Engine {
    /// What there is of an image for `platform`. An image that is no index is given whatever it is for.
    pub(crate) fn variant(
        &self,
        name: &str,
        image: &Image,
        platform: &Platform,
    ) -> Result<Variant, ImageError> {
        if !image.is_index() {
            return self.only_variant(name, image);
        }
        let index = self.index(name, image)?;
        let Some(chosen) = index.choose(platform) else {
            let platforms = index.manifests.iter().filter_map(|it| it.platform.as_ref());
            return Err(ImageError::Image(image::Error::NoPlatform {
                image: name.to_owned(),
                wanted: platform.to_string(),
                available: platforms.map(Platform::to_string).collect(),
            }));
        };
        self.variant_of(name, chosen)
    }

    /// What is shown of an image: of an index the image that runs here, else its first.
    pub(super) fn shown_variant(&self, name: &str, image: &Image) -> Result<Variant, ImageError> {
        let first = || ImageError::LostConfig(name.to_owned());
        match self.variant(name, image, &Platform::host()) {
            Err(ImageError::Image(image::Error::NoPlatform { .. })) => {
                let all = self.variants(name, image)?;
                all.into_iter().next().ok_or_else(first)
            }
            found => found,
        }
    }

    /// All that an image has, in the order of its index.
    pub(crate) fn variants(&self, name: &str, image: &Image) -> Result<Vec<Variant>, ImageError> {
        if !image.is_index() {
            return Ok(vec![self.only_variant(name, image)?]);
        }
        let index = self.index(name, image)?;
        let manifests = index.manifests.iter();
        manifests
            .map(|manifest| self.variant_of(name, manifest))
            .collect()
    }

    /// An image as it is sent and written.
    pub(super) fn content(&self, name: &str, image: &Image) -> Result<Content, ImageError> {
        let local = |variant: Variant| LocalImage {
            config: variant.bytes,
            layers: variant.layers,
        };
        if !image.is_index() {
            return Ok(local(self.only_variant(name, image)?).into());
        }
        let variants = self.variants(name, image)?.into_iter();
        let images = variants.map(|variant| (variant.platform.clone(), local(variant)));
        Ok(Content::Index(images.collect()))
    }

    /// The index that an image is.
    pub(super) fn index(&self, name: &str, image: &Image) -> Result<Index, ImageError> {
        match Document::parse(name, "", &self.document(name, &image.id)?)? {
            Document::Index(index) => Ok(index),
            Document::Manifest(_) => Err(ImageError::LostConfig(name.to_owned())),
        }
    }

    fn only_variant(&self, name: &str, image: &Image) -> Result<Variant, ImageError> {
        let (bytes, config) = self.image_config(name, &image.id)?;
        Ok(Variant {
            platform: config.platform(),
            id: image.id,
            bytes,
            config,
            layers: image.layers.clone(),
        })
    }

    /// The image of a manifest in the store.
    fn variant_of(&self, name: &str, entry: &Descriptor) -> Result<Variant, ImageError> {
        let bytes = self.document(name, &entry.digest)?;
        let Document::Manifest(manifest) = Document::parse(name, "", &bytes)? else {
            return Err(ImageError::LostConfig(name.to_owned()));
        };
        let id = manifest.config.digest;
        let (bytes, config) = self.image_config(name, &id)?;
        let platform = entry.platform.clone();
        Ok(Variant {
            platform: platform.unwrap_or_else(|| config.platform()),
            id,
            bytes,
            layers: config.rootfs.diff_ids.clone(),
            config,
        })
    }

    /// A document of an image in the store.
    pub(super) fn document(&self, name: &str, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let bytes = self.store().blobs().get(digest)?;
        bytes.ok_or_else(|| ImageError::LostConfig(name.to_owned()))
    }
}
