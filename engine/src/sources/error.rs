//! Why a source on the network cannot be had.

use image::registry::DownloadError;

use crate::error::{FileError, StepError};

/// A source on the network that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// What a URL leads to does not come.
    #[error("cannot download `{url}`")]
    Download {
        /// The URL.
        url: String,
        /// Why not.
        source: Box<DownloadError>,
    },
    /// It is longer than anything honest.
    #[error("`{url}` has more than {limit} bytes, which is the most that is downloaded")]
    TooLong {
        /// The URL.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// The bytes are others than the checksum says.
    #[error("`{url}` has the checksum {found}, not {expected}")]
    Checksum {
        /// The URL.
        url: String,
        /// Of what came.
        found: String,
        /// As asked for.
        expected: String,
    },
    /// There is no `git`.
    #[error("cannot run `git`, which fetches Git repositories; install it")]
    NoGit(#[source] std::io::Error),
    /// `git` failed.
    #[error("cannot {action} `{url}`: {said}")]
    Git {
        /// What it was to do.
        action: &'static str,
        /// Which repository.
        url: String,
        /// What it said.
        said: String,
    },
    /// A repository has no such branch, tag or commit.
    #[error("`{url}` has no branch or tag `{reference}`; a commit is named by all its digits")]
    NoReference {
        /// Which repository.
        url: String,
        /// As it was named.
        reference: String,
    },
    /// The commit is another than the checksum says.
    #[error("`{url}` is at commit {found}, not {expected}")]
    Commit {
        /// Which repository.
        url: String,
        /// The commit that the reference names.
        found: String,
        /// As asked for.
        expected: String,
    },
    /// The commit does not have the directory that is wanted.
    #[error("`{url}` has no directory `{subdir}`")]
    NoDirectory {
        /// Which repository.
        url: String,
        /// As it was named.
        subdir: String,
    },
    /// A submodule that is not fetched.
    #[error("cannot fetch the submodule `{path}` of `{url}`: {problem}")]
    Submodule {
        /// Which repository.
        url: String,
        /// Where the submodule is.
        path: String,
        /// Why not.
        problem: &'static str,
    },
    /// Its files cannot be put into a layer.
    #[error(transparent)]
    Files(#[from] FileError),
    /// A secret could not be read, or a layer not be written.
    #[error(transparent)]
    Step(Box<StepError>),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] cache::Error),
    /// A file of the store's temporary place could not be used.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<StepError> for SourceError {
    fn from(error: StepError) -> Self {
        Self::Step(Box::new(error))
    }
}
