//! Images to archives, and out of them.

use std::fs::File;
use std::path::PathBuf;

use image::archive::{
    Archive, ArchiveFormat, ArchiveImage, ArchiveOptions, LoadedImage, write_archive,
};
use image::transfer::Unobserved;
use image::{Platform, Reference};
use layer::Digest;

use super::record::{Documents, Origin};
use super::sink::StoreSink;
use super::source::StoreSource;
use super::work::{Scratch, Stop, Stoppable, blocking};
use crate::engine::Engine;
use crate::error::ImageError;
use crate::output::Destination;

/// Where an archive is read from.
#[derive(Debug)]
pub enum ArchiveSource {
    /// A file.
    Path(PathBuf),
    /// An open file, read from its beginning, or a pipe or socket.
    Stream(File),
}

/// The names of an image that was loaded, or its id if it has none.
pub type Loaded = Result<Reference, Digest>;

impl Engine {
    /// Writes images, by names or ids, to an archive that Docker and OCI tools read. An image has those names in it by
    /// which it was asked for.
    pub async fn save(&self, names: &[String], to: &Destination) -> Result<(), ImageError> {
        let mut images: Vec<(Digest, ArchiveImage)> = Vec::new();
        let mut held = Vec::new();
        for name in names {
            let (id, image) = self.archived(name)?;
            for image in image.image.images() {
                held.extend(self.hold_layers(name, &image.layers)?);
            }
            match images.iter_mut().find(|(known, _)| *known == id) {
                Some((_, known)) => known.names.extend(image.names),
                None => images.push((id, image)),
            }
        }
        let images: Vec<ArchiveImage> = images.into_iter().map(|(_, image)| image).collect();
        let scratch = Scratch::new(self.store())?;
        let options = ArchiveOptions::new(ArchiveFormat::Docker, scratch.path().to_owned());
        let stop = Stop::default();
        let target = to.create()?;
        let (source, flag, out) = (StoreSource::for_archive(self), stop.flag(), target.file());
        blocking(move || {
            let mut out = Stoppable { out, stop: flag };
            write_archive(&images, &options, &source, &Unobserved, &mut out)?;
            drop(held);
            Ok(())
        })
        .await?;
        target.finish()
    }

    fn archived(&self, name: &str) -> Result<(Digest, ArchiveImage), ImageError> {
        let found = self.find_image(name)?;
        let names = found.tag.as_ref().and_then(super::names::reference);
        let image = ArchiveImage {
            image: self.content(name, &found.image)?,
            names: names.into_iter().collect(),
        };
        Ok((found.image.id, image))
    }

    /// Brings the images of an archive into the store, and gives their names, and the ids of those that have none.
    pub async fn load(&self, from: ArchiveSource) -> Result<Vec<Loaded>, ImageError> {
        let _collecting = self.collecting();
        let engine = self.clone();
        blocking(move || engine.load_blocking(from)).await
    }

    fn load_blocking(&self, from: ArchiveSource) -> Result<Vec<Loaded>, ImageError> {
        let scratch = Scratch::new(self.store())?;
        let archive = open(from, &scratch)?;
        let sink = StoreSink::new(self);
        let images = archive.load(&Platform::host(), &sink, &Unobserved)?;
        let mut loaded = Vec::new();
        for image in &images {
            sink.settle(&image.layers)?;
            self.keep_loaded(image)?;
            if image.names.is_empty() {
                loaded.push(Err(image.id));
            }
            loaded.extend(image.names.iter().cloned().map(Ok));
        }
        Ok(loaded)
    }

    fn keep_loaded(&self, image: &LoadedImage) -> Result<(), ImageError> {
        let documents = Documents {
            id: &image.id,
            config: &image.config,
            manifest: None,
            parts: &[],
        };
        let _recorded = self.record_image(documents, &image.layers)?;
        for name in &image.names {
            self.name_image(name, &image.id, None, Origin::User)?;
        }
        Ok(())
    }
}

fn open(from: ArchiveSource, scratch: &Scratch) -> Result<Archive, ImageError> {
    let file = match from {
        ArchiveSource::Path(path) => File::open(&path).map_err(|source| ImageError::Io {
            action: "open",
            path,
            source,
        })?,
        ArchiveSource::Stream(file) => file,
    };
    Ok(Archive::open(file, scratch.path())?)
}
