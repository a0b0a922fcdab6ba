//! The files of images, without their layers: as a tar or in a directory.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use image::Platform;
use layer::{EntryKind, LayerPath, LayerTree, View};

use super::attributes::Split;
use super::destination::Destination;
use super::write::{Export, Exported, part};
use crate::build::{Finished, FinishedImage};
use crate::error::ImageError;
use crate::images::{Stop, Stoppable, blocking};
use crate::progress::Row;

impl Export<'_> {
    /// Writes the files as a tar.
    pub(super) async fn tar(
        &self,
        to: &Destination,
        split: Split,
        row: &Row,
    ) -> Result<Exported, ImageError> {
        let split = self.splits(split);
        let images = self.finished.images().iter();
        let trees = images.map(|image| {
            let directory = if split {
                LayerPath::new(directory_of(&image.platform).as_bytes())
                    .map_err(|_| ImageError::Destination("a platform is no name of a directory"))?
            } else {
                LayerPath::root()
            };
            Ok((directory, view(image)))
        });
        let trees = trees.collect::<Result<Vec<_>, ImageError>>()?;
        let epoch = self.epoch();
        let (target, stop) = (to.create()?, Stop::default());
        let (out, flag) = (target.file(), stop.flag());
        let write = blocking(move || {
            let stopped = Arc::clone(&flag);
            let out = Stoppable { out, stop: flag };
            let cancelled = || stopped.load(Ordering::Relaxed);
            Ok(layer::flatten_tar(&trees, out, epoch, &cancelled)?)
        });
        part(row, "sending tarball", write).await?;
        target.finish()?;
        Ok(Exported::default())
    }

    /// Writes the files to a directory. Root keeps their owners; what others write is theirs, as they can do no better.
    pub(super) async fn directory(
        &self,
        directory: &Path,
        split: Split,
        row: &Row,
    ) -> Result<Exported, ImageError> {
        let split = self.splits(split);
        let is_index = matches!(self.finished, Finished::Index(_));
        if !split && self.finished.images().len() > 1 {
            self.check_distinct()?;
        }
        for image in self.finished.images() {
            let directory = if split {
                directory.join(directory_of(&image.platform))
            } else {
                directory.to_owned()
            };
            let (view, epoch) = (view(image), image.epoch);
            let write = blocking(move || {
                std::fs::create_dir_all(&directory).map_err(|source| ImageError::Io {
                    action: "create",
                    path: directory.clone(),
                    source,
                })?;
                let owners = runtime::is_superuser();
                Ok(layer::flatten_directory(&view, &directory, owners, epoch)?)
            });
            let name = if is_index {
                format!("copying files {}", image.platform)
            } else {
                "copying files".to_owned()
            };
            part(row, name, write).await?;
        }
        Ok(Exported::default())
    }

    fn splits(&self, split: Split) -> bool {
        split.unwrap_or(matches!(self.finished, Finished::Index(_)))
    }

    fn epoch(&self) -> Option<i64> {
        self.finished.images().first().and_then(|image| image.epoch)
    }

    /// Refuses images that have files of one name.
    fn check_distinct(&self) -> Result<(), ImageError> {
        let mut seen: HashMap<Vec<u8>, &Platform> = HashMap::new();
        for image in self.finished.images() {
            let view = view(image);
            let mut same = None;
            view.walk(&view.root()?, |path, node| {
                if node.kind() != EntryKind::Directory
                    && let Some(first) = seen.insert(path.as_bytes().to_vec(), &image.platform)
                {
                    same.get_or_insert((path.to_string(), first));
                }
                Ok(())
            })?;
            if let Some((path, first)) = same {
                return Err(ImageError::SamePath {
                    path,
                    first: first.to_string(),
                    second: image.platform.to_string(),
                });
            }
        }
        Ok(())
    }
}

/// The directory of a platform's files, as BuildKit names it: `linux_arm64`.
fn directory_of(platform: &Platform) -> String {
    platform.to_string().replace('/', "_")
}

fn view(image: &FinishedImage) -> View {
    let layers = image.layers.iter();
    View::new(
        layers
            .map(|layer| Arc::clone(&layer.index) as Arc<dyn LayerTree>)
            .collect(),
    )
}
