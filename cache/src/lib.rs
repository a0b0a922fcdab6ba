//! The store: everything that a build leaves behind, on disk, for any number of processes at once.
//!
//! Plain files, renames and locks; no database. The places are the variants of [`Bucket`]; beside them the root
//! holds these files:
//!
//! ```text
//! STORE/version       the version of the layout as a whole
//! STORE/lock          empty; byte ranges of it are locked, see [`lock`]
//! STORE/hashing-key   what secrets are hashed with, once one was; see [`Store::keyed_hash`]
//! ```
//!
//! Rules that hold at every instant:
//! - A file or directory is made under a temporary name and renamed into place, so it is whole or absent, however a
//!   process ends. Records carry a checksum and layers their sizes, so what a power failure tore counts as absent.
//! - What outlasts a power failure, and when, is said in [`durable`].
//! - A [`Layer`] that somebody holds is not removed, see [`collect`].
//! - Removal is a rename into the trash, at once; [`Store::sweep`] empties the trash whenever there is time.
//! - What belongs to a running process carries its owner's number, whose lock tells whether it still lives.

pub mod actions;
pub mod blobs;
mod bucket;
pub mod builds;
pub mod check;
pub mod collect;
pub mod context_memory;
pub mod downloads;
pub mod durable;
mod error;
pub mod filter;
pub mod forms;
mod hashing_key;
pub mod images;
pub mod layers;
pub mod lock;
pub mod mounts;
mod names;
pub mod partials;
pub mod policy;
mod record;
mod store;
#[cfg(test)]
mod testing;
pub mod transfers;
pub mod trash;
mod tree;
pub mod usage;

pub use actions::Actions;
pub use blobs::Blobs;
pub use bucket::Bucket;
pub use builds::{BuildName, Builds};
pub use check::{Checked, Damage, Problem};
pub use collect::{Collected, Collector};
pub use context_memory::{ContextMemory, FileStamp};
pub use downloads::{Downloaded, Downloads};
pub use durable::Durability;
pub use error::Error;
pub use filter::{Comparison, Filter, Pattern, Property};
pub use forms::{Form, Upper};
pub use images::{Image, Images, NamedImage, Tag};
pub use layers::{Layer, LayerDraft, Layers};
pub use lock::RangeLock;
pub use mounts::{MountLease, Mounts, Sharing};
pub use partials::{Partial, Partials};
pub use policy::{Disk, Limits, Prune};
pub use store::Store;
pub use transfers::{Compression, Transfer, Transfers};
pub use trash::Swept;
pub use usage::{Item, Kept, Kind, Roots, Usage};
