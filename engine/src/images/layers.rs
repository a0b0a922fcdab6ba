//! Brings the layers of images into the store.

use std::sync::Arc;

use image::Platform;
use image::archive::LayoutImage;
use image::pull::{RemoteImage, fetch_layers};
use image::transfer::{LayerSink, Observer};
use layer::DiffId;
use solver::KeyWriter;

use super::observer::RowObserver;
use super::record::{Documents, Origin, Published};
use super::resolve::{Elsewhere, ResolvedImage};
use super::sink::StoreSink;
use super::work::blocking;
use crate::engine::Engine;
use crate::error::ImageError;
use crate::progress::Row;
use crate::rootfs::Sealed;

impl Engine {
    /// The layers of an image, lowest first. Those that the store lacks are fetched, which `row` shows; the image is
    /// then kept under its name for later builds.
    pub(crate) async fn image_layers(
        &self,
        image: &ResolvedImage,
        row: &Row,
    ) -> Result<Vec<Sealed>, ImageError> {
        let held = self.bring(image, row, Origin::Build).await?;
        let (engine, image) = (self.clone(), image.clone());
        blocking(move || {
            let sealed = engine.sealed_layers(&image);
            drop(held);
            sealed
        })
        .await
    }

    /// The layers, lowest first, of an image that the store has all of.
    pub(crate) fn sealed_layers(&self, image: &ResolvedImage) -> Result<Vec<Sealed>, ImageError> {
        let layers = image.layers.iter().map(|layer| {
            let sealed = self.sealed_layer(layer).map_err(Arc::new)?;
            sealed.ok_or_else(|| ImageError::LostLayer {
                layer: layer.to_string(),
                image: image.name.clone(),
            })
        });
        layers.collect()
    }

    /// Sees that the store has an image that was found elsewhere, and gives its layers, which stay there as long as
    /// they are held: what keeps a base does not keep collectors from it. Of several who want the same one, in this process or
    /// others, one fetches it.
    pub(super) async fn bring(
        &self,
        image: &ResolvedImage,
        row: &Row,
        origin: Origin,
    ) -> Result<Vec<cache::Layer>, ImageError> {
        let Some(elsewhere) = &image.elsewhere else {
            return Ok(image.held.clone());
        };
        let held = if let Some(held) = self.held_layers(&image.layers)? {
            held
        } else {
            let mut key = KeyWriter::new("rbuild pull", 1);
            key.text(&image.id.to_string());
            let _alone = self.store().exclusive(&key.finish()).await?;
            match elsewhere {
                Elsewhere::Registry(_, remote) => self.fetch(remote, row).await?,
                Elsewhere::Layout(layout) => self.read_layout(layout, row).await?,
            }
        };
        // What is in a layout gets neither record nor name: its layers are there while they are used.
        let Elsewhere::Registry(reference, remote) = elsewhere else {
            return Ok(held);
        };
        let documents = Documents {
            id: &remote.id,
            config: &remote.config_bytes,
            manifest: Some((&remote.manifest.digest, &remote.manifest_bytes)),
            parts: &[],
        };
        let _recorded = self.record_image(documents, &image.layers)?;
        if origin == Origin::Build && !image.config.platform().serves(&Platform::host()) {
            // The name is that of an image which runs here.
            return Ok(held);
        }
        let published = Published {
            target: remote.target.digest,
            document: Some(remote.manifest.digest),
        };
        self.name_image(reference, &image.id, Some(published), origin)?;
        Ok(held)
    }

    async fn read_layout(
        &self,
        layout: &Arc<LayoutImage>,
        row: &Row,
    ) -> Result<Vec<cache::Layer>, ImageError> {
        let (engine, layout) = (self.clone(), Arc::clone(layout));
        let observer = RowObserver::new(row.clone());
        blocking(move || {
            let sink = StoreSink::new(&engine);
            layout.load(&sink, &observer)?;
            sink.settle(&layout.layers())?;
            Ok(sink.take_kept())
        })
        .await
    }

    /// The layers of an image if the store has all of them, whole and with indexes that can be opened.
    pub(super) fn held_layers(
        &self,
        layers: &[DiffId],
    ) -> Result<Option<Vec<cache::Layer>>, ImageError> {
        let held = layers.iter().map(|layer| {
            let sealed = self.sealed_layer(layer).map_err(Arc::new)?;
            Ok(sealed.map(|sealed| sealed.stored))
        });
        held.collect()
    }

    async fn fetch(
        &self,
        remote: &RemoteImage,
        row: &Row,
    ) -> Result<Vec<cache::Layer>, ImageError> {
        let sink = Arc::new(StoreSink::new(self));
        let into: Arc<dyn LayerSink> = Arc::clone(&sink) as _;
        let observer: Arc<dyn Observer> = Arc::new(RowObserver::new(row.clone()));
        fetch_layers(self.registry(), remote, &into, &observer).await?;
        self.tell_of_failed_servers(row);
        let layers: Vec<_> = remote.layers.iter().map(|layer| layer.diff_id).collect();
        blocking(move || {
            sink.settle(&layers)?;
            Ok(sink.take_kept())
        })
        .await
    }
}
