//! The engine: a store, the mounts of this process, and what has been opened of both.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cache::{Form, Store};
use layer::{ContentDigest, DiffId, Index, PlannedEntry, Summary, UnpackOptions, WriteOptions};
use runtime::{Ids, Lower, NamespaceError, Runtime};

use crate::error::{FileError, StepError};
use crate::retention::Retention;
use crate::rootfs::{Layer, Place, Rootfs, Sealed, SealedUpper};

/// In which form sealed layers are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayerForm {
    /// EROFS where the kernel can mount it, else directories.
    #[default]
    Auto,
    /// The tar by its EROFS index.
    Erofs,
    /// Unpacked to a directory.
    Directory,
}

/// How an engine is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The store's directory.
    pub store: PathBuf,
    /// How layers are mounted.
    pub layers: LayerForm,
    /// Where registry credentials are: files like Docker's `config.json`, the most important first.
    pub credentials: Vec<PathBuf>,
    /// Where registries are configured: directories with `REGISTRY/hosts.toml`, the most important first.
    pub registries: Vec<PathBuf>,
    /// Why this process is an ordinary user's without a user namespace, if it is: then nothing can be run or mounted.
    pub powerless: Option<Arc<NamespaceError>>,
    /// Through which proxies registries are reached.
    pub proxies: image::registry::Proxies,
    /// How surely and how long the store keeps things.
    pub retention: Retention,
}

impl Settings {
    /// For a process that only works on a store.
    pub(crate) fn of_store(store: PathBuf) -> Self {
        Self {
            store,
            layers: LayerForm::Auto,
            credentials: Vec::new(),
            registries: Vec::new(),
            powerless: None,
            proxies: image::registry::Proxies::default(),
            retention: Retention::default(),
        }
    }
}

/// Builds images, moves them, and runs them. Clones are the same engine.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    settings: Settings,
    runtime: OnceLock<Result<Runtime, Arc<runtime::Error>>>,
    /// The users and groups that there are.
    ids: OnceLock<Ids>,
    /// Whether layers are mounted as EROFS.
    erofs: OnceLock<bool>,
    layers: Mutex<HashMap<DiffId, Sealed>>,
    registry: OnceLock<image::registry::Client>,
}

impl Engine {
    /// Opens the store, making it where there is none. Cheap: mounts, probes and connections wait until they are
    /// needed.
    pub fn open(settings: Settings) -> Result<Self, cache::Error> {
        Ok(Self {
            inner: Arc::new(Inner {
                store: Store::open_with(&settings.store, settings.retention.durability)?,
                settings,
                runtime: OnceLock::new(),
                ids: OnceLock::new(),
                erofs: OnceLock::new(),
                layers: Mutex::default(),
                registry: OnceLock::new(),
            }),
        })
    }

    /// What is on disk.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Where processes are started, with the mounts of this program.
    pub(crate) fn runtime(&self) -> Result<&Runtime, StepError> {
        if let Some(reason) = &self.settings().powerless {
            return Err(StepError::Powerless(Arc::clone(reason)));
        }
        let runtime = self
            .inner
            .runtime
            .get_or_init(|| Runtime::new().map_err(Arc::new));
        runtime
            .as_ref()
            .map_err(|error| StepError::Mounts(Arc::clone(error)))
    }

    /// The users and groups that files and processes can belong to.
    pub(crate) fn ids(&self) -> Result<&Ids, StepError> {
        if let Some(ids) = self.inner.ids.get() {
            return Ok(ids);
        }
        let ids = Ids::current().map_err(|source| StepError::Io {
            action: "read the map of ids",
            source,
        })?;
        Ok(self.inner.ids.get_or_init(|| ids))
    }

    /// How files of layers are written to directories.
    pub(crate) fn unpacking(&self) -> Result<UnpackOptions, StepError> {
        Ok(UnpackOptions {
            userxattr: !self.ids()?.are_the_machines(),
        })
    }

    /// Lets go of a directory that was mounted as a layer, before it is moved or deleted.
    pub(crate) fn forget(&self, directory: &Path) {
        if let Some(Ok(runtime)) = self.inner.runtime.get() {
            // One that stays mounted takes memory and does no harm.
            runtime.forget(&Lower::Directory(directory.to_owned())).ok();
        }
    }

    /// Deletes what earlier processes left in the store, on a thread that nobody waits for.
    pub(crate) fn sweep(&self) {
        let store = self.store().clone();
        std::thread::spawn(move || store.sweep());
    }

    /// Whether sealed layers are mounted as EROFS.
    fn uses_erofs(&self) -> bool {
        match self.inner.settings.layers {
            LayerForm::Erofs => true,
            LayerForm::Directory => false,
            LayerForm::Auto => {
                let probe = || {
                    // No kernel lets a user namespace mount it.
                    let machine = self.ids().is_ok_and(Ids::are_the_machines);
                    machine && runtime::erofs_supported(self.store().root()).is_ok()
                };
                *self.inner.erofs.get_or_init(probe)
            }
        }
    }

    /// A layer of the store, its index opened; `None` if the store lacks it. One whose index turns out to be damaged is
    /// dropped.
    pub(crate) fn sealed_layer(&self, diff_id: &DiffId) -> Result<Option<Sealed>, StepError> {
        if let Some(sealed) = self.layers().get(diff_id) {
            return Ok(Some(sealed.clone()));
        }
        let Some(stored) = self.store().layers().get(diff_id)? else {
            return Ok(None);
        };
        match self.remember(stored) {
            // A disk has damaged it, or another version of the program has written it.
            Err(StepError::Layer(layer::Error::Index(_))) => {
                self.store().layers().remove(diff_id)?;
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    fn layers(&self) -> std::sync::MutexGuard<'_, HashMap<DiffId, Sealed>> {
        self.inner
            .layers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a layer's index and keeps it open.
    pub(crate) fn remember(&self, stored: cache::Layer) -> Result<Sealed, StepError> {
        let index = Index::open(&stored.index(), &stored.tar())?;
        let sealed = Sealed {
            diff_id: stored.diff_id,
            index: Arc::new(index),
            stored,
        };
        self.layers().insert(sealed.diff_id, sealed.clone());
        Ok(sealed)
    }

    /// Writes a planned layer to the store.
    pub(crate) fn write_layer(
        &self,
        entries: Vec<PlannedEntry>,
        epoch: Option<i64>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Sealed, StepError> {
        let written = self.draft(epoch, cancelled, |tar, index, options| {
            Ok(layer::write_layer(entries, tar, index, options)?)
        })?;
        self.keep(written, epoch)
    }

    /// The same, of entries that come one by one in the order of their paths.
    pub(crate) fn write_layer_in_order(
        &self,
        entries: impl Iterator<Item = Result<PlannedEntry, FileError>>,
        epoch: Option<i64>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Sealed, StepError> {
        let written = self.draft(epoch, cancelled, |tar, index, options| {
            Ok(layer::write_layer_in_order(entries, tar, index, options)?)
        })?;
        self.keep(written, epoch)
    }

    fn keep(
        &self,
        (draft, summary): (cache::LayerDraft, Summary),
        epoch: Option<i64>,
    ) -> Result<Sealed, StepError> {
        if let Some(path) = summary.changed.first() {
            return Err(FileError::Changed(path.to_string()).into());
        }
        let stored = draft.commit(&summary.diff_id, &scoped(&summary.content, epoch))?;
        self.remember(stored)
    }

    /// Makes a layer of what a step changed. With `reuse`, when a layer of the same content is known, it is the result.
    pub(crate) fn seal(
        &self,
        upper: &Path,
        epoch: Option<i64>,
        reuse: bool,
    ) -> Result<SealedUpper, StepError> {
        let (draft, summary) = self.draft(epoch, &|| false, |tar, index, options| {
            let entries = layer::scan_upper(upper, &[])?;
            Ok(layer::write_layer(entries, tar, index, options)?)
        })?;
        let content = scoped(&summary.content, epoch);
        if reuse
            && let Some(earlier) = self.store().layers().with_content(&content)?
            && let Some(layer) = self.sealed_layer(&earlier)?
        {
            return Ok(SealedUpper { layer, own: false });
        }
        let stored = draft.commit(&summary.diff_id, &content)?;
        let layer = self.remember(stored)?;
        Ok(SealedUpper { layer, own: true })
    }

    /// Has a layer's files written.
    fn draft(
        &self,
        epoch: Option<i64>,
        cancelled: &dyn Fn() -> bool,
        write: impl FnOnce(&File, &File, &WriteOptions<'_>) -> Result<Summary, StepError>,
    ) -> Result<(cache::LayerDraft, Summary), StepError> {
        let draft = self.store().layers().begin()?;
        let (tar, index) = create_files(&draft).map_err(|source| StepError::Io {
            action: "make the files of a layer",
            source,
        })?;
        let options = WriteOptions {
            clamp: epoch,
            cancelled,
        };
        let summary = write(&tar, &index, &options)?;
        Ok((draft, summary))
    }

    /// How a root file system is mounted: its layers, lowest first.
    pub(crate) fn lowers(&self, rootfs: &Rootfs) -> Result<Vec<Lower>, StepError> {
        rootfs
            .layers()
            .iter()
            .map(|layer| self.lower(layer))
            .collect()
    }

    pub(crate) fn lower(&self, layer: &Layer) -> Result<Lower, StepError> {
        let sealed = match layer.place() {
            Place::Upper(upper) => return Ok(Lower::Directory(upper)),
            Place::Sealed(sealed) => sealed,
        };
        if let Some(upper) = sealed.stored.form(Form::Upper) {
            return Ok(Lower::Directory(upper));
        }
        if self.uses_erofs() {
            // The kernel would not say that it is the user and not the layer that is at fault.
            if !self.ids()?.are_the_machines() {
                return Err(StepError::LayerForm(runtime::Unsupported::NotPermitted));
            }
            return Ok(Lower::Erofs {
                index: sealed.stored.index(),
                tar: Some(sealed.stored.tar()),
            });
        }
        self.unpacked(sealed).map(Lower::Directory)
    }

    /// The directory form of a layer, made where the store lacks it.
    fn unpacked(&self, sealed: &Sealed) -> Result<PathBuf, StepError> {
        if let Some(directory) = sealed.stored.form(Form::Unpacked) {
            return Ok(directory);
        }
        let directory = self.store().temporary_directory()?;
        layer::unpack_with(&sealed.index, &directory, self.unpacking()?)?;
        let layers = self.store().layers();
        Ok(layers.attach(&sealed.diff_id, Form::Unpacked, &directory)?)
    }

    /// The registry client, made at first use.
    pub(crate) fn registry(&self) -> &image::registry::Client {
        self.inner
            .registry
            .get_or_init(|| crate::images::registry_client(self.settings()))
    }
}

/// Layers are taken for equal only within one epoch, since their times differ between two.
fn scoped(content: &ContentDigest, epoch: Option<i64>) -> ContentDigest {
    let Some(epoch) = epoch else {
        return *content;
    };
    let mut key = solver::KeyWriter::new("rbuild layer at an epoch", 1);
    key.identity(content.as_bytes())
        .number(epoch.cast_unsigned());
    ContentDigest::from_bytes(key.finish())
}

/// The two files of a new layer.
pub(crate) fn create_files(draft: &cache::LayerDraft) -> std::io::Result<(File, File)> {
    let create = |path: PathBuf| {
        File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
    };
    Ok((create(draft.tar())?, create(draft.index())?))
}
