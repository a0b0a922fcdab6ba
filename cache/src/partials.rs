//! Blobs of which only the beginning has come, so that a download goes on where an earlier process stopped.
//!
//! What lies here is not verified and never served; whoever goes on with it verifies the whole. Anyone may remove it at
//! any time.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use layer::Digest;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Error, IoContext as _, optional};
use crate::store::entries;
use crate::{Bucket, Store};

/// What nobody has gone on with for so long is removed.
const AGE_MAX: Duration = Duration::from_hours(7 * 24);
/// How many times a blob's size must be free for it to be kept: a layer is several times as long as its blob.
const ROOM: u64 = 8;

/// The beginnings of blobs in a store.
#[derive(Debug, Clone, Copy)]
pub struct Partials<'a> {
    store: &'a Store,
}

/// The beginning of a blob. While it is held nobody else writes to it.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    file: Arc<File>,
}

impl<'a> Partials<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// What has come of a blob of this size, which may be nothing; `None` if another download holds it, or if what is
    /// made of the blob may need the room. What is too old is removed on this occasion.
    pub fn open(&self, blob: &Digest, size: u64) -> Result<Option<Partial>, Error> {
        let directory = self.store.directory(Bucket::Partial);
        let path = directory.join(blob.to_hex());
        remove_old(&directory, SystemTime::now())?;
        if !has_room_beside(size, self.store.root())? {
            optional(fs::remove_file(&path)).at("remove", &path)?;
            return Ok(None);
        }
        let open = || {
            let mut options = File::options();
            let options = options.read(true).write(true).create(true).truncate(false);
            options.open(&path)
        };
        let file = self.store.with_parents(&path, open).at("open", &path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            result => result.map_err(io::Error::from).at("lock", &path)?,
        }
        // Its last holder may have removed it before the lock was ours; then it leads nowhere.
        let here = optional(fs::symlink_metadata(&path)).at("look at", &path)?;
        let opened = file.metadata().at("look at", &path)?;
        Ok(here
            .is_some_and(|here| here.ino() == opened.ino())
            .then(|| Partial {
                path,
                file: Arc::new(file),
            }))
    }
}

impl Partial {
    /// Its file, open for reading and writing.
    pub fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Removes it.
    pub fn discard(self) -> Result<(), Error> {
        optional(fs::remove_file(&self.path))
            .at("remove", &self.path)
            .map(drop)
    }
}

/// Whether a file system has room for a blob beside what is made of it.
fn has_room_beside(size: u64, root: &Path) -> Result<bool, Error> {
    let free = rustix::fs::statvfs(root)
        .map_err(io::Error::from)
        .at("look at", root)?;
    Ok(free.f_bavail.saturating_mul(free.f_frsize) / ROOM >= size)
}

fn remove_old(directory: &Path, now: SystemTime) -> Result<(), Error> {
    for path in entries(directory)? {
        let Some(metadata) = optional(fs::symlink_metadata(&path)).at("look at", &path)? else {
            continue;
        };
        let changed = metadata.modified().at("look at", &path)?;
        let age = now.duration_since(changed).unwrap_or_default();
        if age > AGE_MAX {
            optional(fs::remove_file(&path)).at("remove", &path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_came_is_found_again_and_held_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let blob = Digest::of(b"blob");
        let first = store.partials().open(&blob, 9).unwrap().unwrap();
        first.file().write_all(b"begin").unwrap();
        let again = Store::open(directory.path()).unwrap();
        assert!(again.partials().open(&blob, 9).unwrap().is_none());
        drop(first);
        // The sweep after a process that ended leaves it alone.
        again.sweep().unwrap();
        let second = again.partials().open(&blob, 9).unwrap().unwrap();
        assert_eq!(second.file().metadata().unwrap().len(), 5);
        second.discard().unwrap();
        let third = again.partials().open(&blob, 9).unwrap().unwrap();
        assert_eq!(third.file().metadata().unwrap().len(), 0);
    }

    #[test]
    fn nothing_is_kept_where_there_is_no_room() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let blob = Digest::of(b"blob");
        drop(store.partials().open(&blob, 9).unwrap().unwrap());
        assert!(store.partials().open(&blob, u64::MAX).unwrap().is_none());
        let left = fs::read_dir(directory.path().join("partial")).unwrap();
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn what_is_old_goes() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let (old, other) = (Digest::of(b"old"), Digest::of(b"other"));
        let partial = store.partials().open(&old, 9).unwrap().unwrap();
        let path = partial.path.clone();
        partial
            .file()
            .set_modified(SystemTime::now() - AGE_MAX * 2)
            .unwrap();
        drop(partial);
        drop(store.partials().open(&other, 9).unwrap());
        assert!(!path.exists());
    }
}
