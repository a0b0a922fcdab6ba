//! The files that a build copies: a directory of the host, or what an archive or a source on the network holds.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use frontend::ignore::Ignore;
use layer::View;
use tokio::sync::OnceCell;

use super::blocking;
use super::request::{BuildRequest, ContextSource};
use crate::engine::Engine;
use crate::error::{BuildError, FileError, StepError};
use crate::files::context::Context;
use crate::files::filter::Filter;
use crate::files::node::Node;
use crate::files::select::{Names, Tree};
use crate::files::view::ViewTree;
use crate::progress::Progress;
use crate::rootfs::{Layer, Rootfs, Sealed};
use crate::sources::{SourceError, archive_layer};

/// An archive that comes as a stream, as it is or compressed. It is read once, however often a build begins anew.
#[derive(Clone)]
pub struct ArchiveInput {
    reader: Arc<Mutex<Option<Box<dyn Read + Send>>>>,
    layer: Arc<OnceCell<Sealed>>,
}

impl ArchiveInput {
    /// The archive that `reader` gives.
    pub fn new(reader: impl Read + Send + 'static) -> Self {
        Self {
            reader: Arc::new(Mutex::new(Some(Box::new(reader)))),
            layer: Arc::default(),
        }
    }

    async fn layer(&self, engine: &Engine) -> Result<Sealed, SourceError> {
        let reader = || {
            let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever could not read it fails the whole build.
            reader.take().unwrap_or_else(|| Box::new(std::io::empty()))
        };
        let read = || async {
            let (engine, reader) = (engine.clone(), reader());
            blocking(move || archive_layer(&engine, reader)).await?
        };
        self.layer.get_or_try_init(read).await.cloned()
    }
}

impl std::fmt::Debug for ArchiveInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArchiveInput").finish_non_exhaustive()
    }
}

/// The layer of a context that is no directory; `None` for one that is.
pub(super) async fn fetch(
    engine: &Engine,
    request: &BuildRequest,
    progress: &Progress,
) -> Result<Option<Rootfs>, BuildError> {
    let failed = |source: SourceError| BuildError::Context {
        context: request.context.to_string(),
        source: Box::new(source),
    };
    let row = match &request.context {
        ContextSource::Directory(_) => return Ok(None),
        ContextSource::Empty => return Ok(Some(Rootfs::default())),
        ContextSource::Archive(_) => progress.start("[internal] load build context"),
        ContextSource::Remote(source) => progress.start(format!(
            "[internal] load build context {}",
            source.display()
        )),
    };
    let layer = async {
        match &request.context {
            ContextSource::Archive(input) => input.layer(engine).await,
            ContextSource::Remote(source) => {
                let pinned = engine.pin_source(source, request.access(), &row).await?;
                engine.source_layer(&pinned, request.access(), &row).await
            }
            ContextSource::Directory(_) | ContextSource::Empty => unreachable!("told apart above"),
        }
    };
    let layer = row.finish(layer.await).map_err(failed)?;
    Ok(Some(Rootfs::new(vec![Layer::stored(layer)])))
}

/// A context whose files can be found.
pub(super) enum BuildContext {
    /// A directory of the host, seen through its ignore file. Its files belong to root.
    Directory(Context),
    /// Files with owners of their own. As with BuildKit, no ignore file hides any of them.
    Tree(ViewTree, Ignore),
}

impl BuildContext {
    pub(super) fn of_view(view: View) -> Self {
        Self::Tree(ViewTree::new(view), Ignore::default())
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self, Self::Directory(_))
    }

    /// What hides files of it.
    pub(super) fn ignore(&self) -> &Ignore {
        match self {
            Self::Directory(context) => context.ignore(),
            Self::Tree(_, nothing) => nothing,
        }
    }

    /// The ignore file, if it is what hides the file at `path`.
    pub(super) fn ignore_file_hiding(&self, path: &str) -> Option<String> {
        match self {
            Self::Directory(context) => context.ignore_file_hiding(path),
            Self::Tree(..) => None,
        }
    }

    /// Whether there is a socket at `path`.
    pub(super) fn is_socket(&self, path: &str) -> bool {
        match self {
            Self::Directory(context) => context.is_socket(path),
            Self::Tree(..) => false,
        }
    }

    /// How long all threads together read files for their digests since this was last asked.
    pub(super) fn take_hashing_time(&self) -> Duration {
        match self {
            Self::Directory(context) => context.take_hashing_time(),
            Self::Tree(..) => Duration::ZERO,
        }
    }

    /// Keeps what was learnt about the files for the next build.
    pub(super) fn remember(&self) -> Result<(), cache::Error> {
        match self {
            Self::Directory(context) => context.remember(),
            Self::Tree(..) => Ok(()),
        }
    }
}

impl Tree for BuildContext {
    fn node_at(&self, path: &[u8], filter: &Filter) -> Result<Option<Node>, FileError> {
        match self {
            Self::Directory(context) => context.node_at(path, filter),
            Self::Tree(tree, _) => tree.node_at(path, filter),
        }
    }

    fn names_in(&self, path: &[u8], follow: bool) -> Result<Names, FileError> {
        match self {
            Self::Directory(context) => context.names_in(path, follow),
            Self::Tree(tree, _) => tree.names_in(path, follow),
        }
    }
}

/// The merged files of what was fetched.
pub(super) fn view(files: &Rootfs) -> Result<View, BuildError> {
    files.view().map_err(|error| {
        let error = StepError::from(error);
        BuildError::Context {
            context: "what was fetched".to_owned(),
            source: Box::new(error.into()),
        }
    })
}
