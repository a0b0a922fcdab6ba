//! Sources on the network: what URLs of HTTP lead to, and commits of Git repositories, as layers.
//!
//! [`Engine::pin_source`] finds out what a source is now, which names it for good; [`Engine::source_layer`] gives the
//! layer of what was pinned: its files, owned by root, with nothing below them. A layer that the store has is not fetched
//! again. Who takes a source for a context or a stage does so by these two.

mod error;
mod git;
mod http;
mod layer;
mod time;

use std::path::Path;

use frontend::remote::RemoteSource;
use solver::KeyWriter;

pub use self::error::SourceError;
use self::git::PinnedCommit;
pub(crate) use self::git::is_mirror;
use self::http::PinnedFile;
pub(crate) use self::layer::archive_layer;
pub(crate) use self::time::newest_file;
use crate::build::Secrets;
use crate::engine::Engine;
use crate::progress::Row;
use crate::rootfs::Sealed;

/// By what servers are persuaded to give something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access<'a> {
    pub(crate) secrets: &'a Secrets,
    /// The socket of an agent that has keys for SSH.
    pub(crate) agent: Option<&'a Path>,
}

/// A source that can be nothing else any more.
#[derive(Debug)]
pub(crate) enum Pinned {
    /// Bytes of a digest.
    File(PinnedFile),
    /// A commit.
    Commit(PinnedCommit),
}

impl Pinned {
    /// What it is pinned to: a digest or a commit.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(file) => file.name(),
            Self::Commit(commit) => commit.name(),
        }
    }

    /// Everything that the files of the source depend on.
    pub(crate) fn identity(&self) -> KeyWriter {
        match self {
            Self::File(file) => file.identity(),
            Self::Commit(commit) => commit.identity(),
        }
    }
}

impl Engine {
    /// Finds out what a source is now. `access` may have a login for its host.
    pub(crate) async fn pin_source(
        &self,
        source: &RemoteSource,
        access: Access<'_>,
        row: &Row,
    ) -> Result<Pinned, SourceError> {
        match source {
            RemoteSource::Http(source) => {
                let pinned = http::pin(self, source, access, row).await;
                pinned.map(Pinned::File)
            }
            RemoteSource::Git(source) => git::pin(self, source, access).await.map(Pinned::Commit),
        }
    }

    /// The layer of a source that was pinned.
    pub(crate) async fn source_layer(
        &self,
        pinned: &Pinned,
        access: Access<'_>,
        row: &Row,
    ) -> Result<Sealed, SourceError> {
        match pinned {
            Pinned::File(file) => file.layer(self, access, row).await,
            Pinned::Commit(commit) => commit.layer(self, access, row).await,
        }
    }
}
