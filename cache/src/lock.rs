//! Locks between processes: byte ranges of the one file `lock`.
//!
//! They are open file description locks (`F_OFD_SETLK` of fcntl(2)): the kernel gives them back when the process
//! dies, so there is nothing to clean up. The bytes mean:
//!
//! ```text
//! [0, 2^62)              keys of work, layers, cache mounts: 62 bits of a hash
//! [2^62, 2^62 + 2^61)    owners: processes that use the store, by their random number
//! 2^62 + 2^61            the roots: shared by those who write what keeps layers, exclusive for who removes
//! ```
//!
//! [`collect`](crate::collect) says how builds and collectors keep out of each other's way by them.
//!
//! A [`Store`](crate::Store) has one description, within which the kernel sees no conflicts, so a table beside it
//! says which ranges its own users hold. Waiting is trying again after pauses, and ends when the future is dropped.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::error::{Error, IoContext as _};

/// The byte that stands for the roots.
const ROOTS: u64 = (1 << 62) + (1 << 61);
/// The first byte that stands for an owner.
const OWNERS: u64 = 1 << 62;
/// The first pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_micros(500);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Who else may hold the same range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Other shared holders.
    Shared,
    /// Nobody.
    Exclusive,
}

/// One byte of the lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Range(u64);

impl Range {
    /// The records that keep layers.
    pub(crate) const ROOTS: Self = Self(ROOTS);

    /// A key of work, named by what it is for and a text.
    pub(crate) fn key(purpose: &str, name: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(purpose.as_bytes()).update(&[0]).update(name);
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        Self(u64::from_le_bytes(bytes) >> 2)
    }

    /// A process that uses the store.
    pub(crate) fn owner(number: u64) -> Self {
        Self(OWNERS | (number >> 3))
    }
}

/// The lock file of one [`Store`](crate::Store), and what the store's own users hold.
#[derive(Debug)]
pub(crate) struct LockFile {
    file: File,
    held: Mutex<HashMap<Range, Held>>,
}

/// How a range is held within this process.
#[derive(Debug, Clone, Copy)]
enum Held {
    /// By so many.
    Shared(usize),
    /// By one alone.
    Exclusive,
}

impl LockFile {
    /// Opens the lock file, making it if need be.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        Ok(Self {
            file: file.at("open", path)?,
            held: Mutex::default(),
        })
    }

    /// Takes a lock if it is free now.
    pub(crate) fn try_lock(
        self: &Arc<Self>,
        range: Range,
        mode: Mode,
    ) -> io::Result<Option<RangeLock>> {
        let mut held = self.held();
        let free = match (held.get(&range), mode) {
            (None, _) => self.set(range, kind(mode))?,
            (Some(Held::Shared(_)), Mode::Shared) => true,
            (Some(_), _) => false,
        };
        if !free {
            return Ok(None);
        }
        match (held.entry(range), mode) {
            (Entry::Occupied(mut entry), _) => {
                if let Held::Shared(count) = entry.get_mut() {
                    *count += 1;
                }
            }
            (Entry::Vacant(entry), Mode::Shared) => {
                entry.insert(Held::Shared(1));
            }
            (Entry::Vacant(entry), Mode::Exclusive) => {
                entry.insert(Held::Exclusive);
            }
        }
        Ok(Some(RangeLock {
            locks: Arc::clone(self),
            range,
        }))
    }

    /// Waits for a lock.
    pub(crate) async fn lock(self: &Arc<Self>, range: Range, mode: Mode) -> io::Result<RangeLock> {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(lock) = self.try_lock(range, mode)? {
                return Ok(lock);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits for a lock that is never held for longer than a few system calls.
    pub(crate) fn lock_soon(self: &Arc<Self>, range: Range, mode: Mode) -> io::Result<RangeLock> {
        let mut pause = FIRST_PAUSE / 10;
        loop {
            if let Some(lock) = self.try_lock(range, mode)? {
                return Ok(lock);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE / 10);
        }
    }

    /// Whether anybody, here or in another process, holds a range.
    pub(crate) fn is_held(&self, range: Range) -> io::Result<bool> {
        if self.held().contains_key(&range) {
            return Ok(true);
        }
        let mut lock = byte(range, libc::F_WRLCK);
        fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut lock))?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    /// Sets this description's lock of a range; whether that was possible.
    fn set(&self, range: Range, kind: i32) -> io::Result<bool> {
        match fcntl(&self.file, FcntlArg::F_OFD_SETLK(&byte(range, kind))) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Range, Held>> {
        // No code that holds the table can leave it half changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lock that is given back when dropped, or when its process ends.
#[derive(Debug)]
pub struct RangeLock {
    locks: Arc<LockFile>,
    range: Range,
}

impl RangeLock {
    /// Lets others share what was exclusive. Nobody else gets it exclusively in between.
    pub(crate) fn share(&self) -> io::Result<()> {
        let mut held = self.locks.held();
        self.locks.set(self.range, libc::F_RDLCK)?;
        held.entry(self.range).and_modify(|how| {
            if matches!(how, Held::Exclusive) {
                *how = Held::Shared(1);
            }
        });
        Ok(())
    }
}

impl Drop for RangeLock {
    fn drop(&mut self) {
        let mut held = self.locks.held();
        match held.get_mut(&self.range) {
            Some(Held::Shared(count)) if *count > 1 => *count -= 1,
            _ => {
                held.remove(&self.range);
                // Unlocking can only fail for a bad descriptor, and then there is no lock.
                self.locks.set(self.range, libc::F_UNLCK).ok();
            }
        }
    }
}

/// The kernel's word for a mode.
fn kind(mode: Mode) -> i32 {
    match mode {
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
    }
}

/// The kernel's description of a lock of one byte.
fn byte(range: Range, kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: range.0 as libc::off_t,
        l_len: 1,
        // Must be 0 for locks of open file descriptions.
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Two descriptions of one lock file, as two processes have them.
    fn two() -> (tempfile::TempDir, Arc<LockFile>, Arc<LockFile>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let [one, other] = [(); 2].map(|()| Arc::new(LockFile::open(&path).unwrap()));
        (directory, one, other)
    }

    #[test]
    fn holders_exclude_each_other_within_and_between_processes() {
        use Mode::{Exclusive, Shared};
        let range = Range::key("test", b"a");
        for (first, second, both) in [
            (Shared, Shared, true),
            (Shared, Exclusive, false),
            (Exclusive, Shared, false),
            (Exclusive, Exclusive, false),
        ] {
            let (_directory, one, other) = two();
            let held = one.try_lock(range, first).unwrap().unwrap();
            for locks in [&one, &other] {
                let second_lock = locks.try_lock(range, second).unwrap();
                assert_eq!(second_lock.is_some(), both, "{first:?} then {second:?}");
            }
            assert!(
                one.try_lock(Range::key("test", b"b"), Exclusive)
                    .unwrap()
                    .is_some()
            );
            drop(held);
            assert!(other.try_lock(range, Exclusive).unwrap().is_some());
        }
    }

    #[test]
    fn the_last_of_several_shared_holders_gives_the_lock_back() {
        let (_directory, one, other) = two();
        let range = Range::key("test", b"a");
        let [first, second] = [(); 2].map(|()| one.try_lock(range, Mode::Shared).unwrap().unwrap());
        drop(first);
        assert!(other.try_lock(range, Mode::Exclusive).unwrap().is_none());
        drop(second);
        assert!(other.try_lock(range, Mode::Exclusive).unwrap().is_some());
    }

    #[test]
    fn sharing_lets_readers_in() {
        let (_directory, one, other) = two();
        let range = Range::key("test", b"a");
        let lock = one.try_lock(range, Mode::Exclusive).unwrap().unwrap();
        lock.share().unwrap();
        for locks in [&one, &other] {
            assert!(locks.try_lock(range, Mode::Shared).unwrap().is_some());
            assert!(locks.try_lock(range, Mode::Exclusive).unwrap().is_none());
        }
    }

    #[test]
    fn owners_are_seen_to_live_until_they_let_go() {
        let (_directory, one, other) = two();
        let range = Range::owner(u64::MAX);
        assert_ne!(range, Range::ROOTS);
        let held = one.try_lock(range, Mode::Exclusive).unwrap().unwrap();
        assert!(one.is_held(range).unwrap() && other.is_held(range).unwrap());
        drop(held);
        assert!(!one.is_held(range).unwrap() && !other.is_held(range).unwrap());
    }

    #[tokio::test]
    async fn waiting_ends_when_the_holder_lets_go_or_the_waiter_is_dropped() {
        let (_directory, one, other) = two();
        let range = Range::key("test", b"a");
        let held = one.try_lock(range, Mode::Exclusive).unwrap().unwrap();
        let waiting = other.lock(range, Mode::Exclusive);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), waiting)
                .await
                .is_err()
        );
        let (got, ()) = tokio::join!(other.lock(range, Mode::Exclusive), async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            drop(held);
        });
        assert!(got.is_ok());
    }
}
