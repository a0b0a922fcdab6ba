//! Opening the store, atomic writes, temporary names, the trash.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::bucket::Bucket;
use crate::durable::Durability;
use crate::error::{Error, IoContext as _, optional};
use crate::lock::{LockFile, Mode, Range, RangeLock};
use crate::{Actions, Blobs, Builds, Downloads, Images, Layers, Mounts, Partials, Transfers};

/// The version of the layout that this program reads and writes.
const VERSION: u32 = 1;
/// How often directories are made that are taken away before they are used.
const ATTEMPTS: usize = 20;
/// What the file `version` holds.
const VERSION_TEXT: &[u8] = b"rbuild store 1\n";

/// An open store. Clones are the same store and cheap.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    locks: Arc<LockFile>,
    /// Names what this process makes; unique among living processes as long as `_alive` is held.
    owner: u64,
    _alive: RangeLock,
    /// How many temporary names were given.
    names: AtomicU64,
    durability: Durability,
    /// Files that images need and that are not durable yet.
    unsynced: Mutex<BTreeSet<PathBuf>>,
    /// Files that are being synced behind everybody's back.
    begun_syncs: Mutex<HashMap<PathBuf, JoinHandle<Result<(), Error>>>>,
    /// Whether this process has added to what may be collected.
    grown: AtomicBool,
}

impl Store {
    /// Opens the store at `root`, making it if the directory is absent or empty. Costs a few system calls.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open_with(root, Durability::default())
    }

    /// Opens the store, and says what is to outlast a power failure.
    pub fn open_with(root: impl Into<PathBuf>, durability: Durability) -> Result<Self, Error> {
        let root = std::path::absolute(root.into()).at("find", Path::new("."))?;
        let version = root.join("version");
        match optional(fs::read(&version)).at("read", &version)? {
            // A power failure may have left the name alone.
            Some(text) if !text.is_empty() => check_version(&root, &text)?,
            Some(_) | None => create(&root)?,
        }
        let locks = Arc::new(LockFile::open(&root.join("lock"))?);
        let (owner, alive) = take_owner(&locks).at("lock", &root.join("lock"))?;
        let names = AtomicU64::new(0);
        let store = Self {
            inner: Arc::new(Inner {
                root,
                locks,
                owner,
                _alive: alive,
                names,
                durability,
                unsynced: Mutex::default(),
                begun_syncs: Mutex::default(),
                grown: AtomicBool::new(false),
            }),
        };
        if !store.outlasts(&version) {
            store.note_needed(&version);
        }
        Ok(store)
    }

    /// The store's directory, absolute.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// What says that the root is a store, and of which version.
    pub(crate) fn version_file(&self) -> PathBuf {
        self.root().join("version")
    }

    /// The directory of a bucket, which may not exist yet.
    pub fn directory(&self, bucket: Bucket) -> PathBuf {
        self.inner.root.join(bucket.name())
    }

    /// The place of `name`, at least two ASCII characters, in a bucket whose entries are spread over directories.
    pub(crate) fn sharded(&self, bucket: Bucket, name: &str) -> PathBuf {
        let shard = name.get(..2).unwrap_or(name);
        self.directory(bucket).join(shard).join(name)
    }

    /// The layers, and the uppers of running steps.
    pub fn layers(&self) -> Layers<'_> {
        Layers::new(self)
    }

    /// The results of earlier steps.
    pub fn actions(&self) -> Actions<'_> {
        Actions::new(self)
    }

    /// What is remembered of builds.
    pub fn builds(&self) -> Builds<'_> {
        Builds::new(self)
    }

    /// Image configs and manifests.
    pub fn blobs(&self) -> Blobs<'_> {
        Blobs::new(self)
    }

    /// Images and their names.
    pub fn images(&self) -> Images<'_> {
        Images::new(self)
    }

    /// What is known of compressed layers.
    pub fn transfers(&self) -> Transfers<'_> {
        Transfers::new(self)
    }

    /// The directories of cache mounts.
    pub fn mounts(&self) -> Mounts<'_> {
        Mounts::new(self)
    }

    /// What URLs led to.
    pub fn downloads(&self) -> Downloads<'_> {
        Downloads::new(self)
    }

    /// What has come of blobs.
    pub fn partials(&self) -> Partials<'_> {
        Partials::new(self)
    }

    /// Waits until nobody else, in this process or another, holds this key, and takes it.
    pub async fn exclusive(&self, key: &[u8; 32]) -> Result<RangeLock, Error> {
        self.lock(Range::key("step", key), Mode::Exclusive).await
    }

    /// Takes this key if nobody holds it now.
    pub fn try_exclusive(&self, key: &[u8; 32]) -> Result<Option<RangeLock>, Error> {
        self.try_lock(Range::key("step", key), Mode::Exclusive)
    }

    /// Whether anybody, in this process or another, holds this key now.
    pub fn is_held(&self, key: &[u8; 32]) -> Result<bool, Error> {
        self.is_locked(Range::key("step", key))
    }

    /// Whether anybody holds a lock now. Unlike trying to take it, asking disturbs nobody.
    pub(crate) fn is_locked(&self, range: Range) -> Result<bool, Error> {
        let held = self.inner.locks.is_held(range);
        held.at("lock", &self.root().join("lock"))
    }

    /// Waits until nobody removes anything; while this is held nobody does. Who writes a record that keeps layers (an
    /// image, a name, a container) and what it needs holds this meanwhile, for as short a time as that takes, and
    /// the [`Layer`](crate::Layer)s themselves.
    pub fn share_roots(&self) -> Result<RangeLock, Error> {
        self.lock_soon(Range::ROOTS, Mode::Shared)
    }

    /// Waits until nobody writes what keeps layers, and has others wait: for who finds out what is not needed and
    /// removes it.
    pub fn reserve_roots(&self) -> Result<RangeLock, Error> {
        self.lock_soon(Range::ROOTS, Mode::Exclusive)
    }

    pub(crate) fn lock_soon(&self, range: Range, mode: Mode) -> Result<RangeLock, Error> {
        let lock = self.inner.locks.lock_soon(range, mode);
        lock.at("lock", &self.root().join("lock"))
    }

    pub(crate) async fn lock(&self, range: Range, mode: Mode) -> Result<RangeLock, Error> {
        self.inner
            .locks
            .lock(range, mode)
            .await
            .at("lock", &self.root().join("lock"))
    }

    pub(crate) fn try_lock(&self, range: Range, mode: Mode) -> Result<Option<RangeLock>, Error> {
        self.inner
            .locks
            .try_lock(range, mode)
            .at("lock", &self.root().join("lock"))
    }

    /// What is to outlast a power failure.
    pub(crate) fn durability(&self) -> Durability {
        self.inner.durability
    }

    /// Files that images need and that are not durable yet.
    pub(crate) fn unsynced(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        // No code that holds the set can leave it half changed.
        let unsynced = self.inner.unsynced.lock();
        unsynced.unwrap_or_else(PoisonError::into_inner)
    }

    /// Files that are being synced behind everybody's back.
    pub(crate) fn begun_syncs(
        &self,
    ) -> MutexGuard<'_, HashMap<PathBuf, JoinHandle<Result<(), Error>>>> {
        let begun = self.inner.begun_syncs.lock();
        begun.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this process has added layers to the store, used cache mounts, or taken names from images, since it was
    /// asked last.
    pub fn has_grown(&self) -> bool {
        self.inner.grown.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn note_growth(&self) {
        self.inner.grown.store(true, Ordering::Relaxed);
    }

    /// Has [`Store::make_durable`] sync a file and the directories that lead to it.
    pub(crate) fn note_needed(&self, path: &Path) {
        if self.durability() == Durability::Image {
            self.unsynced().insert(path.to_owned());
        }
    }

    /// Writes a file: whole or not at all, in place of an earlier one.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let temporary = self.temporary_file(bytes)?;
        self.publish(&temporary, path)
            .inspect_err(|_| drop(fs::remove_file(&temporary)))
    }

    /// Renames something made under a temporary name to where it belongs.
    pub(crate) fn publish(&self, temporary: &Path, path: &Path) -> Result<(), Error> {
        self.with_parents(path, || fs::rename(temporary, path))
            .at("create", path)
    }

    /// Does something that makes `path`, and if the directories of the store above it turn out to be absent, again with
    /// them: again and again, as collectors take whole buckets away. The store's own is not made again: who removed it
    /// while others work on it wants it to be gone.
    pub(crate) fn with_parents<T>(
        &self,
        path: &Path,
        make: impl Fn() -> io::Result<T>,
    ) -> io::Result<T> {
        for _ in 0..ATTEMPTS {
            let result = make();
            if !result.as_ref().is_err_and(is_absent) {
                return result;
            }
            self.make_parents(path)?;
        }
        make()
    }

    /// Makes the directories of the store above a path. Where one is taken away meanwhile those below it stay absent.
    fn make_parents(&self, path: &Path) -> io::Result<()> {
        let above: Vec<_> = self.directories_to(path).collect();
        // The last is the store's own.
        for (depth, directory) in above.iter().rev().skip(1).enumerate() {
            match fs::create_dir(directory) {
                Err(error) if is_absent(&error) && depth > 0 => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// A new file with these bytes under a temporary name.
    pub(crate) fn temporary_file(&self, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.fresh_name(Bucket::Temporary);
        let open = || {
            fs::File::options()
                .write(true)
                .create_new(true)
                .mode(0o644)
                .open(&path)
        };
        let mut file = self.with_parents(&path, open).at("create", &path)?;
        if let Err(error) = file.write_all(bytes) {
            // On a full disk nothing may be left that takes space.
            fs::remove_file(&path).ok();
            return Err(error).at("write", &path);
        }
        Ok(path)
    }

    /// A new directory in a bucket, under a name that shows that this process owns it.
    pub(crate) fn new_directory(&self, bucket: Bucket) -> Result<PathBuf, Error> {
        let path = self.fresh_name(bucket);
        self.with_parents(&path, || fs::create_dir(&path))
            .at("create", &path)?;
        Ok(path)
    }

    /// A new, empty directory for whatever is to be built in it and then renamed into the store. It is swept when
    /// this process has ended.
    pub fn temporary_directory(&self) -> Result<PathBuf, Error> {
        self.new_directory(Bucket::Temporary)
    }

    /// Whether the process that made an entry lives. If that cannot be found out, it is taken to.
    pub(crate) fn is_owned(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str());
        let owner = name
            .and_then(|name| name.split('.').next())
            .and_then(|owner| u64::from_str_radix(owner, 16).ok());
        match owner {
            Some(owner) if owner == self.inner.owner => true,
            Some(owner) => self
                .inner
                .locks
                .is_held(Range::owner(owner))
                .unwrap_or(true),
            None => false,
        }
    }

    /// A name in a bucket that nobody else uses.
    pub(crate) fn fresh_name(&self, bucket: Bucket) -> PathBuf {
        let number = self.inner.names.fetch_add(1, Ordering::Relaxed);
        self.directory(bucket)
            .join(format!("{:016x}.{number}", self.inner.owner))
    }
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// Compares the version of a store with the program's.
fn check_version(root: &Path, text: &[u8]) -> Result<(), Error> {
    if text == VERSION_TEXT {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&text[..text.len().min(40)]);
    Err(Error::Version {
        path: root.to_owned(),
        found: text.trim().trim_start_matches("rbuild store ").to_owned(),
        expected: VERSION,
    })
}

/// Makes a store of an absent or empty directory. Others may be doing the same.
fn create(root: &Path) -> Result<(), Error> {
    static NAMES: AtomicU64 = AtomicU64::new(0);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .at("create", root)?;
    let version = root.join("version");
    if entries(root)?.iter().any(|path| is_foreign(path)) && !version.exists() {
        return Err(Error::NotAStore {
            path: root.to_owned(),
        });
    }
    let number = NAMES.fetch_add(1, Ordering::Relaxed);
    let temporary = root.join(format!("version.{}.{number}", std::process::id()));
    fs::write(&temporary, VERSION_TEXT).at("write", &temporary)?;
    fs::rename(&temporary, &version).at("create", &version)
}

/// Whether an entry of a directory says that it is in other use. A file system of its own has `lost+found`, and others
/// may be making a store of it now.
fn is_foreign(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name != "lost+found" && !name.starts_with("version")
}

/// A number that no living process has, and the lock that says so.
fn take_owner(locks: &Arc<LockFile>) -> io::Result<(u64, RangeLock)> {
    loop {
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        let owner = u64::from_le_bytes(bytes);
        if let Some(lock) = locks.try_lock(Range::owner(owner), Mode::Exclusive)? {
            return Ok((owner, lock));
        }
    }
}

/// The paths in a directory; none if it is absent.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let Some(entries) = optional(fs::read_dir(directory)).at("list", directory)? else {
        return Ok(Vec::new());
    };
    entries
        .map(|entry| entry.map(|entry| entry.path()).at("list", directory))
        .collect()
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
