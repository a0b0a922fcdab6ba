//! What outlasts a power failure, and what is made of what did not.
//!
//! - Before a command reports an image done, [`Store::make_durable`] syncs the layers, documents and records of that
//!   image and the directories that lead to them; only then is the image given its name, and that is synced too. So a name
//!   leads to a whole image at every instant. What was durable before costs nothing.
//! - A layer that is durable has an empty file `durable`. One without it is trusted until the machine starts anew: after
//!   that its bytes are compared with its digests when it is first asked for, and it counts as absent if they differ.
//! - The directory forms of layers are never synced, and never used after a restart.
//! - Everything else (records of steps, digests of files, what registries have) carries a checksum and may be lost.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest as _, Sha256};

use crate::Store;
use crate::error::{Error, IoContext as _, optional};
use crate::layers::Layer;
use crate::store::publish;

/// Tars of this many bytes or more begin their way to the disk as soon as they are written.
const LARGE: u64 = 4 << 20;
/// How many files are synced at the same time: the file system makes one commit of them.
const PARALLEL: usize = 16;

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
        let mut files = written.clone();
        files.extend(new.iter().flat_map(|layer| layer.files()));
        if files.is_empty() {
            return Ok(());
        }
        let directories: Vec<PathBuf> = files
            .iter()
            .flat_map(|file| file.ancestors().skip(1))
            .filter(|directory| directory.starts_with(self.root()))
            .map(Path::to_owned)
            .collect();
        files.extend(directories);
        sync_all(&files)?;
        for layer in new {
            layer.mark_durable()?;
        }
        self.unsynced().retain(|path| !written.contains(path));
        Ok(())
    }

    /// Writes a file that, once this returns, outlasts a power failure, and before is as it was.
    pub(crate) fn write_durable(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        if self.durability() == Durability::None {
            return self.write(path, bytes);
        }
        let temporary = self.temporary_file(bytes)?;
        let published = sync(&temporary).and_then(|()| publish(&temporary, path));
        published.inspect_err(|_| drop(fs::remove_file(&temporary)))?;
        let directories = path.ancestors().skip(1).take(2).map(Path::to_owned);
        sync_all(&directories.collect())
    }

    /// Has a large file begin its way to the disk, so that less is left to wait for.
    pub(crate) fn begin_sync(&self, path: &Path, size: u64) {
        if self.durability() == Durability::None || size < LARGE {
            return;
        }
        let path = path.to_owned();
        // What fails here fails again where it is waited for.
        std::thread::spawn(move || sync(&path).ok());
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

/// Syncs many files or directories at once. What is gone by then needs it no more: a document can be collected until the
/// image that needs it is recorded, and layers are held.
fn sync_all(paths: &BTreeSet<PathBuf>) -> Result<(), Error> {
    let paths: Vec<&PathBuf> = paths.iter().collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(file) = optional(File::open(path)).at("open", path)? {
                file.sync_all().at("sync", path)?;
            }
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

/// Waits until a file or directory is on the disk.
fn sync(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .at("sync", path)
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
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use layer::{ContentDigest, DiffId, Digest};

    use super::*;

    fn add(store: &Store, text: &str) -> Layer {
        let draft = store.layers().begin().unwrap();
        fs::write(draft.tar(), text).unwrap();
        fs::write(draft.index(), text).unwrap();
        let id = DiffId::new(Digest::of(text.as_bytes()));
        draft
            .commit(&id, &ContentDigest::of(text.as_bytes()))
            .unwrap()
    }

    #[test]
    fn what_is_durable_is_not_synced_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let layer = add(&store, "layer");
        store
            .blobs()
            .put(&Digest::of(b"config"), b"config")
            .unwrap();
        assert!(!layer.is_durable() && store.unsynced().len() == 1);
        store.make_durable(std::slice::from_ref(&layer)).unwrap();
        assert!(layer.is_durable() && store.unsynced().is_empty());
        // A file that cannot be opened any more would fail to sync.
        fs::remove_file(layer.tar()).unwrap();
        store.make_durable(&[layer]).unwrap();
    }

    #[test]
    fn without_durability_nothing_is_synced() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open_with(directory.path(), Durability::None).unwrap();
        let layer = add(&store, "layer");
        store
            .blobs()
            .put(&Digest::of(b"config"), b"config")
            .unwrap();
        store.make_durable(std::slice::from_ref(&layer)).unwrap();
        assert!(!layer.is_durable() && store.unsynced().is_empty());
    }
}
