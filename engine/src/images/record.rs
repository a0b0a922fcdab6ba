//! Keeps images and their names in the store.

use std::time::SystemTime;

use cache::{Image, Tag};
use image::config::ImageConfig;
use image::manifest::{Descriptor, Manifest};
use image::{Compression, MediaTypes, Reference};
use layer::{DiffId, Digest};

use super::names;
use crate::engine::Engine;
use crate::error::ImageError;

/// The documents of an image that comes into the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Documents<'a> {
    /// The digest of the config, or of the index: the image's id.
    pub(crate) id: &'a Digest,
    /// The bytes of that.
    pub(crate) config: &'a [u8],
    /// The manifest's digest and bytes, where it came with one.
    pub(crate) manifest: Option<(&'a Digest, &'a [u8])>,
    /// What an index leads to: manifests and configs. Nothing for an image.
    pub(crate) parts: &'a [(Digest, Vec<u8>)],
}

/// What a name leads to in its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    /// The digest of a manifest or of an index.
    pub(crate) target: Digest,
    /// The manifest, where it was recorded with the image.
    pub(crate) document: Option<Digest>,
}

/// Keeps collectors from an image until it has its names.
#[derive(Debug)]
#[must_use]
pub(crate) struct Recorded {
    _roots: cache::RangeLock,
    _layers: Vec<cache::Layer>,
}

/// Who gave an image its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The user.
    User,
    /// A build that starts from it.
    Build,
}

impl Engine {
    /// Keeps an image whose layers are in the store, and makes it durable. One that is there already keeps its place in
    /// time. As long as the result is held nothing of it is collected: it is given its names meanwhile.
    pub(crate) fn record_image(
        &self,
        documents: Documents<'_>,
        layers: &[DiffId],
    ) -> Result<Recorded, ImageError> {
        let store = self.store();
        let held = self.hold_layers(&documents.id.to_string(), layers)?;
        let config = (documents.id, documents.config);
        let all = || {
            let parts = documents.parts.iter();
            let parts = parts.map(|(digest, bytes)| (digest, &**bytes));
            [config].into_iter().chain(documents.manifest).chain(parts)
        };
        let are_durable = || all().all(|(digest, bytes)| store.blobs().is_durable(digest, bytes));
        let put = || {
            for (digest, bytes) in all() {
                store.blobs().put(digest, bytes)?;
            }
            store.make_durable(&held)
        };
        // What takes long is done before a collector has to wait for it.
        if are_durable() {
            store.make_durable(&held)?;
        } else {
            put()?;
        }
        let roots = store.share_roots()?;
        if !are_durable() {
            put()?;
        }
        let known = store.images().get(documents.id)?;
        let parts: Vec<_> = documents.parts.iter().map(|(digest, _)| *digest).collect();
        let known = known.filter(|known| known.layers == layers && known.documents == parts);
        if known.is_none() || !store.images().is_durable(documents.id) {
            store.images().put(&Image {
                id: *documents.id,
                layers: layers.to_vec(),
                documents: parts,
                stored: known.map_or_else(SystemTime::now, |known| known.stored),
            })?;
        }
        Ok(Recorded {
            _roots: roots,
            _layers: held,
        })
    }

    /// The layers of an image, which stay in the store as long as the result is held.
    pub(crate) fn hold_layers(
        &self,
        image: &str,
        layers: &[DiffId],
    ) -> Result<Vec<cache::Layer>, ImageError> {
        let store = self.store().layers();
        let held = layers.iter().map(|layer| {
            let lost = || ImageError::LostLayer {
                layer: layer.to_string(),
                image: image.to_owned(),
            };
            store.get(layer)?.ok_or_else(lost)
        });
        held.collect()
    }

    /// Gives an image, whose layers the caller holds, a name.
    pub(crate) fn name_image(
        &self,
        reference: &Reference,
        id: &Digest,
        published: Option<Published>,
        origin: Origin,
    ) -> Result<(), ImageError> {
        let name = match origin {
            Origin::User => names::of(reference),
            Origin::Build => names::of_base(reference),
        };
        let tag = Tag {
            name,
            image: *id,
            manifest: published.map(|published| published.target),
            document: published.and_then(|published| published.document),
            tagged: SystemTime::now(),
        };
        if let Some(latest) = self.base_tag(reference)?
            && (Tag {
                tagged: tag.tagged,
                ..latest
            }) == tag
            && self.store().images().is_name_durable(&tag.name)
        {
            return Ok(());
        }
        let _roots = self.store().share_roots()?;
        Ok(self.store().images().tag(&tag)?)
    }

    /// The manifest of an image as it is in the store, where layers are not compressed: its bytes and the pointer to
    /// them.
    pub(crate) fn local_manifest(
        &self,
        name: &str,
        config: &[u8],
        layers: &[DiffId],
    ) -> Result<(Vec<u8>, Descriptor), ImageError> {
        let types = MediaTypes::Oci;
        let media_type = types.layer(Compression::None);
        let store = self.store().layers();
        let layers = layers.iter().map(|layer| {
            let stored = store.get(layer)?.ok_or_else(|| ImageError::LostLayer {
                layer: layer.to_string(),
                image: name.to_owned(),
            })?;
            Ok(Descriptor::new(
                &*media_type,
                *layer.digest(),
                stored.tar_size,
            ))
        });
        let layers = layers.collect::<Result<_, ImageError>>()?;
        let config = Descriptor::of(types.config(), config);
        Ok(Manifest::new(types, config, layers).encode())
    }

    /// The config of an image in the store.
    pub(crate) fn image_config(
        &self,
        name: &str,
        id: &Digest,
    ) -> Result<(Vec<u8>, ImageConfig), ImageError> {
        let bytes = self.store().blobs().get(id)?;
        let bytes = bytes.ok_or_else(|| ImageError::LostConfig(name.to_owned()))?;
        let config = ImageConfig::parse(name, &bytes)?;
        Ok((bytes, config))
    }
}
