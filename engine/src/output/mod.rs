//! What becomes of a finished build: an image in the store, in a registry or in an archive, or its files.

mod attributes;
mod destination;
mod export;
mod files;
mod write;

pub use self::attributes::{ArchivePlace, Form, Output, OutputKind, OutputSpec};
pub use self::destination::Destination;

#[cfg(test)]
mod tests;
