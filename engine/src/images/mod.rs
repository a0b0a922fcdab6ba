//! Images in the store, and their ways in and out of it.
//!
//! An image is a record in the store, its config a blob, its layers layers. Names lead to images; those that builds
//! gave to what they start from are kept apart ([`names`]), so that the list of images holds what the user asked for.

mod archive;
mod client;
mod find;
mod layers;
mod list;
mod login;
mod names;
mod observer;
mod push;
mod record;
mod remove;
mod resolve;
mod sink;
mod source;
mod variants;
mod work;

pub use image::registry::{Kept, Proxies, key_of, registry_of};
pub use image::{Compression, Reference, ReferenceError};

pub use self::archive::{ArchiveSource, Loaded};
pub use self::list::{ImageDetail, ImageSummary};
pub use self::push::Pushed;
pub use self::remove::Removal;
pub use self::resolve::{Pulled, ResolvedImage};

pub(crate) use self::client::registry_client;
pub(crate) use self::list::created;
pub(crate) use self::names::keeps_image;
pub(crate) use self::observer::RowObserver;
pub(crate) use self::record::{Documents, Origin, Published, Recorded};
pub(crate) use self::source::StoreSource;
pub(crate) use self::work::{Scratch, Stop, Stoppable, blocking};

#[cfg(test)]
mod tests;
