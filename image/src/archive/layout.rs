//! An OCI layout in a directory, to build from. It is only read, and nothing in it is believed.

use std::path::Path;

use layer::{DiffId, Digest};

use super::contents::Contents;
use super::images::{FoundImage, find_one};
use crate::config::ImageConfig;
use crate::error::Error;
use crate::platform::Platform;
use crate::transfer::{LayerSink, Observer};

/// An OCI layout, open.
#[derive(Debug)]
pub struct Layout {
    contents: Contents,
}

/// An image of a layout: its documents, verified.
#[derive(Debug)]
pub struct LayoutImage {
    contents: Contents,
    found: FoundImage,
    /// Its config.
    pub config: ImageConfig,
}

impl Layout {
    /// Opens a directory.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let contents = Contents::directory(path)?;
        Ok(Self { contents })
    }

    /// The image of a digest, of a tag (`latest` for none), or the only one, as `docker buildx` finds it; of those for
    /// several platforms, the one for `platform`. `name` is what errors call it. Blocks.
    pub fn image(
        self,
        name: &str,
        tag: Option<&str>,
        digest: Option<Digest>,
        platform: &Platform,
    ) -> Result<LayoutImage, Error> {
        let found = find_one(&self.contents, tag, digest, platform)?;
        Ok(LayoutImage {
            config: ImageConfig::parse(name, &found.config)?,
            contents: self.contents,
            found,
        })
    }
}

impl LayoutImage {
    /// The digest of its config.
    pub fn id(&self) -> Digest {
        self.found.id
    }

    /// Its layers, base first.
    pub fn layers(&self) -> Vec<DiffId> {
        let layers = self.found.layers.iter();
        layers.map(|layer| layer.diff_id).collect()
    }

    /// Brings its layers into a store. Blocks.
    pub fn load(&self, sink: &dyn LayerSink, observer: &dyn Observer) -> Result<(), Error> {
        let images = std::slice::from_ref(&self.found);
        self.contents.load_layers(images, sink, observer)
    }
}
