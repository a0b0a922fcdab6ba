//! Reads what a build starts from: the Dockerfile and the context's ignore file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cache::ContextMemory;
use frontend::SourceText;
use frontend::ignore::Ignore;
use frontend::plan::Plan;
use frontend::remote::{HttpSource, RemoteSource, redacted};
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::NamedContext;
use super::include::{Place, directory_of};
use super::main_context::{self, BuildContext};
use super::operation::blocking;
use super::request::{BuildRequest, ContextSource, DockerfileSource};
use crate::engine::Engine;
use crate::error::{BuildError, Diagnostics};
use crate::files::context::Context;
use crate::files::filter::Filter;
use crate::files::node::Kind;
use crate::files::select::Tree as _;
use crate::files::view::ViewTree;
use crate::progress::{Progress, Row};
use crate::rootfs::{Layer, Rootfs};

/// Ignore files beyond this are refused, as they can only be mistakes.
const MAX_IGNORE_FILE: u64 = 16 << 20;
/// Dockerfiles beyond this are cut by the reader; the parser refuses what it then sees as too large.
pub(super) const MAX_DOCKERFILE: u64 = (16 << 20) + 1;

/// A Dockerfile that was read and parsed without errors.
pub(super) struct Dockerfile {
    pub(super) text: Arc<SourceText>,
    pub(super) parsed: frontend::Dockerfile,
    /// Where it was found; `None` for one that is not a file.
    path: Option<PathBuf>,
    /// The files of the context, where that is no directory.
    files: Option<Rootfs>,
}

impl Dockerfile {
    /// The files of the context, where that is no directory.
    pub(super) fn files(&self) -> Option<&Rootfs> {
        self.files.as_ref()
    }
}

/// A Dockerfile as it was found.
struct Found {
    /// For messages.
    name: String,
    /// Where it is on the host, if it is there.
    path: Option<PathBuf>,
    bytes: Vec<u8>,
    /// Where it includes files from.
    place: Place,
}

/// Fetches a context that is no directory, and reads and parses the Dockerfile.
pub(super) async fn read(
    engine: &Engine,
    request: &BuildRequest,
    progress: &Progress,
) -> Result<Dockerfile, BuildError> {
    let files = main_context::fetch(engine, request, progress).await?;
    let row = progress.start("[internal] load build definition from Dockerfile");
    let found = match &request.dockerfile {
        DockerfileSource::Url(source) => download(engine, source, request, &row).await,
        source => {
            let (source, context) = (source.clone(), request.context.clone());
            let fetched = files.clone();
            // It may be a pipe that nobody writes to.
            let found = blocking(move || locate(&source, &context, fetched.as_ref())).await;
            found.unwrap_or(Err(BuildError::Cancelled))
        }
    };
    let result = match found {
        Ok(found) => {
            let size = found.bytes.len() as u64;
            row.transfer("transferring dockerfile", size, None, true);
            let parsed = blocking(move || parse(found, files)).await;
            parsed.unwrap_or(Err(BuildError::Cancelled))
        }
        Err(error) => Err(error),
    };
    row.finish(result)
}

/// Parses what was found, and what it includes.
fn parse(found: Found, files: Option<Rootfs>) -> Result<Dockerfile, BuildError> {
    let Found {
        name,
        path,
        bytes,
        place,
    } = found;
    let mut load = |included: &str| place.read(&name, included);
    let parsed = frontend::parse_including(&name, &bytes, &mut load);
    let text = Arc::new(parsed.text);
    match parsed.dockerfile {
        Ok(parsed) => Ok(Dockerfile {
            text,
            parsed,
            path,
            files,
        }),
        Err(items) => Err(BuildError::Dockerfile(Diagnostics {
            items,
            source: text,
        })),
    }
}

/// Fetches the Dockerfile.
async fn download(
    engine: &Engine,
    source: &HttpSource,
    request: &BuildRequest,
    row: &Row,
) -> Result<Found, BuildError> {
    let url = redacted(&source.url);
    let fetch = async {
        let remote = RemoteSource::Http(source.clone());
        let pinned = engine.pin_source(&remote, request.access(), row).await?;
        engine.source_layer(&pinned, request.access(), row).await
    };
    let layer = fetch.await.map_err(|error| BuildError::RemoteDockerfile {
        url: url.clone(),
        source: Box::new(error),
    })?;
    let files = Rootfs::new(vec![Layer::stored(layer)]);
    let (name, wanted) = (source.name.clone(), url.clone());
    let bytes = blocking(move || read_fetched(&files, &name, &wanted)).await;
    Ok(Found {
        bytes: bytes.unwrap_or(Err(BuildError::Cancelled))?,
        name: url,
        path: None,
        place: Place::Nowhere,
    })
}

/// Finds the Dockerfile on the host or in the context.
fn locate(
    source: &DockerfileSource,
    context: &ContextSource,
    fetched: Option<&Rootfs>,
) -> Result<Found, BuildError> {
    let root = match context {
        ContextSource::Directory(root) => Some(root),
        _ => None,
    };
    let path = match (source, root) {
        (DockerfileSource::Text(bytes), _) => {
            return Ok(Found {
                name: "-".to_owned(),
                path: None,
                bytes: bytes.clone(),
                place: match (root, fetched) {
                    (Some(root), _) => Place::Host(root.clone()),
                    (None, Some(files)) => Place::Fetched(files.clone()),
                    (None, None) => Place::Nowhere,
                },
            });
        }
        (DockerfileSource::InContext | DockerfileSource::Url(_), Some(root)) => {
            let exists = |path: &PathBuf| open_within(root, path, OFlags::PATH).is_ok();
            either(|name| root.join(name), exists)
        }
        (DockerfileSource::File(path), root) if root.is_some() || path.is_absolute() => {
            path.clone()
        }
        (source, _) => return locate_fetched(source, context, fetched),
    };
    let bytes =
        read_bounded(root.map(PathBuf::as_path), &path, MAX_DOCKERFILE).map_err(|source| {
            BuildError::Read {
                what: "the Dockerfile",
                path: path.clone(),
                source,
            }
        })?;
    let name = root.and_then(|root| path.strip_prefix(root).ok());
    Ok(Found {
        name: name.unwrap_or(&path).display().to_string(),
        place: Place::Host(directory_of(&path)),
        path: Some(path),
        bytes,
    })
}

/// Finds the Dockerfile in a context that is no directory.
fn locate_fetched(
    source: &DockerfileSource,
    context: &ContextSource,
    fetched: Option<&Rootfs>,
) -> Result<Found, BuildError> {
    let nothing = Rootfs::default();
    let files = fetched.unwrap_or(&nothing);
    let name = if let DockerfileSource::File(path) = source {
        path.to_string_lossy().into_owned()
    } else {
        let view = main_context::view(files)?;
        let exists = |name: &String| matches!(view.resolve(name.as_bytes(), true), Ok(Some(_)));
        either(str::to_owned, exists)
    };
    Ok(Found {
        bytes: read_fetched(files, &name, &context.to_string())?,
        name,
        path: None,
        place: Place::Fetched(files.clone()),
    })
}

/// `Dockerfile`, or `dockerfile` where there is only that.
fn either<T>(place: impl Fn(&str) -> T, exists: impl Fn(&T) -> bool) -> T {
    let [upper, lower] = ["Dockerfile", "dockerfile"].map(place);
    if !exists(&upper) && exists(&lower) {
        lower
    } else {
        upper
    }
}

/// Reads a file of what was fetched from `origin`.
fn read_fetched(files: &Rootfs, name: &str, origin: &str) -> Result<Vec<u8>, BuildError> {
    let view = main_context::view(files)?;
    read_view(view, name).map_err(|source| BuildError::Read {
        what: "the Dockerfile",
        path: PathBuf::from(format!("{name} in {origin}")),
        source,
    })
}

/// Reads a Dockerfile, or a part of one, of merged files.
pub(super) fn read_view(view: layer::View, name: &str) -> std::io::Result<Vec<u8>> {
    let tree = ViewTree::new(view);
    let path = name.trim_start_matches('/').as_bytes();
    let found = tree.node_at(path, &Filter::default());
    let found = found.map_err(std::io::Error::other)?;
    let Some(Kind::File(file)) = found.map(|node| node.kind) else {
        return Err(std::io::ErrorKind::NotFound.into());
    };
    let reader = file.source().open().map_err(std::io::Error::other)?;
    let mut bytes = Vec::new();
    reader.take(MAX_DOCKERFILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_bounded(root: Option<&Path>, path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = match root {
        Some(root) => open_within(root, path, OFlags::RDONLY)?,
        None => File::open(path)?,
    };
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file. If its path is below `root`, links do not lead out of that: whoever made a context chose them, and not who
/// builds it.
fn open_within(root: &Path, path: &Path, flags: OFlags) -> std::io::Result<File> {
    let flags = flags | OFlags::CLOEXEC;
    let absolute = std::path::absolute(path)?;
    let Ok(name) = absolute.strip_prefix(std::path::absolute(root)?) else {
        return Ok(rustix::fs::open(path, flags, Mode::empty())?.into());
    };
    let top = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::open(root, top, Mode::empty())?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(top, name, flags, Mode::empty(), resolve)?.into())
}

/// Opens the context with the ignore file that belongs to the Dockerfile.
pub(super) fn context(
    engine: &Engine,
    request: &BuildRequest,
    dockerfile: &Dockerfile,
    progress: &Progress,
) -> Result<BuildContext, BuildError> {
    if let ContextSource::Directory(root) = &request.context {
        let row = progress.start("[internal] load .dockerignore");
        let context = row.finish(open(engine, root, dockerfile.path.as_deref()));
        return context.map(BuildContext::Directory);
    }
    let view = main_context::view(&dockerfile.files.clone().unwrap_or_default())?;
    Ok(BuildContext::of_view(view))
}

/// Opens the directories among the named contexts that the plan needs, each with its own ignore file.
pub(super) fn named_contexts(
    engine: &Engine,
    request: &BuildRequest,
    plan: &Plan,
    progress: &Progress,
) -> Result<BTreeMap<String, BuildContext>, BuildError> {
    let needed = plan.named_contexts().into_iter();
    let opened = needed.filter_map(|name| match request.contexts.get(name)? {
        NamedContext::Directory(path) => {
            let row = progress.start(format!(
                "[context {}] load .dockerignore",
                frontend::familiar_name(name)
            ));
            let context = row.finish(open(engine, path, None));
            Some(context.map(|context| (name.to_owned(), BuildContext::Directory(context))))
        }
        NamedContext::Image(_) | NamedContext::Layout(_) | NamedContext::Remote(_) => None,
    });
    opened.collect()
}

/// Opens a directory as a context; `dockerfile` may have an ignore file of its own.
fn open(engine: &Engine, path: &Path, dockerfile: Option<&Path>) -> Result<Context, BuildError> {
    let failed = |source| BuildError::Read {
        what: "the build context",
        path: path.to_owned(),
        source,
    };
    let root = path.canonicalize().map_err(failed)?;
    let (name, ignore) = ignore_file(path, dockerfile)?;
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
        match read_bounded(Some(root), &path, MAX_IGNORE_FILE) {
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
