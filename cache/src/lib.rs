//! The store: everything that a build leaves behind, on disk, for any number of processes at once.
//!
//! Plain files, renames and locks; no database. The places are the variants of [`Bucket`]; beside them the root
//! holds two files:
//!
//! ```text
//! STORE/version   the version of the layout as a whole
//! STORE/lock      empty; byte ranges of it are locked, see [`lock`]
//! ```
//!
//! Rules that hold at every instant:
//! - A file or directory is made under a temporary name and renamed into place, so it is whole or absent, however a
//!   process ends. Records carry a checksum and layers their sizes, so what a power failure tore counts as absent.
//! - Nothing is synced file by file. [`Store::sync`] makes durable all that was written before it; a program calls
//!   it once, before it reports something done.
//! - Removal is a rename into the trash, at once; [`Store::sweep`] empties the trash whenever there is time.
//! - What belongs to a running process carries its owner's number, whose lock tells whether it still lives.

pub mod actions;
pub mod blobs;
mod bucket;
pub mod context_memory;
mod error;
pub mod images;
pub mod layers;
pub mod lock;
pub mod mounts;
mod names;
pub mod partials;
mod record;
mod store;
pub mod transfers;

pub use actions::Actions;
pub use blobs::Blobs;
pub use bucket::Bucket;
pub use context_memory::{ContextMemory, FileStamp};
pub use error::Error;
pub use images::{Image, Images, NamedImage, Tag};
pub use layers::{Form, Layer, LayerDraft, Layers, Upper};
pub use lock::RangeLock;
pub use mounts::{MountLease, Mounts, Sharing};
pub use partials::{Partial, Partials};
pub use store::{Store, Swept};
pub use transfers::{Compression, Transfer, Transfers};
