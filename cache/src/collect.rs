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
//! One background collector works at a time, and one more waits for its turn: what is added while the first works is seen
//! by the second. If limits cannot be kept because something is in use, a third waits for that to end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use layer::DiffId;

use crate::error::{Error, IoContext as _};
use crate::lock::{Mode, Range, RangeLock};
use crate::policy::{Choice, Disk, Prune, choose};
use crate::usage::{Item, Kind, Needs, Roots, Usage};
use crate::{Bucket, Store};

/// How many items are removed while others wait.
const BATCH: usize = 32;
/// The first pause between two looks at whether something has ended.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a decision that waits for something in use stays good: others may come into use, and go out of it.
const GOOD_FOR: Duration = Duration::from_secs(30);

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
        let items = self.decide(&usage, prune)?.remove;
        Ok(Collected {
            items: items.into_iter().cloned().collect(),
        })
    }

    /// Removes what is to be removed and is not in use.
    pub fn collect(&self, prune: &Prune) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        self.collect_once(prune, &mut collected)?;
        Ok(collected)
    }

    /// Waits for its turn and collects, and again when what was in use has ended, until the limits are kept. Leaves it to
    /// others who wait already: they will see what there is to see.
    pub fn collect_in_turn(&self, prune: &Prune) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        while let Some(turn) = self.turn()? {
            let awaited = self.collect_once(prune, &mut collected)?;
            drop(turn);
            if awaited.is_empty() {
                break;
            }
            let Some(_waiting) = self.lock("later")? else {
                break;
            };
            self.wait_for_any(&awaited)?;
        }
        Ok(collected)
    }

    /// Waits until nobody else collects; not if somebody else waits already.
    fn turn(&self) -> Result<Option<RangeLock>, Error> {
        let Some(_next) = self.lock("next")? else {
            return Ok(None);
        };
        loop {
            if let Some(now) = self.lock("now")? {
                return Ok(Some(now));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Takes a part in turns, if it is free.
    fn lock(&self, part: &str) -> Result<Option<RangeLock>, Error> {
        let range = Range::key("collector", part.as_bytes());
        self.store.try_lock(range, Mode::Exclusive)
    }

    fn decide<'u>(&self, usage: &'u Usage, prune: &Prune) -> Result<Choice<'u>, Error> {
        let disk = self.store.disk()?;
        Ok(choose(&usage.items, prune, disk, SystemTime::now()))
    }

    /// Removes what is to be removed, and gives what would have to go too and is in use.
    fn collect_once(&self, prune: &Prune, collected: &mut Collected) -> Result<Vec<Item>, Error> {
        self.store.sweep()?;
        let usage = self.usage()?;
        let choice = self.decide(&usage, prune)?;
        let mut awaited: Vec<Item> = choice.awaited.into_iter().cloned().collect();
        for batch in choice.remove.chunks(BATCH) {
            let (removed, left) = self.remove(batch)?;
            collected.items.extend(removed);
            awaited.extend(left);
        }
        self.forget_lost()?;
        if prune.memories {
            for bucket in MEMORIES {
                self.store.discard(&self.store.directory(bucket))?;
            }
        }
        self.store.sweep()?;
        Ok(awaited)
    }

    /// Waits until one of the items is not in use any more, or somebody should look anew.
    fn wait_for_any(&self, items: &[Item]) -> Result<(), Error> {
        let begun = Instant::now();
        let mut pause = PAUSE;
        while begun.elapsed() < GOOD_FOR {
            for item in items {
                if !self.is_used(item)? {
                    return Ok(());
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    fn is_used(&self, item: &Item) -> Result<bool, Error> {
        match (item.kind, item.id.parse::<DiffId>()) {
            (Kind::Layer, Ok(layer)) => self.store.layers().is_used(&layer),
            (Kind::CacheMount, _) => self.store.mounts().is_used(&item.id),
            (Kind::Layer | Kind::Context, _) => Ok(false),
        }
    }

    /// Removes those of the items that nobody needs now, and gives those that went and those that are in use.
    fn remove(&self, items: &[&Item]) -> Result<(Vec<Item>, Vec<Item>), Error> {
        let _alone = self.store.reserve_roots()?;
        let needs = Needs::find(self.store, &(self.roots)()?, self.named)?;
        let (mut removed, mut used) = (Vec::new(), Vec::new());
        for &item in items {
            let gone = match item.kind {
                Kind::Layer => match item.id.parse::<DiffId>() {
                    Ok(layer) if !needs.layers.contains_key(&layer) => {
                        self.store.layers().remove(&layer)?
                    }
                    _ => continue,
                },
                Kind::CacheMount if self.store.mounts().is_pinned(&item.id) => continue,
                Kind::CacheMount => self.store.mounts().remove(&item.id)?,
                Kind::Context => {
                    let path = self.store.directory(Bucket::Contexts).join(&item.id);
                    self.store.discard(&path)?;
                    true
                }
            };
            if gone {
                removed.push(item.clone());
            } else if self.is_used(item)? {
                used.push(item.clone());
            }
        }
        Ok((removed, used))
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
            documents.extend(&named.image.documents);
            documents.extend(named.tags.iter().filter_map(|tag| tag.document));
        }
        for (digest, path) in self.store.blobs().names()? {
            if !documents.contains(&digest) {
                self.store.discard(&path)?;
            }
        }
        drop(alone);
        self.store.layers().forget_lost()?;
        self.store.downloads().forget_lost()?;
        self.store.transfers().forget_old()?;
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
