//! What is sent or written under one name: an image, or an index of images.

use layer::DiffId;

use crate::manifest::{Descriptor, Index};
use crate::media_type::MediaTypes;
use crate::platform::Platform;

/// An image that the caller has.
#[derive(Debug, Clone)]
pub struct LocalImage {
    /// Its config's bytes.
    pub config: Vec<u8>,
    /// Its layers, base first.
    pub layers: Vec<DiffId>,
}

/// An image, or images for several platforms.
#[derive(Debug, Clone)]
pub enum Content {
    /// A name leads to its manifest.
    Image(LocalImage),
    /// A name leads to an index of their manifests, in this order.
    Index(Vec<(Platform, LocalImage)>),
}

impl Content {
    /// The images.
    pub fn images(&self) -> impl Iterator<Item = &LocalImage> {
        let (one, several) = match self {
            Self::Image(image) => (Some(image), [].as_slice()),
            Self::Index(images) => (None, images.as_slice()),
        };
        one.into_iter()
            .chain(several.iter().map(|(_, image)| image))
    }
}

impl From<LocalImage> for Content {
    fn from(image: LocalImage) -> Self {
        Self::Image(image)
    }
}

/// The index of images by their platforms and the pointers to their manifests, as BuildKit writes it: its bytes and the
/// pointer to them.
pub fn index_of(
    manifests: impl IntoIterator<Item = (Platform, Descriptor)>,
    media_types: MediaTypes,
) -> (Vec<u8>, Descriptor) {
    let entries = manifests
        .into_iter()
        .map(|(platform, manifest)| Descriptor {
            platform: Some(platform),
            ..manifest
        });
    Index::of(media_types, entries.collect()).encode_document()
}
