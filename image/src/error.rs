//! Why something could not be done with an image.

use std::path::PathBuf;

use layer::{DiffId, Digest};

use crate::archive::ArchiveProblem;
use crate::compression::Compression;
use crate::manifest::ManifestProblem;
use crate::reference::ReferenceError;
use crate::registry::RegistryError;

/// What a store of layers says when it fails: see [`crate::transfer`].
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// Something that could not be done with an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is not a reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A registry could not be asked, or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A manifest, an index or a config from outside is not what it should be.
    #[error("bad {document}")]
    Manifest {
        /// Which document, in words: `manifest of docker.io/library/busybox:latest`.
        document: String,
        /// What is wrong with it.
        source: ManifestProblem,
    },
    /// No image for the wanted platform.
    #[error("{image} has no image for {wanted}; it has {}", list(available))]
    NoPlatform {
        /// What was asked.
        image: String,
        /// `os/architecture[/variant]`.
        wanted: String,
        /// What there is.
        available: Vec<String>,
    },
    /// A blob is not the one that its name says.
    #[error("blob {expected} does not have that digest: its content has {actual}")]
    WrongDigest {
        /// The name.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// A blob has another length than its descriptor says.
    #[error("blob {digest} has {actual} bytes where {expected} were announced")]
    WrongSize {
        /// Which blob.
        digest: Digest,
        /// What the descriptor says.
        expected: u64,
        /// How many came; one more than expected stands for any number above.
        actual: u64,
    },
    /// What a layer's blob unpacks to is not what the image's config names.
    #[error("layer {blob} unpacks to {actual} where the image's config names {expected}")]
    WrongDiffId {
        /// The blob, or the name of the file in an archive.
        blob: String,
        /// What the config names.
        expected: DiffId,
        /// The SHA-256 of the tar that came.
        actual: DiffId,
    },
    /// Neither the mirrors of a registry nor itself could give something.
    #[error("its mirrors failed ({}), and then the registry", said(mirrors))]
    Mirrors {
        /// The mirrors, and what became of each.
        mirrors: Vec<(String, Error)>,
        /// What became of the registry itself.
        #[source]
        registry: Box<Error>,
    },
    /// A layer's tar is damaged, or could not be written.
    #[error("cannot bring in layer {blob}")]
    Layer {
        /// The blob, or the name of the file in an archive.
        blob: String,
        /// What the layer's reader said.
        source: layer::Error,
    },
    /// A compressed stream is damaged.
    #[error("cannot decompress {what}")]
    Decompress {
        /// What was read.
        what: String,
        /// What the decoder said.
        source: std::io::Error,
    },
    /// A level that the compression does not have.
    #[error("{compression} has no level {level}; it goes from 0 to {highest}")]
    CompressionLevel {
        /// Which compression.
        compression: Compression,
        /// What was asked.
        level: i32,
        /// The highest one.
        highest: i32,
    },
    /// An archive cannot be read.
    #[error("cannot load the archive")]
    Archive(#[from] ArchiveProblem),
    /// An image is to be pushed without a name.
    #[error("there is no name to push the image under")]
    NoTarget,
    /// The caller's store failed.
    #[error("the store failed")]
    Store(#[source] StoreError),
    /// A stream or an unnamed file of the host failed.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the host could not be used.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The other half of the work ended first: its error says why.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Whether bytes were not what they should be, so that those of another source may be better.
    pub(crate) fn is_content(&self) -> bool {
        matches!(
            self,
            Self::WrongDigest { .. }
                | Self::WrongSize { .. }
                | Self::Layer { .. }
                | Self::Decompress { .. }
        )
    }
}

/// Gives an I/O error the name of what was tried.
pub(crate) trait IoContext<T> {
    fn doing(self, action: &'static str) -> Result<T, Error>;
}

impl<T> IoContext<T> for Result<T, std::io::Error> {
    fn doing(self, action: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Io { action, source })
    }
}

fn said(mirrors: &[(String, Error)]) -> String {
    let each = mirrors
        .iter()
        .map(|(name, error)| format!("`{name}`: {error}"));
    each.collect::<Vec<_>>().join("; ")
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
