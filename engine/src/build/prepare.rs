//! Reads what a build starts from: the Dockerfile and the context's ignore file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cache::ContextMemory;
use frontend::SourceText;
use frontend::ignore::Ignore;
use frontend::plan::{Plan, StepKind};

use super::NamedContext;
use super::operation::blocking;
use super::request::{BuildRequest, DockerfileSource};
use crate::engine::Engine;
use crate::error::{BuildError, Diagnostics};
use crate::files::context::Context;
use crate::progress::Progress;

/// Ignore files beyond this are refused, as they can only be mistakes.
const MAX_IGNORE_FILE: u64 = 16 << 20;
/// Dockerfiles beyond this are cut by the reader; the parser refuses what it then sees as too large.
const MAX_DOCKERFILE: u64 = (16 << 20) + 1;

/// A Dockerfile that was read and parsed without errors.
pub(super) struct Dockerfile {
    pub(super) text: Arc<SourceText>,
    pub(super) parsed: frontend::Dockerfile,
    /// Where it was found; `None` for one that is not a file.
    path: Option<PathBuf>,
}

/// Reads and parses the Dockerfile on a thread of its own: it may be a pipe that nobody writes to.
pub(super) async fn read_aside(
    request: &Arc<BuildRequest>,
    progress: &Progress,
) -> Result<Dockerfile, BuildError> {
    let (request, progress) = (Arc::clone(request), progress.clone());
    let read = blocking(move || read(&request, &progress)).await;
    read.map_err(|_| BuildError::Cancelled)?
}

/// Reads and parses the Dockerfile.
fn read(request: &BuildRequest, progress: &Progress) -> Result<Dockerfile, BuildError> {
    let row = progress.start("[internal] load build definition from Dockerfile");
    let result = locate(request).and_then(|(name, path, bytes)| {
        row.transfer("transferring dockerfile", bytes.len() as u64, None, true);
        let parsed = frontend::parse(&name, &bytes);
        let text = Arc::new(parsed.text);
        match parsed.dockerfile {
            Ok(parsed) => Ok(Dockerfile { text, parsed, path }),
            Err(items) => Err(BuildError::Dockerfile(Diagnostics {
                items,
                source: text,
            })),
        }
    });
    row.finish(result)
}

/// The Dockerfile's name for messages, its path and its bytes.
fn locate(request: &BuildRequest) -> Result<(String, Option<PathBuf>, Vec<u8>), BuildError> {
    let path = match &request.dockerfile {
        DockerfileSource::Text(bytes) => return Ok(("-".to_owned(), None, bytes.clone())),
        DockerfileSource::File(path) => path.clone(),
        DockerfileSource::InContext => {
            let path = request.context.join("Dockerfile");
            let lower = request.context.join("dockerfile");
            if !path.exists() && lower.exists() {
                lower
            } else {
                path
            }
        }
    };
    let bytes = read_bounded(&path, MAX_DOCKERFILE).map_err(|source| BuildError::Read {
        what: "the Dockerfile",
        path: path.clone(),
        source,
    })?;
    let name = path.strip_prefix(&request.context).unwrap_or(&path);
    Ok((name.display().to_string(), Some(path), bytes))
}

fn read_bounded(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(limit)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens the context with the ignore file that belongs to the Dockerfile.
pub(super) fn context(
    engine: &Engine,
    request: &BuildRequest,
    dockerfile: &Dockerfile,
    progress: &Progress,
) -> Result<Context, BuildError> {
    let row = progress.start("[internal] load .dockerignore");
    row.finish(open_context(engine, request, dockerfile))
}

/// Opens the directories among the named contexts that the plan needs, each with its own ignore file.
pub(super) fn named_contexts(
    engine: &Engine,
    request: &BuildRequest,
    plan: &Plan,
) -> Result<BTreeMap<String, Context>, BuildError> {
    let nodes = plan.graph.ids();
    let needed = nodes.filter_map(|node| match &plan.graph.get(node).kind {
        StepKind::Context(name) => Some(name),
        _ => None,
    });
    let opened = needed.filter_map(|name| match request.contexts.get(name)? {
        NamedContext::Directory(path) => {
            let context = open(engine, path, None);
            Some(context.map(|context| (name.clone(), context)))
        }
        NamedContext::Image(_) | NamedContext::Remote(_) => None,
    });
    opened.collect()
}

fn open_context(
    engine: &Engine,
    request: &BuildRequest,
    dockerfile: &Dockerfile,
) -> Result<Context, BuildError> {
    open(engine, &request.context, dockerfile.path.as_deref())
}

/// Opens a directory as a context; `dockerfile` may have an ignore file of its own.
fn open(engine: &Engine, path: &Path, dockerfile: Option<&Path>) -> Result<Context, BuildError> {
    let failed = |source| BuildError::Read {
        what: "the build context",
        path: path.to_owned(),
        source,
    };
    let root = path.canonicalize().map_err(failed)?;
    let (name, ignore) = ignore_file(&root, dockerfile)?;
    let memory = ContextMemory::load(engine.store(), &root.to_string_lossy());
    Context::open(&root, name, ignore, memory).map_err(|error| failed(std::io::Error::other(error)))
}

/// `<Dockerfile>.dockerignore` beside the Dockerfile, else `.dockerignore` in the context, else nothing.
fn ignore_file(root: &Path, dockerfile: Option<&Path>) -> Result<(String, Ignore), BuildError> {
    let beside = dockerfile.map(|path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".dockerignore");
        PathBuf::from(name)
    });
    for path in beside.into_iter().chain([root.join(".dockerignore")]) {
        let failed = |source| BuildError::Read {
            what: "the ignore file",
            path: path.clone(),
            source,
        };
        match read_bounded(&path, MAX_IGNORE_FILE) {
            Ok(bytes) => {
                let ignore =
                    Ignore::parse(&bytes).map_err(|error| failed(std::io::Error::other(error)))?;
                let name = path.strip_prefix(root).unwrap_or(&path);
                return Ok((name.display().to_string(), ignore));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok((String::new(), Ignore::default()))
}
