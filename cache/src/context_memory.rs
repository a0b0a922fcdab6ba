//! Digests of a build context's files, remembered by what `stat` says of them, so that an unchanged context is not
//! read again.
//!
//! One file for each context, read as a whole and replaced as a whole, all numbers little endian:
//!
//! ```text
//! file   = magic:[u8; 8] count:u64 checksum:[u8; 32] entry*     checksum: BLAKE3 of the entries
//! entry  = path:u64       a hash of the path, see `path_hash`
//!          device:u64 inode:u64 size:u64
//!          mtime:i64 mtime_ns:u32 ctime_ns:u32 ctime:i64
//!          digest:[u8; 32]
//! ```
//!
//! A file that changed so shortly before the walk that a later change might leave its times the same is not
//! remembered: its times must lie before the walk's beginning by more than the file system's grain.

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use layer::ContentDigest;
use rustix::fs::Stat;

use crate::error::Error;
use crate::{Bucket, Store, names};

/// Begins every file, and names its version.
const MAGIC: [u8; 8] = *b"rbuildc1";
/// The bytes before the entries.
const HEADER: usize = 48;
/// The bytes of an entry.
const ENTRY: usize = 88;
/// The bytes of an entry that identify the file.
const STAMP: usize = ENTRY - 32;
/// Files of more than this many bytes are not read: about ten million entries.
const LIMIT: u64 = 1 << 30;
/// How far the times of a file must lie back where they are exact to nanoseconds: more than the longest tick of
/// the clock that file systems take them from.
const FINE_GRAIN: Duration = Duration::from_millis(20);
/// The same where they are whole seconds, or pairs of them.
const COARSE_GRAIN: Duration = Duration::from_secs(3);

/// What is known of a context's files. Many threads may share it.
#[derive(Debug)]
pub struct ContextMemory {
    store: Store,
    path: PathBuf,
    /// When the walk began.
    began: SystemTime,
    /// The file: its header and its entries.
    file: Vec<u8>,
    /// Entry numbers by path.
    by_path: HashMap<u64, u32, BuildHasherDefault<PathHash>>,
    /// By entry: whether the walk met the file as it is known.
    met: Vec<AtomicBool>,
    /// What the walk found of other files.
    learnt: Mutex<Vec<(FileStamp, ContentDigest)>>,
}

/// A file's path and all that `stat` says about its bytes. Mode and owner are no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    bytes: [u8; STAMP],
    /// The later of its times.
    changed: SystemTime,
    /// Whether the times are in whole seconds.
    coarse: bool,
}

/// Paths come hashed.
#[derive(Debug, Default)]
struct PathHash(u64);

impl Hasher for PathHash {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl FileStamp {
    /// The stamp of the file at `path`, relative to the context.
    pub fn new(path: &[u8], stat: &Stat) -> Self {
        let mut bytes = [0; STAMP];
        bytes[..8].copy_from_slice(&path_hash(path).to_le_bytes());
        bytes[8..16].copy_from_slice(&stat.st_dev.to_le_bytes());
        bytes[16..24].copy_from_slice(&stat.st_ino.to_le_bytes());
        bytes[24..32].copy_from_slice(&(stat.st_size as u64).to_le_bytes());
        bytes[32..40].copy_from_slice(&stat.st_mtime.to_le_bytes());
        bytes[40..44].copy_from_slice(&(stat.st_mtime_nsec as u32).to_le_bytes());
        bytes[44..48].copy_from_slice(&(stat.st_ctime_nsec as u32).to_le_bytes());
        bytes[48..56].copy_from_slice(&stat.st_ctime.to_le_bytes());
        let modified = time(stat.st_mtime, stat.st_mtime_nsec as u32);
        let status_changed = time(stat.st_ctime, stat.st_ctime_nsec as u32);
        Self {
            bytes,
            changed: modified.max(status_changed),
            coarse: stat.st_ctime_nsec == 0,
        }
    }

    fn path(&self) -> u64 {
        number(&self.bytes[..8])
    }

    /// Whether a change of the file after `walk` began would show in its times.
    fn is_settled(&self, walk: SystemTime) -> bool {
        let grain = if self.coarse {
            COARSE_GRAIN
        } else {
            FINE_GRAIN
        };
        self.changed
            .checked_add(grain)
            .is_some_and(|settled| settled < walk)
    }
}

impl ContextMemory {
    /// What the store knows of the context that goes by `name`, best its absolute path. Must be called before the
    /// walk of the context begins. What cannot be read is not known.
    pub fn load(store: &Store, name: &str) -> Self {
        let path = store.directory(Bucket::Contexts).join(names::hashed(name));
        let began = SystemTime::now();
        let file = read(&path).unwrap_or_else(|| vec![0; HEADER]);
        let mut by_path =
            HashMap::with_capacity_and_hasher(file.len() / ENTRY, BuildHasherDefault::default());
        for (entry, index) in file[HEADER..].chunks_exact(ENTRY).zip(0..) {
            by_path.insert(number(&entry[..8]), index);
        }
        let entries = (file.len() - HEADER) / ENTRY;
        Self {
            store: store.clone(),
            path,
            began,
            file,
            by_path,
            met: std::iter::repeat_with(AtomicBool::default)
                .take(entries)
                .collect(),
            learnt: Mutex::default(),
        }
    }

    /// How many files are known.
    pub fn len(&self) -> usize {
        self.by_path.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    /// Whether a change of the file after this was loaded would show in its stamp.
    pub fn trusts(&self, stamp: &FileStamp) -> bool {
        stamp.is_settled(self.began)
    }

    /// The digest of a file's bytes, if it has not changed.
    pub fn get(&self, stamp: &FileStamp) -> Option<ContentDigest> {
        let index = *self.by_path.get(&stamp.path())?;
        let (known, digest) = self.at(index).split_at(STAMP);
        if known != stamp.bytes {
            return None;
        }
        let digest = ContentDigest::from_bytes(digest.try_into().ok()?);
        if self.trusts(stamp) {
            self.met[index as usize].store(true, Ordering::Relaxed);
        } else {
            self.learn(*stamp, digest);
        }
        Some(digest)
    }

    /// Notes the digest of a file that is not known, or has changed.
    pub fn learn(&self, stamp: FileStamp, digest: ContentDigest) {
        self.learnt().push((stamp, digest));
    }

    fn learnt(&self) -> std::sync::MutexGuard<'_, Vec<(FileStamp, ContentDigest)>> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the files that the walk met. What was known of others is kept as long as it is not the greater part.
    /// Writes nothing when nothing is new; whether it wrote.
    pub fn save(&self) -> Result<bool, Error> {
        let learnt = std::mem::take(&mut *self.learnt());
        if !learnt
            .iter()
            .any(|(stamp, digest)| self.is_news(stamp, digest))
        {
            return Ok(false);
        }
        let mut others = self.by_path.clone();
        for (stamp, _) in &learnt {
            others.remove(&stamp.path());
        }
        let was_met = |index: &u32| self.met[*index as usize].load(Ordering::Relaxed);
        let (mut kept, others): (Vec<u32>, Vec<u32>) = others.into_values().partition(was_met);
        if others.len() <= kept.len() + learnt.len() {
            kept.extend(others);
        }
        kept.sort_unstable();
        let mut entries = Vec::with_capacity((learnt.len() + kept.len()) * ENTRY);
        for (stamp, digest) in &learnt {
            if stamp.is_settled(self.began) {
                entries.extend_from_slice(&stamp.bytes);
                entries.extend_from_slice(digest.as_bytes());
            }
        }
        for index in kept {
            entries.extend_from_slice(self.at(index));
        }
        self.write(&entries)?;
        Ok(true)
    }

    /// Whether what a walk found of a file differs from what is known.
    fn is_news(&self, stamp: &FileStamp, digest: &ContentDigest) -> bool {
        match self.entry(stamp.path()) {
            Some(entry) if stamp.is_settled(self.began) => {
                entry[..STAMP] != stamp.bytes || entry[STAMP..] != digest.as_bytes()[..]
            }
            known => known.is_some() || stamp.is_settled(self.began),
        }
    }

    fn write(&self, entries: &[u8]) -> Result<(), Error> {
        let mut bytes = Vec::with_capacity(HEADER + entries.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&((entries.len() / ENTRY) as u64).to_le_bytes());
        bytes.extend_from_slice(blake3::hash(entries).as_bytes());
        bytes.extend_from_slice(entries);
        self.store.write(&self.path, &bytes)
    }

    /// The entry of a path.
    fn entry(&self, path: u64) -> Option<&[u8]> {
        self.by_path.get(&path).map(|&index| self.at(index))
    }

    fn at(&self, index: u32) -> &[u8] {
        &self.file[HEADER + index as usize * ENTRY..][..ENTRY]
    }
}

/// Whether a memory's file is whole.
pub(crate) fn is_whole(path: &std::path::Path) -> bool {
    read(path).is_some()
}

/// The bytes of a memory's file, if it is whole.
fn read(path: &std::path::Path) -> Option<Vec<u8>> {
    let length = fs::metadata(path).ok()?.len();
    if length > LIMIT {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let (header, entries) = bytes.split_at_checked(HEADER)?;
    let count = usize::try_from(number(&header[8..16])).ok()?;
    let whole = header[..8] == MAGIC
        && count.checked_mul(ENTRY) == Some(entries.len())
        && blake3::hash(entries).as_bytes() == &header[16..];
    whole.then_some(bytes)
}

/// A hash of a path: per word of 8 bytes, the last one padded with zeros, an exclusive or, a multiplication and a fold.
/// It only has to spread: a file must agree in all of its stamp to be taken for a known one, and two that agree in
/// device and inode are one file.
fn path_hash(path: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| {
        let product = (hash ^ word).wrapping_mul(FACTOR);
        product ^ (product >> 32)
    };
    let words = path.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    mix(words.fold(path.len() as u64, mix), FACTOR)
}

/// A little-endian number of 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("callers give 8 bytes"))
}

/// A time from its parts. Times that cannot be told count as now, and so are not settled.
fn time(seconds: i64, nanoseconds: u32) -> SystemTime {
    let since = Duration::new(seconds.unsigned_abs(), nanoseconds);
    let time = if seconds < 0 {
        UNIX_EPOCH.checked_sub(since)
    } else {
        UNIX_EPOCH.checked_add(since)
    };
    time.unwrap_or_else(SystemTime::now)
}

#[cfg(test)]
mod tests;
