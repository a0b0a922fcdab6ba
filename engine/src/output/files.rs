//! The files of an image, without its layers: as a tar or in a directory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use layer::{LayerTree, View};

use super::destination::Destination;
use super::write::{Export, Exported, part};
use crate::error::ImageError;
use crate::images::{Stop, Stoppable, blocking};
use crate::progress::Row;

impl Export<'_> {
    /// Writes the files as a tar.
    pub(super) async fn tar(&self, to: &Destination, row: &Row) -> Result<Exported, ImageError> {
        let (view, epoch) = (self.view(), self.image.epoch);
        let (target, stop) = (to.create()?, Stop::default());
        let (out, flag) = (target.file(), stop.flag());
        let write = blocking(move || {
            let stopped = Arc::clone(&flag);
            let out = Stoppable { out, stop: flag };
            let cancelled = || stopped.load(Ordering::Relaxed);
            Ok(layer::flatten_tar(&view, out, epoch, &cancelled)?)
        });
        part(row, "sending tarball", write).await?;
        target.finish()?;
        Ok(Exported::default())
    }

    /// Writes the files to a directory. Root keeps their owners; what others write is theirs, as they can do no better.
    pub(super) async fn directory(
        &self,
        directory: &Path,
        row: &Row,
    ) -> Result<Exported, ImageError> {
        let (view, epoch, directory) = (self.view(), self.image.epoch, directory.to_owned());
        let write = blocking(move || {
            std::fs::create_dir_all(&directory).map_err(|source| ImageError::Io {
                action: "create",
                path: directory.clone(),
                source,
            })?;
            let owners = runtime::is_superuser();
            Ok(layer::flatten_directory(&view, &directory, owners, epoch)?)
        });
        part(row, "copying files", write).await?;
        Ok(Exported::default())
    }

    fn view(&self) -> View {
        let layers = self.image.layers.iter();
        View::new(
            layers
                .map(|layer| Arc::clone(&layer.index) as Arc<dyn LayerTree>)
                .collect(),
        )
    }
}
