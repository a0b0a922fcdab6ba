//! A store's own key for hashes that must not be those of anybody's guesses.
//!
//! `STORE/hashing-key` is 32 random bytes that only the owner of the store can read, made when they are first needed. They
//! outlast a power failure before anything is hashed with them. Whoever has the hashes and not the key learns nothing of what
//! was hashed but whether it is the same.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext as _, optional};
use crate::lock::{Mode, Range};
use crate::{Bucket, Durability, Store};

/// How long the key is, in bytes.
const LENGTH: usize = 32;
/// Who may read it: nobody but the owner.
const MODE: u32 = 0o600;

impl Store {
    /// The BLAKE3 hash of these bytes under the store's own key.
    pub fn keyed_hash(&self, bytes: &[u8]) -> Result<[u8; 32], Error> {
        Ok(*blake3::keyed_hash(&self.hashing_key()?, bytes).as_bytes())
    }

    fn hashing_key(&self) -> Result<[u8; LENGTH], Error> {
        let path = self.root().join("hashing-key");
        if let Some(key) = read(&path)? {
            return Ok(key);
        }
        // Of all who find none, one makes it.
        let _lock = self.lock_soon(Range::key("hashing key", &[0; 32]), Mode::Exclusive)?;
        if let Some(key) = read(&path)? {
            return Ok(key);
        }
        let mut key = [0; LENGTH];
        rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())
            .map_err(std::io::Error::from)
            .at("create", &path)?;
        let temporary = self.write_private(&key)?;
        self.publish(&temporary, &path)
            .inspect_err(|_| drop(fs::remove_file(&temporary)))?;
        if self.durability() != Durability::None {
            self.sync_directories_to(&path)?;
        }
        Ok(key)
    }

    /// A new file that only its owner can read, on the disk.
    fn write_private(&self, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.fresh_name(Bucket::Temporary);
        let open = || {
            let mut options = File::options();
            options.write(true).create_new(true).mode(MODE).open(&path)
        };
        let mut file = self.with_parents(&path, open).at("create", &path)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| match self.durability() {
                Durability::None => Ok(()),
                Durability::Image => file.sync_all(),
            });
        written
            .at("write", &path)
            .inspect_err(|_| drop(fs::remove_file(&path)))?;
        Ok(path)
    }
}

/// The key, if it is there whole.
fn read(path: &Path) -> Result<Option<[u8; LENGTH]>, Error> {
    let bytes = optional(fs::read(path)).at("read", path)?;
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn hashes_are_of_the_store() -> Result<(), Error> {
        let directories = [(); 2].map(|()| tempfile::tempdir().expect("a scratch directory"));
        let open = |number: usize| Store::open(directories[number].path().join("store"));
        let hash = open(0)?.keyed_hash(b"secret")?;
        assert_eq!(open(0)?.keyed_hash(b"secret")?, hash);
        assert_ne!(open(0)?.keyed_hash(b"other")?, hash);
        assert_ne!(open(1)?.keyed_hash(b"secret")?, hash);
        assert_ne!(*blake3::hash(b"secret").as_bytes(), hash);
        Ok(())
    }

    #[test]
    fn only_the_owner_can_read_the_key() -> Result<(), Error> {
        let directory = tempfile::tempdir().expect("a scratch directory");
        let store = Store::open(directory.path().join("store"))?;
        store.keyed_hash(b"secret")?;
        let path = store.root().join("hashing-key");
        let mode = fs::metadata(&path).expect("it is there").permissions();
        assert_eq!(mode.mode() & 0o777, MODE);
        Ok(())
    }

    #[test]
    fn all_who_begin_at_once_have_one_key() -> Result<(), Error> {
        let directory = tempfile::tempdir().expect("a scratch directory");
        let root = directory.path().join("store");
        Store::open(&root)?;
        let hashes: Vec<_> = std::thread::scope(|scope| {
            let hash = || Store::open(&root)?.keyed_hash(b"secret");
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(hash)).collect();
            let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined
                .map(|hash| hash.expect("no panic"))
                .collect::<Result<_, Error>>()
        })?;
        assert!(hashes.iter().all(|hash| *hash == hashes[0]));
        Ok(())
    }
}
