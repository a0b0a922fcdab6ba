//! A layer of an image: an uncompressed tar, and an index of it that the kernel can mount.
//!
//! The tar is what OCI defines; its SHA-256 is the layer's name ([`DiffId`]). The index is a metadata-only EROFS image
//! that points into the tar, with the digest of every file and directory behind it ([`Index`]). A layer comes into
//! being in one of three ways, each of which writes both in one pass: from a plan ([`write_layer`]), from an overlay
//! upper directory ([`seal()`]), or from a stream ([`index_tar`]). Layers are read through a [`View`], which merges a
//! stack of them, or put in a directory ([`unpack()`]) where they cannot be mounted.

mod build;
mod compare;
mod digest;
mod emit;
mod entry;
mod erofs;
mod error;
mod extract;
mod host;
mod merkle;
mod metadata;
mod overlay;
mod path;
mod place;
mod plan;
mod read_ahead;
mod reindex;
mod seal;
mod sink;
mod source;
mod squash;
mod stream;
mod summary;
mod tar;
mod tree;
mod trees;
mod unpack;
mod upper;
mod view;

pub use build::{WriteOptions, write_layer, write_layer_in_order};
pub use compare::{Difference, compare};
pub use digest::{ChainId, ContentDigest, DiffId, Digest, DigestError};
pub use entry::{EntryKind, PlannedEntry, PlannedFile, PlannedNode};
pub use erofs::{DirEntry, Index, Inode, Nid};
pub use error::{Error, IndexProblem, PlanProblem, Result, TarProblem};
pub use host::digest_file;
pub use metadata::{Metadata, Timestamp, Xattrs};
pub use path::{LayerPath, MAX_NAME, MAX_PATH, PathError};
pub use reindex::reindex;
pub use seal::{scan_upper, seal};
pub use source::{Extent, FileRange, FileSource, FileVersion, SourceReader};
pub use squash::squash;
pub use stream::{Limits, Whiteouts, index_archive, index_tar};
pub use summary::Summary;
pub use trees::{LayerTree, TreeEntry, TreeNode};
pub use unpack::{
    UnpackOptions, extract_directory, flatten_directory, flatten_tar, plan_layer, unpack,
    unpack_with,
};
pub use upper::UpperDir;
pub use view::{LinkId, View, ViewNode};
