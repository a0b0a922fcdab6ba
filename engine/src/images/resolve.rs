//! From the name of an image to its config, and to a name in the store.

use std::sync::Arc;

use image::archive::{Layout, LayoutImage};
use image::config::ImageConfig;
use image::pull::{RemoteImage, fetch_image};
use image::{Platform, Reference};
use layer::{DiffId, Digest};

use super::record::Origin;
use super::work::blocking;
use crate::build::LayoutSource;
use crate::engine::Engine;
use crate::error::ImageError;
use crate::event::Listener;
use crate::progress::{Progress, Row};

/// An image whose config is known. Its layers need not be in the store yet.
#[derive(Debug, Clone)]
pub struct ResolvedImage {
    /// The name that it was found by, for messages.
    pub name: String,
    /// The digest of its config.
    pub id: Digest,
    /// How containers of it start, and how it was made.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<DiffId>,
    /// Where it is, if that is not the store.
    pub(super) elsewhere: Option<Elsewhere>,
    /// The layers of one that was found in the store, which keep it there.
    pub(crate) held: Vec<cache::Layer>,
}

/// Where an image is that was not found in the store.
#[derive(Debug, Clone)]
pub(super) enum Elsewhere {
    /// In its registry, under this name.
    Registry(Reference, Arc<RemoteImage>),
    /// In a directory of the caller's.
    Layout(Arc<LayoutImage>),
}

impl ResolvedImage {
    /// Whether it was found elsewhere than in the store.
    pub(crate) fn is_remote(&self) -> bool {
        self.elsewhere.is_some()
    }
}

/// An image that was pulled.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// Its full name.
    pub reference: Reference,
    /// The digest of its config.
    pub id: Digest,
    /// The digest that the name leads to in the registry: that of a manifest or of an index.
    pub digest: Digest,
    /// Whether the name was new, or led to another image before.
    pub is_new: bool,
    /// Its layers, which stay in the store as long as this lives.
    _held: Vec<cache::Layer>,
}

/// An index of the store that lacks a platform need not lack it in its registry.
fn if_lacking(error: ImageError) -> Result<Option<ResolvedImage>, ImageError> {
    match error {
        ImageError::Image(image::Error::NoPlatform { .. }) => Ok(None),
        error => Err(error),
    }
}

impl Engine {
    /// Finds the image of a name: in the store if it is there whole, else, or with `pull` always, in its registry.
    /// Layers are not fetched yet. `row` shows the digest that was found.
    pub(crate) async fn resolve_image(
        &self,
        reference: &Reference,
        platform: &Platform,
        pull: bool,
        row: Option<&Row>,
    ) -> Result<ResolvedImage, ImageError> {
        if !pull
            && let Some(image) = self.local_image(reference, platform).or_else(if_lacking)?
            && image.config.platform().serves(platform)
        {
            return Ok(image);
        }
        let remote = fetch_image(self.registry(), reference, platform).await?;
        if let Some(row) = row {
            self.tell_of_failed_servers(row);
            let resolved = reference.with_digest(remote.target.digest);
            let size = remote.target.size;
            row.transfer(format!("resolve {resolved}"), size, Some(size), true);
        }
        Ok(ResolvedImage {
            name: reference.familiar(),
            id: remote.id,
            config: remote.config.clone(),
            layers: remote.layers.iter().map(|layer| layer.diff_id).collect(),
            elsewhere: Some(Elsewhere::Registry(reference.clone(), Arc::new(remote))),
            held: Vec::new(),
        })
    }

    /// Finds the image of an OCI layout. Layers are not read yet.
    pub(crate) async fn resolve_layout(
        &self,
        source: &LayoutSource,
        platform: &Platform,
    ) -> Result<ResolvedImage, ImageError> {
        let (layout, platform) = (source.clone(), platform.clone());
        let found = blocking(move || {
            let open = Layout::open(&layout.path)?;
            let name = layout.to_string();
            Ok(open.image(&name, layout.tag.as_deref(), layout.digest, &platform)?)
        });
        let found = found.await.map_err(|error| ImageError::Layout {
            layout: source.to_string(),
            source: Box::new(error),
        })?;
        Ok(ResolvedImage {
            name: source.to_string(),
            id: found.id(),
            config: found.config.clone(),
            layers: found.layers(),
            elsewhere: Some(Elsewhere::Layout(Arc::new(found))),
            held: Vec::new(),
        })
    }

    /// The image of a name if the store has all of it; of an index, the image for `platform`, which must be in it.
    pub fn local_image(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Option<ResolvedImage>, ImageError> {
        let Some(tag) = self.base_tag(reference)? else {
            return Ok(None);
        };
        let Some(image) = self.store().images().get(&tag.image)? else {
            return Ok(None);
        };
        let variant = match self.variant(&reference.familiar(), &image, platform) {
            Ok(variant) => variant,
            // It may have been collected.
            Err(ImageError::LostConfig(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(held) = self.held_layers(&variant.layers)? else {
            return Ok(None);
        };
        Ok(Some(ResolvedImage {
            name: reference.familiar(),
            id: variant.id,
            config: variant.config,
            layers: variant.layers,
            elsewhere: None,
            held,
        }))
    }

    /// Brings an image from its registry into the store, under its name.
    pub async fn pull(
        &self,
        reference: &Reference,
        listener: Arc<dyn Listener>,
    ) -> Result<Pulled, ImageError> {
        let _collecting = self.collecting();
        let progress = Progress::new(listener);
        let row = progress.start(format!("pull {}", reference.familiar()));
        row.finish(self.pull_with(reference, &row).await)
    }

    async fn pull_with(&self, reference: &Reference, row: &Row) -> Result<Pulled, ImageError> {
        let before = self.store().images().named(&super::names::of(reference))?;
        let resolved = self
            .resolve_image(reference, &Platform::host(), true, Some(row))
            .await?;
        let held = self.bring(&resolved, row, Origin::User).await?;
        let target = match &resolved.elsewhere {
            Some(Elsewhere::Registry(_, remote)) => Some(remote.target.digest),
            _ => None,
        };
        Ok(Pulled {
            reference: reference.clone(),
            id: resolved.id,
            digest: target.unwrap_or(resolved.id),
            is_new: before.is_none_or(|tag| tag.image != resolved.id),
            _held: held,
        })
    }
}
