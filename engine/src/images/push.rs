//! Sends images to registries.

use std::sync::Arc;

use image::manifest::Descriptor;
use image::push::{PushOptions, push};
use image::transfer::{LayerSource, Observer};
use image::{Compression, Content, Encoding, MediaTypes, Reference};

use super::observer::RowObserver;
use super::record::{Origin, Published};
use super::source::StoreSource;
use super::work::Scratch;
use crate::engine::Engine;
use crate::error::ImageError;
use crate::event::Listener;
use crate::progress::{Progress, Row};

/// An image that was sent.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// The name that it was sent under.
    pub reference: Reference,
    /// The pointer to its manifest or index in the registry.
    pub manifest: Descriptor,
}

impl Engine {
    /// Sends the image of a name to the registry in the name, layers that the registry does not have in `compression`.
    pub async fn push(
        &self,
        reference: &Reference,
        compression: Compression,
        listener: Arc<dyn Listener>,
    ) -> Result<Pushed, ImageError> {
        if reference.digest().is_some() {
            return Err(ImageError::FixedName(reference.familiar()));
        }
        let progress = Progress::new(listener);
        let row = progress.start(format!("push {}", reference.familiar()));
        row.finish(self.push_with(reference, compression, &row).await)
    }

    async fn push_with(
        &self,
        reference: &Reference,
        compression: Compression,
        row: &Row,
    ) -> Result<Pushed, ImageError> {
        let name = reference.to_string();
        let tag = self.store().images().named(&name)?;
        let image = tag.and_then(|tag| self.store().images().get(&tag.image).transpose());
        let image = image.transpose()?;
        let image = image.ok_or_else(|| ImageError::NotFound(reference.familiar()))?;
        let content = self.content(&name, &image)?;
        let _held = self.hold_layers(&name, &image.layers)?;
        let targets = std::slice::from_ref(reference);
        let manifest = self
            .send(&content, targets, compression.into(), MediaTypes::Oci, row)
            .await?;
        let published = Published {
            target: manifest.digest,
            document: None,
        };
        let _roots = self.store().share_roots()?;
        // Who removed it meanwhile wants it to be gone.
        if self.store().images().get(&image.id)?.is_some() {
            self.name_image(reference, &image.id, Some(published), Origin::User)?;
        }
        Ok(Pushed {
            reference: reference.clone(),
            manifest,
        })
    }

    /// Sends an image or an index whose layers are in the store.
    pub(crate) async fn send(
        &self,
        content: &Content,
        targets: &[Reference],
        encoding: Encoding,
        media_types: MediaTypes,
        row: &Row,
    ) -> Result<Descriptor, ImageError> {
        let scratch = Scratch::new(self.store())?;
        let options = PushOptions {
            encoding,
            media_types,
            scratch: scratch.path().to_owned(),
        };
        let source: Arc<dyn LayerSource> = Arc::new(StoreSource::for_registry(self));
        let observer: Arc<dyn Observer> = Arc::new(RowObserver::new(row.clone()));
        let client = self.registry();
        Ok(push(client, content, targets, &options, &source, &observer).await?)
    }
}
