//! What can go wrong with a store.

use std::io;
use std::path::{Path, PathBuf};

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The store was written by another version of the program.
    #[error("the store `{}` has layout version `{found}`, this program reads version `{expected}`", path.display())]
    Version {
        /// The store.
        path: PathBuf,
        /// Its version, shortened.
        found: String,
        /// The version that this program reads.
        expected: u32,
    },
    /// A directory with other contents was given as a store.
    #[error("`{}` is not empty and not a store", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// Bytes under a digest's name do not have this digest.
    #[error("blob `{digest}` is damaged")]
    DamagedBlob {
        /// The digest.
        digest: String,
    },
    /// A layer of that name is needed but is not in the store.
    #[error("layer `{diff_id}` is not in the store")]
    NoLayer {
        /// Its diff ID.
        diff_id: String,
    },
    /// A shortened identifier fits several images.
    #[error("`{prefix}` begins the identifiers of several images")]
    AmbiguousId {
        /// What was given.
        prefix: String,
    },
    /// It cannot be found out what needs the store's layers, so that nothing may be removed.
    #[error("cannot find out what containers need")]
    Roots {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It cannot be found out what the directory forms of layers can hold.
    #[error("cannot find out what directories can hold of layers")]
    Forms {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A record could not be put into words.
    #[error("cannot encode a record")]
    Encode {
        /// Why.
        source: serde_json::Error,
    },
}

/// Adds what was tried, and on what, to an error of the operating system.
pub(crate) trait IoContext<T> {
    /// The same result with `action`, a verb, and its object.
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> IoContext<T> for Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|error| Error::Io {
            action,
            path: path.to_owned(),
            source: error.into(),
        })
    }
}

/// `Ok(None)` instead of an error that says that there is no such file.
pub(crate) fn optional<T>(result: Result<T, io::Error>) -> Result<Option<T>, io::Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
