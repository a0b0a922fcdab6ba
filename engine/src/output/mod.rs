//! What becomes of a finished build: an image in the store, in a registry or in an archive, or its files.

mod attributes;
mod destination;
mod export;
mod files;
mod stored;
mod write;

pub use self::attributes::{ArchivePlace, Form, Output, OutputKind, OutputSpec, Split};
pub use self::destination::Destination;

pub(crate) use self::write::check_outputs;

#[cfg(test)]
mod tests;
