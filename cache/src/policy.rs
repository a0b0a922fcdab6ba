//! Which items are removed: a pure function over a snapshot of the store.
//!
//! The rules are those of BuildKit's prune. What is needed, in use or pinned stays. Of the rest, what was used last longest
//! ago goes first: all of it, or with limits as much as brings the space below them. What is only in use counts as used
//! space, as it will stay when its user has ended; what images and containers need does not.

use std::time::{Duration, SystemTime};

use crate::filter::Filter;
use crate::usage::Item;

/// How much space the cache may take. Bytes; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// At most this much is kept.
    pub max_used: u64,
    /// This much is kept even where that leaves less free than wanted.
    pub reserved: u64,
    /// This much of the disk is to be free.
    pub min_free: u64,
}

/// The file system that a store is on, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Its size.
    pub total: u64,
    /// What is free on it.
    pub free: u64,
}

/// What is to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prune {
    /// Only what has not been used for so long.
    pub unused_for: Duration,
    /// Only as much as these ask for; without any, everything.
    pub limits: Limits,
    /// Only what fits all of these.
    pub filters: Vec<Filter>,
    /// Also what is only remembered: what registries have, and blobs that have come in part.
    pub memories: bool,
}

impl Limits {
    /// BuildKit's defaults: at most 60 % of the disk and 100 GB, a fifth of the disk free, a tenth and at most 10 GB
    /// kept whatever else is on the disk.
    pub fn of(disk: Disk) -> Self {
        const GB: u64 = 1_000_000_000;
        Self {
            max_used: (disk.total / 10 * 6).min(100 * GB),
            reserved: (disk.total / 10).min(10 * GB),
            min_free: disk.total / 5,
        }
    }

    /// How much of `used` bytes may stay; `None` for nothing of what may go.
    fn keep(self, used: u64, disk: Disk) -> Option<u64> {
        if self == Self::default() {
            return None;
        }
        let missing = self.min_free.saturating_sub(disk.free);
        let max = if self.max_used == 0 {
            u64::MAX
        } else {
            self.max_used
        };
        let keep = if missing > 0 {
            max.min(used.saturating_sub(missing))
        } else {
            max
        };
        Some(keep.max(self.reserved))
    }
}

/// What is decided of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice<'a> {
    /// The items to remove, the one that was used longest ago first.
    pub remove: Vec<&'a Item>,
    /// What somebody uses now and would have to go too, for the limits to be kept.
    pub awaited: Vec<&'a Item>,
}

/// Decides which items are removed.
pub fn choose<'a>(items: &'a [Item], prune: &Prune, disk: Disk, now: SystemTime) -> Choice<'a> {
    let age = |item: &Item| now.duration_since(item.used).unwrap_or_default();
    let mut candidates: Vec<&Item> = items
        .iter()
        .filter(|item| item.is_loose() && age(item) >= prune.unused_for)
        .filter(|item| prune.filters.iter().all(|filter| filter.fits(item)))
        .collect();
    candidates.sort_by(|one, other| {
        one.used
            .cmp(&other.used)
            .then_with(|| one.id.cmp(&other.id))
    });
    let (free, in_use): (Vec<&Item>, Vec<&Item>) = candidates
        .into_iter()
        .partition(|item| item.kept.is_empty());
    let used: u64 = items
        .iter()
        .filter(|item| item.is_loose())
        .map(|item| item.size)
        .sum();
    let Some(keep) = prune.limits.keep(used, disk) else {
        let awaited = Vec::new();
        return Choice {
            remove: free,
            awaited,
        };
    };
    let mut left = used;
    let mut exceeds = |item: &&Item| {
        let exceeds = left > keep;
        left = left.saturating_sub(item.size);
        exceeds
    };
    Choice {
        remove: free.into_iter().take_while(&mut exceeds).collect(),
        awaited: in_use.into_iter().take_while(&mut exceeds).collect(),
    }
}

#[cfg(test)]
mod tests;
