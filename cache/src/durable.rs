//! What outlasts a power failure, and what is made of what did not.
//!
//! - Before a command reports an image done, [`Store::make_durable`] syncs the layers, documents and records of that
//!   image and the directories that lead to them; only then is the image given its name, and that is synced too. So a name
//!   leads to a whole image at every instant. What was durable before costs nothing.
//! - A file that is known to be durable, by its name too, is read-only: it is made so once it and the directories that
//!   lead to it are synced. Who finds one that is not, because another process was killed before it came to that or
//!   has still to come to it, syncs it itself before it relies on it.
//! - Of a layer the record has this mark, for all its files. A layer without it is trusted until the machine starts anew:
//!   after that its bytes are compared with its digests when it is first asked for, and it counts as absent if they differ.
//! - The directory forms of layers are never synced, and never used after a restart.
//! - Everything else (records of steps, digests of files, what registries have) carries a checksum and may be lost.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest as _, Sha256};

use crate::Store;
use crate::error::{Error, IoContext as _, optional};
use crate::layers::Layer;

/// Tars of this many bytes or more begin their way to the disk as soon as they are written.
const LARGE: u64 = 4 << 20;
/// How many files are synced at the same time: the file system makes one commit of them.
const PARALLEL: usize = 16;
/// How many layers are synced together: a file of each is open meanwhile, and a process may have 1,024 open by default.
const BATCH: usize = 100;
/// The mode of a file that is known to be durable.
const DURABLE: u32 = 0o444;

/// What is to outlast a power failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Every image that was reported done.
    #[default]
    Image,
    /// What the kernel has written by itself.
    None,
}

impl Store {
    /// Makes the image of these layers durable, with all documents and records of images that this process has written.
    pub fn make_durable(&self, layers: &[Layer]) -> Result<(), Error> {
        if self.durability() == Durability::None {
            return Ok(());
        }
        let new: Vec<&Layer> = layers.iter().filter(|layer| !layer.is_durable()).collect();
        let written = self.unsynced().clone();
        let mut batches = new.chunks(BATCH);
        // Of most images all is one commit of the file system.
        self.make_batch_durable(batches.next().unwrap_or_default(), &written)?;
        self.unsynced().retain(|path| !written.contains(path));
        batches.try_for_each(|batch| self.make_batch_durable(batch, &BTreeSet::new()))
    }

    fn make_batch_durable(
        &self,
        layers: &[&Layer],
        written: &BTreeSet<PathBuf>,
    ) -> Result<(), Error> {
        let records = layers.iter().map(|layer| layer.record());
        let marked = open_all(records.chain(written.iter().cloned()))?;
        let mut paths = written.clone();
        paths.extend(layers.iter().flat_map(|layer| layer.files()));
        if paths.is_empty() {
            return Ok(());
        }
        let directories: BTreeSet<PathBuf> = paths
            .iter()
            .flat_map(|file| self.directories_to(file))
            .map(Path::to_owned)
            .collect();
        if written.contains(&self.version_file()) {
            paths.extend(self.directories_to_root()?);
        }
        for layer in layers {
            self.finish_sync(&layer.tar())?;
        }
        paths.extend(directories);
        sync_all(&paths)?;
        for (path, file) in &marked {
            mark(file, path)?;
        }
        Ok(())
    }

    /// Writes a file that, once this returns, outlasts a power failure, and before is as it was.
    pub(crate) fn write_durable(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        if self.durability() == Durability::None {
            return self.write(path, bytes);
        }
        let temporary = self.temporary_file(bytes)?;
        let published = File::open(&temporary)
            .at("open", &temporary)
            .and_then(|file| sync(&file, &temporary).map(|()| file))
            .and_then(|file| self.publish(&temporary, path).map(|()| file));
        // Not what has this path by then, which another may have put there.
        let file = published.inspect_err(|_| drop(fs::remove_file(&temporary)))?;
        self.sync_directories_to(path)?;
        mark(&file, path)
    }

    /// Has the name of a file outlast a power failure.
    pub(crate) fn sync_directories_to(&self, path: &Path) -> Result<(), Error> {
        sync_all(&self.directories_to(path).map(Path::to_owned).collect())
    }

    /// Whether what has this path is there and is known to outlast what it has to.
    pub(crate) fn outlasts(&self, path: &Path) -> bool {
        match self.durability() {
            Durability::Image => is_marked(path),
            Durability::None => path.exists(),
        }
    }

    /// The directories of the store that lead to a file.
    pub(crate) fn directories_to<'a>(&self, file: &'a Path) -> impl Iterator<Item = &'a Path> {
        let above = file.ancestors().skip(1);
        above.take_while(|directory| directory.starts_with(self.root()))
    }

    /// The directories that lead to the store. Those that it cannot open or that are on another file system it has not
    /// made.
    fn directories_to_root(&self) -> Result<Vec<PathBuf>, Error> {
        let device = |path: &Path| {
            File::open(path)
                .and_then(|file| file.metadata())
                .map(|m| m.dev())
        };
        let own = device(self.root()).at("read", self.root())?;
        let above = self.root().ancestors().skip(1);
        let above =
            above.take_while(|directory| device(directory).is_ok_and(|device| device == own));
        Ok(above.map(Path::to_owned).collect())
    }

    /// Has a large file begin its way to the disk, so that less is left to wait for.
    pub(crate) fn begin_sync(&self, path: &Path, size: u64) {
        if self.durability() == Durability::None || size < LARGE {
            return;
        }
        let path = path.to_owned();
        let begun = path.clone();
        let thread = std::thread::spawn(move || sync_one(&path));
        self.begun_syncs().insert(begun, thread);
    }

    /// Waits for what was begun. The kernel tells of a failed write only once, so it may have told it there.
    fn finish_sync(&self, path: &Path) -> Result<(), Error> {
        let begun = self.begun_syncs().remove(path);
        begun.map_or(Ok(()), |thread| {
            thread.join().expect("syncing does not panic")
        })
    }
}

/// Names the time since the machine was started.
pub(crate) fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    })
}

/// The SHA-256 digest of a file.
pub(crate) fn sha256(path: &Path) -> Result<[u8; 32], Error> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).at("open", path)?;
    io::copy(&mut file, &mut HashWriter(&mut hasher)).at("read", path)?;
    Ok(hasher.finalize().into())
}

/// The BLAKE3 digest of a file that fits in memory.
pub(crate) fn blake3(path: &Path) -> Result<blake3::Hash, Error> {
    let bytes = fs::read(path).at("read", path)?;
    Ok(blake3::Hasher::new().update_rayon(&bytes).finalize())
}

/// Whether what has this path is known to be durable.
pub(crate) fn is_marked(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().readonly())
}

/// Notes that a file is durable, by its name too.
pub(crate) fn mark(file: &File, path: &Path) -> Result<(), Error> {
    let durable = Permissions::from_mode(DURABLE);
    file.set_permissions(durable).at("change", path)
}

/// The files of these paths that are there. What is noted of one that was open before it was synced is not noted of
/// another that has taken its place since.
fn open_all(paths: impl Iterator<Item = PathBuf>) -> Result<Vec<(PathBuf, File)>, Error> {
    let open = |path: PathBuf| {
        let file = optional(File::open(&path)).at("open", &path).transpose()?;
        Some(file.map(|file| (path, file)))
    };
    paths.filter_map(open).collect()
}

/// Syncs many files or directories at once. What is gone by then needs it no more: a document can be collected until the
/// image that needs it is recorded, and layers are held.
fn sync_all(paths: &BTreeSet<PathBuf>) -> Result<(), Error> {
    let paths: Vec<&PathBuf> = paths.iter().collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            sync_one(path)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..PARALLEL.min(paths.len()))
            .map(|_| scope.spawn(work))
            .collect();
        let mut result = work();
        for thread in threads {
            result = result.and(thread.join().expect("syncing does not panic"));
        }
        result
    })
}

/// Waits until a file or directory is on the disk, if it is there.
fn sync_one(path: &Path) -> Result<(), Error> {
    let file = optional(File::open(path)).at("open", path)?;
    file.map_or(Ok(()), |file| sync(&file, path))
}

/// Waits until a file or directory is on the disk.
fn sync(file: &File, path: &Path) -> Result<(), Error> {
    #[cfg(test)]
    tests::syncs(path)?;
    file.sync_all().at("sync", path)
}

/// Hashes what is written to it.
struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
