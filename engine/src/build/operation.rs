//! Gives each step of a plan its meaning for the solver.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use frontend::plan::{Copy, CopyItem, Mount, MountKind, Reuse, Run, Source, Step, StepKind};
use frontend::remote::RemoteSource;
use solver::{
    BoxFuture, CachePolicy, ContentDigest, KeyWriter, MissReason, Operation, OperationDigest,
    RunContext,
};
use tokio::sync::OnceCell;

use super::file::{self, Selection};
use super::state::ContextPart;
use super::{Build, identity, run};
use crate::builds::parts_of;
use crate::error::StepError;
use crate::event::{CacheMiss, Phase};
use crate::progress::Row;
use crate::rootfs::{Layer, Rootfs};
use crate::sources::Pinned;

/// A step of a plan within its build.
pub(super) struct StepOperation {
    pub(super) build: Arc<Build>,
    pub(super) step: Step,
    pub(super) row: Row,
    /// What a copy reads; found once, used for keys and for the layer.
    selection: OnceCell<Arc<Selection>>,
    /// What a remote source is in this build.
    pinned: OnceCell<Pinned>,
    /// The content of a copy's layer, once it was planned: its inputs are the same throughout a build.
    content: Arc<OnceLock<ContentDigest>>,
}

impl StepOperation {
    pub(super) fn new(build: Arc<Build>, step: Step, row: Row) -> Self {
        Self {
            build,
            step,
            row,
            selection: OnceCell::new(),
            pinned: OnceCell::new(),
            content: Arc::default(),
        }
    }

    /// What a copy reads. `inputs` are needed only by one that does not read the context alone.
    async fn selection(&self, copy: &Copy, inputs: &[Rootfs]) -> Result<Arc<Selection>, StepError> {
        let find = || async { self.find(copy.clone(), inputs).await.map(Arc::new) };
        self.selection.get_or_try_init(find).await.cloned()
    }

    /// Why it was not found, in the words of the build.
    pub(super) fn miss(&self, reason: MissReason) -> CacheMiss {
        match reason {
            MissReason::NoRecord => CacheMiss::New,
            MissReason::InputsChanged => CacheMiss::InputsChanged,
            MissReason::Expired => CacheMiss::Expired,
            MissReason::Refresh if self.build.runs_again(&self.step.stage) => CacheMiss::Disabled,
            MissReason::Refresh => CacheMiss::Uncached,
        }
    }

    /// What it depends on, to be found out on any thread; `None` while it is not known what it copies.
    pub(super) fn inputs(&self) -> Option<impl FnOnce() -> Vec<u8> + Send + 'static> {
        let selection = self.selection.get().cloned();
        if selection.is_none() && matches!(self.step.kind, StepKind::Copy(_)) {
            return None;
        }
        let (build, step) = (Arc::clone(&self.build), self.step.clone());
        let pinned = self.pinned.get().map(Pinned::name);
        let secrets: Vec<_> = match &step.kind {
            // One that can't be read any more is told by its absence.
            StepKind::Run(run) => self.keyed_secrets(run).unwrap_or_default(),
            _ => Vec::new(),
        };
        let secrets: Vec<_> = secrets
            .into_iter()
            .map(|(id, digest)| (id.to_owned(), digest))
            .collect();
        Some(move || {
            let mut inputs = parts_of(&step.kind, build.settings());
            inputs.optional("content", pinned);
            if let Some(selection) = selection {
                selection.list(&mut inputs.files);
            }
            let mut parts = Vec::new();
            if let StepKind::Context(name) = &step.kind {
                parts.push(ContextPart::all_of(name));
            }
            if let StepKind::Run(run) = &step.kind {
                parts.extend(context_binds(run));
            }
            for part in parts {
                // One that has gone since its digest was taken is told by its absence.
                if let Ok(node) = build.find_part(&part) {
                    inputs.files.tree(part.path(), &node);
                }
            }
            for (id, digest) in &secrets {
                inputs.optional(&format!("secret {id}"), digest.as_ref().map(shortened));
            }
            inputs.encode()
        })
    }

    async fn find(&self, copy: Copy, inputs: &[Rootfs]) -> Result<Selection, StepError> {
        let source = match copy.from {
            Source::Context | Source::Named(_) => None,
            Source::Input(number) => Some(file::source_tree(inputs, number).await?),
            Source::Empty => Some(file::source_tree(&[], 0).await?),
        };
        let mut remote = BTreeMap::new();
        for item in &copy.items {
            if let CopyItem::Remote { input, .. } = item {
                remote.insert(*input, file::source_tree(inputs, *input).await?);
            }
        }
        let build = Arc::clone(&self.build);
        let spending = self.row.spend(Phase::Context);
        let found = blocking(move || match (build.context_of(&copy.from), source) {
            (Some(context), _) => {
                let found = Selection::find(&build, &copy, context, &remote);
                spending.of_which(Phase::Hashing, context.take_hashing_time());
                found
            }
            (None, Some(tree)) => Selection::find(&build, &copy, &tree, &remote),
            (None, None) => unreachable!("what is no context has a tree"),
        });
        Ok(found.await??)
    }

    /// Writes what a copy reads of the context. What comes from the network is known by its own step.
    async fn encode_context(&self, copy: &Copy, key: &mut KeyWriter) -> Result<(), StepError> {
        let is_remote = |item: &CopyItem| matches!(item, CopyItem::Remote { .. });
        if !copy.items.iter().any(is_remote) {
            self.selection(copy, &[]).await?.encode(key);
            return Ok(());
        }
        let mut local = copy.clone();
        local.items.retain(|item| !is_remote(item));
        self.find(local, &[]).await?.encode(key);
        Ok(())
    }

    async fn pinned(&self, source: &RemoteSource) -> Result<&Pinned, StepError> {
        let pin = || async {
            let _spending = self.row.spend(Phase::Network);
            let access = self.build.request().access();
            Ok(self
                .build
                .engine()
                .pin_source(source, access, &self.row)
                .await?)
        };
        self.pinned.get_or_try_init(pin).await
    }

    async fn identify(&self) -> Result<OperationDigest, StepError> {
        let epoch = self.build.epoch();
        let key = match &self.step.kind {
            StepKind::Scratch => identity::scratch(),
            StepKind::Image(source) => identity::image(&source.id),
            StepKind::Remote(source) => self.pinned(source).await?.identity(),
            StepKind::Context(name) => {
                let all = ContextPart::all_of(name);
                identity::named_context(&self.build.context_digest(all).await?)
            }
            StepKind::MakeDirectory(directory) => identity::make_directory(directory, epoch),
            StepKind::Copy(copy) => {
                let mut key = identity::copy(copy, epoch);
                if self.build.context_of(&copy.from).is_some() {
                    self.encode_context(copy, &mut key).await?;
                }
                key
            }
            StepKind::Run(run) => {
                let mut key = identity::run(run, self.build.settings());
                for part in context_binds(run) {
                    let digest = self.build.context_digest(part).await?;
                    key.identity(digest.as_bytes());
                }
                for (_, digest) in self.keyed_secrets(run)? {
                    key.option(digest, |key, digest| {
                        key.identity(&digest);
                    });
                }
                key
            }
        };
        Ok(OperationDigest::of(&key))
    }

    /// The secrets of a command that take part in its key: their names, and for those that were given a keyed hash of
    /// their values.
    fn keyed_secrets<'a>(&self, run: &'a Run) -> Result<KeyedSecrets<'a>, StepError> {
        let secrets = run.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Secret(secret) if secret.keyed => Some(secret.id.as_str()),
            _ => None,
        });
        let hash = |id| Ok((id, self.build.secret_hash(id)?));
        secrets.map(hash).collect()
    }

    async fn content_of(&self, inputs: &[Rootfs]) -> Result<Option<ContentDigest>, StepError> {
        let _spending = self.row.spend(Phase::Keys);
        let base = inputs.first().cloned().unwrap_or_default();
        let digest = match &self.step.kind {
            StepKind::Scratch | StepKind::Image(_) | StepKind::Remote(_) | StepKind::Context(_) => {
                return Ok(None);
            }
            StepKind::Run(command) => run_content(command, inputs).await?,
            StepKind::MakeDirectory(directory) => {
                let (build, directory) = (Arc::clone(&self.build), directory.clone());
                blocking(move || {
                    let view = base.view()?;
                    let plan = file::plan_directory(&build, &directory, &view)?;
                    Ok::<_, StepError>(*plan.content().as_bytes())
                })
                .await??
            }
            StepKind::Copy(copy) => {
                if let Some(planned) = self.content.get() {
                    return Ok(Some(*planned));
                }
                let selection = self.selection(copy, inputs).await?;
                let (build, copy) = (Arc::clone(&self.build), copy.clone());
                blocking(move || {
                    let view = base.view()?;
                    let plan = file::plan_copy(&build, &copy, &selection, &view)?;
                    Ok::<_, StepError>(*plan.content().as_bytes())
                })
                .await??
            }
        };
        Ok(Some(ContentDigest::from_bytes(digest)))
    }

    async fn execute(&self, inputs: Vec<Rootfs>, context: RunContext) -> Result<Rootfs, StepError> {
        let base = inputs.first().cloned().unwrap_or_default();
        let build = Arc::clone(&self.build);
        let cancelled = context.cancelled.clone();
        let is_cancelled = move || cancelled.is_cancelled();
        match &self.step.kind {
            StepKind::Scratch => Ok(Rootfs::default()),
            StepKind::Image(source) => build.base_image(source, &self.row).await,
            StepKind::Context(name) => {
                let layer = build.context_layer(&ContextPart::all_of(name)).await?;
                Ok(Rootfs::new(vec![layer]))
            }
            StepKind::Remote(source) => {
                let pinned = self.pinned(source).await?;
                let access = build.request().access();
                let layer = build.engine().source_layer(pinned, access, &self.row);
                Ok(Rootfs::new(vec![Layer::stored(layer.await?)]))
            }
            StepKind::Run(command) => run::run(&build, command, inputs, &self.row, context).await,
            StepKind::MakeDirectory(directory) => {
                let directory = directory.clone();
                let spending = self.row.spend(Phase::Copying);
                blocking(move || {
                    let _spending = spending;
                    let view = base.view()?;
                    let plan = file::plan_directory(&build, &directory, &view)?;
                    file::write(&build, &plan, &base, &is_cancelled)
                })
                .await?
            }
            StepKind::Copy(copy) => {
                let selection = self.selection(copy, &inputs).await?;
                let (copy, row) = (copy.clone(), self.row.clone());
                let planned = Arc::clone(&self.content);
                let spending = self.row.spend(Phase::Copying);
                blocking(move || {
                    let _spending = spending;
                    let view = base.view()?;
                    let plan = file::plan_copy(&build, &copy, &selection, &view)?;
                    planned.get_or_init(|| ContentDigest::from_bytes(*plan.content().as_bytes()));
                    let result = file::write(&build, &plan, &base, &is_cancelled)?;
                    let size = selection.size();
                    row.transfer("copying files", size, Some(size), true);
                    Ok(result)
                })
                .await?
            }
        }
    }
}

/// Secrets by their names, and hashes of their values.
type KeyedSecrets<'a> = Vec<(&'a str, Option<[u8; 32]>)>;

/// The beginning of a hash, enough to tell two apart.
fn shortened(hash: &[u8; 32]) -> String {
    let beginning: [u8; 8] = hash[..8].try_into().expect("a hash has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(beginning))
}

/// What a command can read: all layers that it runs on, and of other inputs what it mounts.
async fn run_content(command: &Run, inputs: &[Rootfs]) -> Result<[u8; 32], StepError> {
    let mut key = KeyWriter::new("rbuild run content", 1);
    let base = match inputs.first() {
        Some(base) => base.sealed().await?,
        None => Vec::new(),
    };
    key.list(&base, |key, sealed| {
        key.identity(sealed.index.content_digest().as_bytes());
    });
    for mount in &command.mounts {
        let Some((Source::Input(number), source)) = mount.files() else {
            continue;
        };
        let rootfs = inputs.get(*number).cloned().unwrap_or_default();
        let (view, path) = (rootfs.sealed_view().await?, source.to_owned());
        let digest = blocking(move || match view.resolve(path.as_bytes(), true)? {
            Some((_, found)) => found.content_digest().map(Some),
            None => Ok(None),
        });
        key.option(digest.await??, |key, digest| {
            key.identity(digest.as_bytes());
        });
    }
    for service in &command.services {
        if let Source::Input(number) = service.from {
            let rootfs = inputs.get(number).cloned().unwrap_or_default();
            key.list(&rootfs.sealed().await?, |key, sealed| {
                key.identity(sealed.index.content_digest().as_bytes());
            });
        }
    }
    Ok(key.finish())
}

/// The parts of contexts that a command mounts.
fn context_binds(run: &Run) -> impl Iterator<Item = ContextPart> {
    let files = run.mounts.iter().filter_map(Mount::files);
    files.filter_map(|(source, path)| match source {
        Source::Context | Source::Named(_) => Some(ContextPart::new(source, path)),
        Source::Input(_) | Source::Empty => None,
    })
}

/// Runs work that blocks on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StepError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(StepError::Cancelled),
    }
}

impl Operation for StepOperation {
    type Output = Rootfs;
    type Error = StepError;

    fn identity(&self) -> BoxFuture<'_, Result<OperationDigest, StepError>> {
        Box::pin(self.identify())
    }

    fn content<'a>(
        &'a self,
        inputs: &'a [Rootfs],
    ) -> BoxFuture<'a, Result<Option<ContentDigest>, StepError>> {
        Box::pin(self.content_of(inputs))
    }

    fn run(
        &self,
        inputs: Vec<Rootfs>,
        context: RunContext,
    ) -> BoxFuture<'_, Result<Rootfs, StepError>> {
        Box::pin(self.execute(inputs, context))
    }

    fn policy(&self) -> CachePolicy {
        match &self.step.kind {
            StepKind::Scratch | StepKind::Image(_) | StepKind::Remote(_) | StepKind::Context(_) => {
                CachePolicy::Use
            }
            StepKind::Run(_) | StepKind::Copy(_) | StepKind::MakeDirectory(_)
                if self.build.runs_again(&self.step.stage) =>
            {
                CachePolicy::Refresh
            }
            StepKind::Run(run) => match run.reuse {
                Reuse::Always => CachePolicy::Use,
                Reuse::Never => CachePolicy::Refresh,
                Reuse::For(limit) => CachePolicy::Within(limit),
            },
            StepKind::Copy(_) | StepKind::MakeDirectory(_) => CachePolicy::Use,
        }
    }

    fn takes_slot(&self) -> bool {
        !matches!(
            self.step.kind,
            StepKind::Scratch | StepKind::Image(_) | StepKind::Remote(_)
        )
    }
}
