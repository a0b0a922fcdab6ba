//! Archives of images: OCI's, Docker's, and both in one.
//!
//! What is written has the layout that BuildKit writes: `oci-layout`, `index.json` and `blobs/sha256/…`, for Docker a
//! `manifest.json` that points into the same blobs; entries are sorted and have no times. What is read may also be
//! what older versions of Docker and other tools write, compressed or not.

mod blobs;
mod contents;
mod images;
mod layout;
mod load;
mod names;
mod scan;
mod write;

use layer::Digest;

pub use layout::{Layout, LayoutImage};
pub use load::{Archive, LoadedImage};
pub use write::{ArchiveFormat, ArchiveImage, ArchiveOptions, write_archive, write_layout};

/// Where an archive has its index, by the OCI image layout specification.
const INDEX_FILE: &str = "index.json";
/// The mark of a layout.
const LAYOUT_FILE: &str = "oci-layout";
/// Docker's list of images.
const MANIFEST_FILE: &str = "manifest.json";
/// containerd's annotation of an image's full name.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// OCI's annotation of a name: the tag alone, where containerd's stands beside it.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// OCI's annotation of a time.
const CREATED: &str = "org.opencontainers.image.created";

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveProblem {
    /// The compressed or the plain stream could not be read.
    #[error("cannot read it")]
    Read(#[source] std::io::Error),
    /// Something that is no tar, or a damaged one.
    #[error("it is not a tar archive, or damaged at byte {offset}")]
    NotATar {
        /// Where in the uncompressed archive.
        offset: u64,
    },
    /// It ends too early.
    #[error("it is cut off at byte {offset}")]
    Truncated {
        /// Where in the uncompressed archive.
        offset: u64,
    },
    /// More entries, or longer names, than an archive of images has.
    #[error("it has too many entries or too long names for an archive of images")]
    TooLarge,
    /// It has neither an `index.json` nor a `manifest.json`.
    #[error("it has neither an `index.json` nor a `manifest.json`: it is no archive of images")]
    NoImages,
    /// An OCI layout without an image of this tag.
    #[error("it has no image with the tag `{0}`, and more than one image")]
    NoTag(String),
    /// A file that it speaks of is not in it.
    #[error("`{name}` is missing")]
    Missing {
        /// Which.
        name: String,
    },
    /// A document that is too large.
    #[error("`{name}` has {size} bytes, which is too large for what it is")]
    LargeDocument {
        /// Which.
        name: String,
        /// How many bytes.
        size: u64,
    },
    /// A document that is not JSON of the right form.
    #[error("`{name}` is not what it should be")]
    Document {
        /// Which.
        name: String,
        /// What the reader said.
        source: serde_json::Error,
    },
    /// A file whose name is a digest that it does not have.
    #[error("`{name}` has the content of {actual}")]
    WrongDigest {
        /// The file.
        name: String,
        /// Its digest.
        actual: Digest,
    },
    /// A config that names another number of layers.
    #[error("`{name}` has {layers} layers, and its config names {diff_ids}")]
    LayerCount {
        /// The config.
        name: String,
        /// Layers in `manifest.json`.
        layers: usize,
        /// Layers in the config.
        diff_ids: usize,
    },
}

/// The name of a blob's file.
fn blob_file(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.to_hex())
}

#[cfg(test)]
mod tests;
