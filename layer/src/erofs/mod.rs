//! The index of a layer: an EROFS image that holds only metadata and points into the layer's tar, followed by the
//! digests of what it lists.
//!
//! The kernel mounts the image with the tar as its extra device; rbuild maps the same file and looks names and digests
//! up in it without reading anything beforehand.

mod directory;
pub(crate) mod format;
mod layout;
mod read;
mod write;
pub(crate) mod xattr;

pub use directory::DirEntry;
pub(crate) use layout::{Chunking, MAX_CHUNKS};
pub use read::{Index, Inode, Nid};
pub(crate) use write::{Identity, write_index};
