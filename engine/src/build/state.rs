//! What all steps of one build share.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use cache::MountLease;
use frontend::plan::{self, CacheMount, ImageSource, Source};
use layer::{ContentDigest, Timestamp};
use solver::KeyWriter;
use tokio::sync::{Mutex, OnceCell};

use super::Seals;
use super::debug::Failed;
use super::identity::StepSettings;
use super::main_context::BuildContext;
use super::operation::blocking;
use super::request::{BuildRequest, HostAddress};
use crate::engine::Engine;
use crate::error::{FileError, StepError};
use crate::event::Phase;
use crate::files::filter::Filter;
use crate::files::node::{LinkNumbers, Node};
use crate::files::select::Tree;
use crate::images::ResolvedImage;
use crate::progress::Row;
use crate::rootfs::{Layer, Rootfs};
use crate::sources::is_mirror;

/// Steps that may run at the same time where the caller does not say: most of them wait for something.
const DEFAULT_JOBS: usize = 16;

/// The host name that steps see, as BuildKit's.
const HOST_NAME: &str = "buildkitsandbox";

/// What stands for this machine's address until a step's network is known.
const HOST_GATEWAY: &str = "host-gateway";

/// Mode of a cache mount's directory that does not say (BuildKit's default).
const DEFAULT_MODE: u32 = 0o755;

/// The directories that a build reads.
pub(super) struct Contexts {
    /// The build context.
    pub(super) main: BuildContext,
    /// Named contexts, by their full names.
    pub(super) named: BTreeMap<String, BuildContext>,
}

/// A build under way.
pub(super) struct Build {
    engine: Engine,
    request: Arc<BuildRequest>,
    contexts: Contexts,
    images: HashMap<String, ResolvedImage>,
    hosts: Vec<String>,
    now: Timestamp,
    epoch: Option<i64>,
    host_name: Option<String>,
    seals: Seals,
    /// Layers made of parts of contexts.
    context_layers: Mutex<HashMap<ContextPart, Arc<OnceCell<Layer>>>>,
    /// Layers whose upper directories are in use until the build ends.
    fresh: std::sync::Mutex<Vec<Layer>>,
    keeps_failures: AtomicBool,
    /// The first step whose command failed, if failures are kept.
    failed: std::sync::Mutex<Option<Failed>>,
}

impl std::fmt::Debug for Build {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Build").finish_non_exhaustive()
    }
}

/// Files that a mount shows.
#[derive(Debug)]
pub(super) struct MountedFiles {
    pub(super) rootfs: Rootfs,
    /// Which of them: a path in the root file system.
    pub(super) path: String,
    /// Whether that is a directory.
    pub(super) directory: bool,
}

/// What is at a path of a context.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ContextPart {
    source: Source,
    path: String,
}

impl ContextPart {
    pub(super) fn new(source: &Source, path: &str) -> Self {
        Self {
            source: source.clone(),
            path: path.to_owned(),
        }
    }

    /// All of a named context.
    pub(super) fn all_of(name: &str) -> Self {
        Self::new(&Source::Named(name.to_owned()), "/")
    }

    /// Its path, relative to the root of the context.
    pub(super) fn path(&self) -> &[u8] {
        self.path.trim_matches('/').as_bytes()
    }

    /// Whose path it is, for messages.
    fn place(&self) -> String {
        place_of(&self.source)
    }
}

/// A source for messages.
pub(super) fn place_of(source: &Source) -> String {
    match source {
        Source::Context => "the build context".to_owned(),
        Source::Named(name) => format!("the context `{}`", frontend::familiar_name(name)),
        Source::Input(_) | Source::Empty => "the image or stage it is copied from".to_owned(),
    }
}

impl Build {
    pub(super) fn new(
        engine: Engine,
        request: Arc<BuildRequest>,
        contexts: Contexts,
        images: HashMap<String, ResolvedImage>,
        plan: &plan::Plan,
        seals: Seals,
    ) -> Self {
        let epoch = plan.epoch;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = Timestamp {
            seconds: epoch.unwrap_or(now.as_secs().cast_signed()),
            nanos: if epoch.is_some() {
                0
            } else {
                now.subsec_nanos()
            },
        };
        let hosts = request.hosts.iter();
        let hosts = hosts.map(|(name, address)| match address {
            HostAddress::Address(address) => format!("{address}\t{name}"),
            HostAddress::Gateway => format!("{HOST_GATEWAY}\t{name}"),
        });
        Self {
            hosts: hosts.collect(),
            engine,
            request,
            contexts,
            images,
            now,
            epoch,
            host_name: plan.host_name.clone(),
            seals,
            context_layers: Mutex::default(),
            fresh: std::sync::Mutex::default(),
            keeps_failures: AtomicBool::new(false),
            failed: std::sync::Mutex::default(),
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn request(&self) -> &BuildRequest {
        &self.request
    }

    pub(super) fn context(&self) -> &BuildContext {
        &self.contexts.main
    }

    /// The context that a source is; `None` for another source.
    pub(super) fn context_of(&self, source: &Source) -> Option<&BuildContext> {
        match source {
            Source::Context => Some(&self.contexts.main),
            Source::Named(name) => Some(&self.contexts.named[name]),
            Source::Input(_) | Source::Empty => None,
        }
    }

    /// Keeps what was learnt about the files of all contexts for the next build.
    pub(super) fn remember(&self) -> Result<(), cache::Error> {
        self.context().remember()?;
        let mut named = self.contexts.named.values();
        named.try_for_each(BuildContext::remember)
    }

    /// What every step does or has.
    pub(super) fn settings(&self) -> StepSettings<'_> {
        StepSettings {
            hosts: &self.hosts,
            host_name: self.host_name.as_deref().unwrap_or(HOST_NAME),
            shared_memory: self.request.shared_memory,
            limits: &self.request.limits,
            epoch: self.epoch,
        }
    }

    /// The additional lines of `/etc/hosts` for a step on this network.
    pub(super) fn hosts_on(&self, network: plan::Network) -> Result<Vec<String>, StepError> {
        let is_gateway = |line: &String| line.starts_with(HOST_GATEWAY);
        if network == plan::Network::Default
            && self.hosts.iter().any(is_gateway)
            && self.engine.runtime()?.own_network().is_ok()
        {
            return Err(StepError::NoHostGateway);
        }
        // Steps are on this machine's network, or on none.
        let lines = self.hosts.iter();
        Ok(lines
            .map(|line| match line.strip_prefix(HOST_GATEWAY) {
                Some(name) => format!("{}{name}", std::net::Ipv4Addr::LOCALHOST),
                None => line.clone(),
            })
            .collect())
    }

    /// A hash of a secret's value, which says whether it is still the same and not what it is; `None` for one that was not
    /// given. Its key is this store's own, so that hashes of guesses are of no use elsewhere.
    pub(super) fn secret_hash(&self, id: &str) -> Result<Option<[u8; 32]>, StepError> {
        let Some(value) = self.request.secrets.read(id)? else {
            return Ok(None);
        };
        Ok(Some(self.engine.store().keyed_hash(value.as_bytes())?))
    }

    /// The time of this build: `SOURCE_DATE_EPOCH` where it is set.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// `SOURCE_DATE_EPOCH`.
    pub(super) fn epoch(&self) -> Option<i64> {
        self.epoch
    }

    /// Which layers steps become.
    pub(super) fn seals(&self) -> Seals {
        self.seals
    }

    /// Whether the store lacks a base image.
    pub(super) fn is_remote(&self, source: &ImageSource) -> bool {
        self.images[&source.id].is_remote()
    }

    /// Whether the steps of a stage run again.
    pub(super) fn runs_again(&self, stage: &str) -> bool {
        let mut stages = self.request.no_cache_stages.iter();
        self.request.no_cache || stages.any(|name| name.eq_ignore_ascii_case(stage))
    }

    pub(super) fn jobs(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let default = DEFAULT_JOBS.max(4 * processors);
        self.request.jobs.unwrap_or(default)
    }

    /// The root file system of a base image, brought in where the store lacks layers of it.
    pub(super) async fn base_image(
        &self,
        source: &ImageSource,
        row: &Row,
    ) -> Result<Rootfs, StepError> {
        let image = &self.images[&source.id];
        let fetching = image.is_remote().then(|| row.spend(Phase::Network));
        let layers = self.engine.image_layers(image, row).await;
        drop(fetching);
        let layers = layers.map_err(|error| StepError::Pull {
            reference: source.reference.clone(),
            source: Box::new(error),
        })?;
        Ok(Rootfs::new(layers.into_iter().map(Layer::stored).collect()))
    }

    /// The digest of a part of a context.
    pub(super) async fn context_digest(
        self: &Arc<Self>,
        part: ContextPart,
    ) -> Result<ContentDigest, StepError> {
        let build = Arc::clone(self);
        blocking(move || {
            let mut key = KeyWriter::new("rbuild context mount", 1);
            let node = build.find_part(&part)?;
            node.encode(&mut key, &mut LinkNumbers::default());
            Ok(ContentDigest::from_bytes(key.finish()))
        })
        .await?
    }

    /// What a part of a context is.
    pub(super) fn find_part(&self, part: &ContextPart) -> Result<Node, FileError> {
        let context = self.context_of(&part.source);
        let node = context.map(|context| context.node_at(part.path(), &Filter::default()));
        node.transpose()?
            .flatten()
            .ok_or_else(|| FileError::NotFound {
                path: part.path.clone(),
                place: part.place(),
            })
    }

    /// A layer that holds a part of a context under its own path. Made once a build.
    pub(super) async fn context_layer(
        self: &Arc<Self>,
        part: &ContextPart,
    ) -> Result<Layer, StepError> {
        let cell = {
            let mut layers = self.context_layers.lock().await;
            Arc::clone(layers.entry(part.clone()).or_default())
        };
        let make = || async {
            let (build, part) = (Arc::clone(self), part.clone());
            blocking(move || super::file::context_layer(&build, &part)).await?
        };
        cell.get_or_try_init(make).await.cloned()
    }

    /// Says whether what a failed command changed is kept, to be looked into.
    pub(super) fn keep_failures(&self, keep: bool) {
        self.keeps_failures.store(keep, Ordering::Relaxed);
    }

    pub(super) fn keeps_failures(&self) -> bool {
        self.keeps_failures.load(Ordering::Relaxed)
    }

    /// Keeps a step whose command failed, if it is the first.
    pub(super) fn keep_failed(&self, failed: Failed) {
        let mut kept = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_some() {
            // What stays is swept when the process has ended.
            self.engine.store().discard(&failed.upper.directory).ok();
        } else {
            *kept = Some(failed);
        }
    }

    /// The step that was kept.
    pub(super) fn take_failed(&self) -> Option<Failed> {
        let mut kept = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take()
    }

    /// Remembers a layer whose upper directory is in use.
    pub(super) fn keep(&self, layer: Layer) {
        self.fresh
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(layer);
    }

    /// Waits for what is being sealed and lets go of upper directories.
    pub(super) async fn settle(&self) -> Result<(), cache::Error> {
        for layer in self.take_fresh() {
            layer.settle(&self.engine).await?;
        }
        Ok(())
    }

    /// Lets go of upper directories without waiting for anything.
    pub(super) fn abandon(&self) {
        for layer in self.take_fresh() {
            // What stays is swept when the process has ended.
            layer.abandon(&self.engine).ok();
        }
    }

    fn take_fresh(&self) -> Vec<Layer> {
        std::mem::take(&mut *self.fresh.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The files of a bind mount.
    pub(super) async fn mounted_files(
        self: &Arc<Self>,
        from: &Source,
        path: &str,
        inputs: &[Rootfs],
    ) -> Result<MountedFiles, StepError> {
        let rootfs = match from {
            Source::Context | Source::Named(_) => {
                let part = ContextPart::new(from, path);
                Rootfs::new(vec![self.context_layer(&part).await?])
            }
            Source::Input(number) => inputs.get(*number).cloned().unwrap_or_default(),
            Source::Empty => Rootfs::default(),
        };
        let (checked, wanted) = (rootfs.clone(), path.to_owned());
        let kind = blocking(move || {
            let view = checked.view()?;
            let found = view.resolve(wanted.as_bytes(), true)?;
            Ok::<_, StepError>(found.map(|(_, found)| found.kind()))
        });
        let kind = kind.await??.ok_or_else(|| StepError::MountSource {
            path: path.to_owned(),
            place: "the image or stage it is mounted from".to_owned(),
        })?;
        Ok(MountedFiles {
            rootfs: self.engine.mountable(&rootfs).await?,
            path: path.to_owned(),
            directory: kind == layer::EntryKind::Directory,
        })
    }

    /// The use of a cache mount's directory, made as the mount says where it is new.
    pub(super) async fn cache_mount(
        self: &Arc<Self>,
        cache: &plan::CacheMount,
        inputs: &[Rootfs],
    ) -> Result<MountLease, StepError> {
        if is_mirror(&cache.id) {
            return Err(StepError::ReservedMount(cache.id.clone()));
        }
        let sharing = match cache.sharing {
            plan::Sharing::Shared => cache::Sharing::Shared,
            plan::Sharing::Private => cache::Sharing::Private,
            plan::Sharing::Locked => cache::Sharing::Locked,
        };
        let lease = self
            .engine
            .store()
            .mounts()
            .lease(&cache.id, sharing)
            .await?;
        if !lease.is_fresh() {
            return Ok(lease);
        }
        let files = match &cache.from {
            Some((from, path)) => Some(self.mounted_files(from, path, inputs).await?),
            None => None,
        };
        let cache = cache.clone();
        let engine = self.engine.clone();
        blocking(move || {
            engine
                .ids()?
                .require(cache.uid.unwrap_or(0), cache.gid.unwrap_or(0))?;
            let path = lease.path();
            if let Some(files) = files {
                let view = files.rootfs.view()?;
                let options = engine.unpacking()?;
                layer::extract_directory(&view, files.path.as_bytes(), &path, options)?;
            }
            set_up(&path, &cache).map_err(|source| StepError::Io {
                action: "make a cache mount",
                source,
            })?;
            Ok(lease.publish()?)
        })
        .await?
    }
}

/// Gives a new cache mount its owner and mode.
fn set_up(path: &Path, cache: &CacheMount) -> std::io::Result<()> {
    if cache.uid.is_some() || cache.gid.is_some() || cache.from.is_none() {
        let (uid, gid) = (cache.uid.unwrap_or(0), cache.gid.unwrap_or(0));
        std::os::unix::fs::chown(path, Some(uid), Some(gid))?;
    }
    if cache.mode.is_some() || cache.from.is_none() {
        let mode = cache.mode.unwrap_or(DEFAULT_MODE);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
