//! Images: their names, documents, registries and archives.
//!
//! - [`reference`](Reference), [`config`], [`manifest`]: names and documents, pure data.
//! - [`registry`]: the client; [`pull`] and [`push`] move whole images with it.
//! - [`archive`]: `docker save` and OCI archives and layouts, written and read.
//! - [`compression`]: gzip and zstd, on all cores.
//!
//! The crate knows no store. Layers come from and go to the caller through the traits of [`transfer`].
//!
//! What always holds: no byte of a layer or document from outside reaches the caller as whole before its digest is
//! verified, and what is read into memory is bounded ([`manifest::SIZE_MAX`] for documents).

pub mod archive;
pub mod compression;
pub mod config;
pub mod manifest;
pub mod media_type;
pub mod platform;
pub mod pull;
pub mod push;
pub mod registry;
pub mod transfer;

mod compressing;
mod content;
mod error;
mod json;
mod reference;

pub use compression::{Compression, Encoding, UnknownCompression};
pub use config::ImageConfig;
pub use content::{Content, LocalImage, index_of};
pub use error::{Error, StoreError};
pub use manifest::{Descriptor, Manifest};
pub use media_type::MediaTypes;
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError, ReferenceProblem, Repository};
pub use registry::{Client, RegistryError};
