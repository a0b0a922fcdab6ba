//! Removing what is no longer needed, while others work on the same store.
//!
//! Two locks keep collectors out of everybody's way, and die with their owners as all locks do:
//!
//! - Whoever uses a layer holds the [`Layer`](crate::Layer), and with it a shared lock of its name. A layer is removed by who
//!   gets this lock exclusively; nobody waits for it, as a layer in use is just left. One that is being removed counts as
//!   absent. Cache mounts have such a lock in their [`MountLease`](crate::MountLease).
//! - Whoever writes a record that keeps layers (an image, a name, a container) holds the layers *and* shares the lock of the
//!   roots while it writes ([`Store::share_roots`]). A collector has that lock alone while it finds out what the roots
//!   need and removes what they don't. So each root is either there and seen, or its writer still holds its layers.
//!
//! A collector decides on a snapshot that may be old, and then removes in small batches, each checked anew under the lock of
//! the roots, so that those who finish a build wait for milliseconds at most. Removal is a rename; the bytes are deleted
//! afterwards. Records that lead to removed layers go last: until then they count as absent.
//!
//! One collector works at a time, and one more waits: what is added while the first works is seen by the second.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use layer::DiffId;

use crate::error::{Error, IoContext as _};
use crate::lock::{Mode, Range};
use crate::policy::{Disk, Prune, choose};
use crate::usage::{Item, Kind, Needs, Roots, Usage};
use crate::{Bucket, Store};

/// How many items are removed while others wait.
const BATCH: usize = 32;
/// The pause between two looks at whether another collector has ended.
const PAUSE: Duration = Duration::from_millis(50);

/// What nobody needs, and what only saves work.
const MEMORIES: [Bucket; 8] = [
    Bucket::Builds,
    Bucket::BuildLogs,
    Bucket::Inputs,
    Bucket::Operations,
    Bucket::Transfers,
    Bucket::Origins,
    Bucket::Locations,
    Bucket::Partial,
];

/// Removes from a store.
pub struct Collector<'a> {
    store: &'a Store,
    /// Asked again and again for what needs layers beside images.
    roots: &'a dyn Fn() -> Result<Roots, Error>,
    /// Whether a name keeps its image.
    named: &'a dyn Fn(&str) -> bool,
}

impl std::fmt::Debug for Collector<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// What a collector removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collected {
    /// The items, the one that was used longest ago first.
    pub items: Vec<Item>,
}

impl<'a> Collector<'a> {
    /// One for a store, with what needs its layers.
    pub fn new(
        store: &'a Store,
        roots: &'a dyn Fn() -> Result<Roots, Error>,
        named: &'a dyn Fn(&str) -> bool,
    ) -> Self {
        Self {
            store,
            roots,
            named,
        }
    }

    /// What takes space now.
    pub fn usage(&self) -> Result<Usage, Error> {
        Usage::take(self.store, &(self.roots)()?, self.named)
    }

    /// What [`Collector::collect`] would remove now.
    pub fn choose(&self, prune: &Prune) -> Result<Collected, Error> {
        let usage = self.usage()?;
        let chosen = choose(&usage.items, prune, self.store.disk()?, SystemTime::now());
        Ok(Collected {
            items: chosen.into_iter().cloned().collect(),
        })
    }

    /// Removes what is to be removed and is not in use.
    pub fn collect(&self, prune: &Prune) -> Result<Collected, Error> {
        self.store.sweep()?;
        let chosen = self.choose(prune)?;
        let mut removed = Vec::new();
        for batch in chosen.items.chunks(BATCH) {
            removed.extend(self.remove(batch)?);
        }
        self.forget_lost()?;
        if prune.memories {
            for bucket in MEMORIES {
                self.store.discard(&self.store.directory(bucket))?;
            }
        }
        self.store.sweep()?;
        Ok(Collected { items: removed })
    }

    /// Waits for its turn and collects; not if somebody else waits already, who will see what there is to see.
    pub fn collect_in_turn(&self, prune: &Prune) -> Result<Option<Collected>, Error> {
        let [waiting, working] =
            ["next", "now"].map(|name| Range::key("collector", name.as_bytes()));
        let Some(next) = self.store.try_lock(waiting, Mode::Exclusive)? else {
            return Ok(None);
        };
        let _now = loop {
            if let Some(now) = self.store.try_lock(working, Mode::Exclusive)? {
                break now;
            }
            std::thread::sleep(PAUSE);
        };
        drop(next);
        self.collect(prune).map(Some)
    }

    /// Removes those of the items that nobody needs now.
    fn remove(&self, items: &[Item]) -> Result<Vec<Item>, Error> {
        let _alone = self.store.reserve_roots()?;
        let needs = Needs::find(self.store, &(self.roots)()?, self.named)?;
        let mut removed = Vec::new();
        for item in items {
            let gone = match item.kind {
                Kind::Layer => match item.id.parse::<DiffId>() {
                    Ok(layer) if !needs.layers.contains_key(&layer) => {
                        self.store.layers().remove(&layer)?
                    }
                    _ => false,
                },
                Kind::CacheMount => {
                    !self.store.mounts().is_pinned(&item.id)
                        && self.store.mounts().remove(&item.id)?
                }
                Kind::Context => {
                    let path = self.store.directory(Bucket::Contexts).join(&item.id);
                    self.store.discard(&path)?;
                    true
                }
            };
            if gone {
                removed.push(item.clone());
            }
        }
        Ok(removed)
    }

    /// Removes the images without a name that have lost layers, documents that no image has, and records that lead
    /// to what is gone.
    fn forget_lost(&self) -> Result<(), Error> {
        let alone = self.store.reserve_roots()?;
        let needs = Needs::find(self.store, &(self.roots)()?, self.named)?;
        let mut documents: BTreeSet<_> = needs.images.keys().copied().collect();
        for named in self.store.images().list()? {
            let id = named.image.id;
            let is_whole = || {
                let mut layers = named.image.layers.iter();
                layers.all(|layer| self.store.layers().contains(layer))
            };
            if !needs.images.contains_key(&id) && !is_whole() {
                self.store.images().remove(&id)?;
                continue;
            }
            documents.insert(id);
            documents.extend(named.tags.iter().filter_map(|tag| tag.manifest));
        }
        for (digest, path) in self.store.blobs().names()? {
            if !documents.contains(&digest) {
                self.store.discard(&path)?;
            }
        }
        drop(alone);
        self.store.layers().forget_lost()?;
        self.store.actions().forget_lost()?;
        self.store.builds().forget_lost()
    }
}

impl Store {
    /// The file system that it is on.
    pub fn disk(&self) -> Result<Disk, Error> {
        let found = rustix::fs::statvfs(self.root()).at("read", self.root())?;
        Ok(Disk {
            total: found.f_blocks * found.f_frsize,
            free: found.f_bavail * found.f_frsize,
        })
    }
}

#[cfg(test)]
mod tests;
