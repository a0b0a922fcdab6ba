//! The directories of cache mounts (`RUN --mount=type=cache`), which outlive builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, IoContext as _};
use crate::lock::{Mode, Range, RangeLock};
use crate::record::{self, Record};
use crate::store::entries;
use crate::{Bucket, Store, names};

/// The first pause while a directory is only to be had by waiting.
const FIRST_PAUSE: Duration = Duration::from_micros(500);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// The cache mounts of a store.
#[derive(Debug, Clone, Copy)]
pub struct Mounts<'a> {
    store: &'a Store,
}

/// What a second user of a directory gets while the first has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// The same directory, at once.
    Shared,
    /// A directory of its own.
    Private,
    /// The same directory, once the first is done.
    Locked,
}

/// The use of a directory, until this is dropped or its process ends.
#[derive(Debug)]
pub struct MountLease {
    store: Store,
    /// The directory `HASH` of the layout, or where it is made.
    directory: PathBuf,
    /// Where it belongs; `None` once it is there.
    unpublished: Option<PathBuf>,
    sharing: Sharing,
    lock: RangeLock,
}

/// Says whose directory it is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Name {
    id: String,
}

impl Record for Name {
    const KIND: &'static str = "mount";
    const VERSION: u32 = 1;

    fn file_name(&self) -> Option<String> {
        Some(names::hashed(&self.id))
    }
}

impl<'a> Mounts<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Waits for the use of the directory that goes by `id`. Dropping the future gives up.
    ///
    /// A directory that did not exist is empty, the caller's alone and [`MountLease::is_fresh`]: the caller gives it
    /// its first contents, mode and owner, and calls [`MountLease::publish`]. If it does not, nothing is kept.
    pub async fn lease(self, id: &str, sharing: Sharing) -> Result<MountLease, Error> {
        let mut pause = FIRST_PAUSE;
        loop {
            let lease = match sharing {
                Sharing::Private => Some(self.first_free(id)?),
                Sharing::Shared | Sharing::Locked => self.try_lease(id, sharing)?,
            };
            if let Some(lease) = lease {
                return Ok(lease);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The names of all cache mounts with their directories, sorted.
    pub fn list(self) -> Result<Vec<(String, PathBuf)>, Error> {
        let mut mounts = Vec::new();
        for directory in entries(&self.store.directory(Bucket::Mounts))? {
            if let Some(name) = record::read::<Name>(&directory.join("id"))? {
                mounts.push((name.id, directory.join("data")));
            }
        }
        mounts.sort_unstable();
        Ok(mounts)
    }

    /// Has a cache mount never be collected, whether it exists yet or not. Outlasts a power failure.
    pub fn pin(self, id: &str) -> Result<(), Error> {
        let name = Name { id: id.to_owned() };
        let name = record::encode(&name)?;
        self.store.write_durable(&self.pinned(id), &name)
    }

    /// Has it be collected as others are; whether it was pinned.
    pub fn unpin(self, id: &str) -> Result<bool, Error> {
        let was = self.is_pinned(id);
        self.store.discard(&self.pinned(id))?;
        Ok(was)
    }

    /// Whether a cache mount is never collected.
    pub fn is_pinned(self, id: &str) -> bool {
        self.pinned(id).exists()
    }

    /// Whether somebody uses it now.
    pub(crate) fn is_used(self, id: &str) -> Result<bool, Error> {
        self.store.is_locked(range(id))
    }

    fn pinned(self, id: &str) -> PathBuf {
        self.store.directory(Bucket::Pins).join(names::hashed(id))
    }

    /// Removes a cache mount unless it is in use; whether it was removed.
    pub fn remove(self, id: &str) -> Result<bool, Error> {
        let Some(_lock) = self.store.try_lock(range(id), Mode::Exclusive)? else {
            return Ok(false);
        };
        let directory = self.directory(id);
        let exists = directory.exists();
        self.store.discard(&directory)?;
        Ok(exists)
    }

    /// The first of `id`, `id~1`, `id~2`, … that nobody uses.
    fn first_free(self, id: &str) -> Result<MountLease, Error> {
        let mut name = id.to_owned();
        let mut number = 0_u64;
        loop {
            if let Some(lease) = self.try_lease(&name, Sharing::Private)? {
                return Ok(lease);
            }
            number += 1;
            name = format!("{id}~{number}");
        }
    }

    /// The use of a directory, if it is free for it now.
    fn try_lease(self, id: &str, sharing: Sharing) -> Result<Option<MountLease>, Error> {
        let place = self.directory(id);
        let exists = self.is_whole(id);
        // One that has to be made first is nobody else's until it is.
        let mode = if exists && sharing == Sharing::Shared {
            Mode::Shared
        } else {
            Mode::Exclusive
        };
        let Some(lock) = self.store.try_lock(range(id), mode)? else {
            return Ok(None);
        };
        self.store.note_growth();
        let lease = MountLease {
            store: self.store.clone(),
            directory: place,
            unpublished: None,
            sharing,
            lock,
        };
        match (self.is_whole(id), mode) {
            (true, Mode::Exclusive) => lease.settle().map(Some),
            (true, Mode::Shared) => {
                lease.touch();
                Ok(Some(lease))
            }
            (false, Mode::Exclusive) => self.make(id, lease).map(Some),
            // It was removed in between.
            (false, Mode::Shared) => Ok(None),
        }
    }

    /// Whether there is a directory that says whose it is.
    fn is_whole(self, id: &str) -> bool {
        let name = record::read::<Name>(&self.directory(id).join("id"));
        name.is_ok_and(|name| name.is_some_and(|name| name.id == id))
    }

    /// A new directory for a lease whose own does not exist, or was damaged.
    fn make(self, id: &str, mut lease: MountLease) -> Result<MountLease, Error> {
        self.store.discard(&lease.directory)?;
        let directory = self.store.temporary_directory()?;
        lease.unpublished = Some(std::mem::replace(&mut lease.directory, directory));
        self.store
            .write_record(&lease.directory.join("id"), &Name { id: id.to_owned() })?;
        let data = lease.path();
        fs::create_dir(&data).at("create", &data)?;
        Ok(lease)
    }

    fn directory(self, id: &str) -> PathBuf {
        self.store.directory(Bucket::Mounts).join(names::hashed(id))
    }
}

impl MountLease {
    /// The directory to mount. Changes when it is published.
    pub fn path(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Whether the directory is new and still to be published.
    pub fn is_fresh(&self) -> bool {
        self.unpublished.is_some()
    }

    /// Keeps a fresh directory as it is now, and lets others use it as far as they may. Does nothing to one that is
    /// not fresh.
    pub fn publish(mut self) -> Result<Self, Error> {
        let Some(place) = self.unpublished.take() else {
            return Ok(self);
        };
        if let Err(error) = self.store.publish(&self.directory, &place) {
            self.unpublished = Some(place);
            return Err(error);
        }
        self.directory = place;
        self.settle()
    }

    /// Notes that the directory is used now.
    fn touch(&self) {
        if let Ok(file) = fs::File::open(self.directory.join("id")) {
            record::touch(&file);
        }
    }

    /// Holds an existing directory no tighter than its sharing asks for.
    fn settle(self) -> Result<Self, Error> {
        self.touch();
        if self.sharing == Sharing::Shared {
            self.lock.share().at("lock", Path::new(&self.directory))?;
        }
        Ok(self)
    }
}

impl Drop for MountLease {
    fn drop(&mut self) {
        if self.is_fresh() {
            // A failure leaves it to the sweep after this process.
            self.store.discard(&self.directory).ok();
        }
    }
}

/// The lock of a directory.
fn range(id: &str) -> Range {
    Range::key("mount", id.as_bytes())
}

#[cfg(test)]
mod tests;
