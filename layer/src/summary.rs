//! What is known of a layer once it is written.

use crate::digest::{ContentDigest, DiffId};
use crate::path::LayerPath;

/// A layer that was written with its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The layer's name.
    pub diff_id: DiffId,
    /// Size of the tar in bytes.
    pub tar_size: u64,
    /// The digest of everything in it but times; see [`Index::content_digest`](crate::Index::content_digest).
    pub content: ContentDigest,
    /// How many entries the tar has.
    pub entries: u64,
    /// Bytes of all regular files.
    pub file_bytes: u64,
    /// Directories that the tar does not describe although it has something in them, in order; the root may be one.
    /// They have mode 0755, belong to root and have no time, until [`reindex`](crate::reindex()) gives them the
    /// metadata of a lower layer.
    pub implied_dirs: Vec<LayerPath>,
    /// Files whose bytes do not have the digest that the plan expected: they changed since it was taken.
    pub changed: Vec<LayerPath>,
}
