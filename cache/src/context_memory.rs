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
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use layer::ContentDigest;
use rustix::fs::Stat;

use crate::error::{Error, IoContext as _};
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
    /// By entry: what the walk found of the file.
    found: Vec<AtomicU8>,
    /// What the walk found of other files.
    learnt: Box<Mutex<Learnt>>,
}

/// The walk did not come to a file that is known.
const MISSED: u8 = 0;
/// It is as it is known.
const MET: u8 = 1;
/// It is another now.
const CHANGED: u8 = 2;

/// Files that are not known. There may be hundreds of thousands, so they go to the next file at once.
#[derive(Debug, Default)]
struct Learnt {
    files: usize,
    /// Whether they make the next file another.
    news: bool,
    draft: Option<Draft>,
    failure: Option<Error>,
}

/// The next file, being written. It goes when this is dropped.
#[derive(Debug)]
struct Draft {
    path: PathBuf,
    out: BufWriter<fs::File>,
    entries: u64,
    hasher: Box<blake3::Hasher>,
}

/// A file's path and all that `stat` says about its bytes. Mode and owner are no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// As an entry has it.
    bytes: [u8; STAMP],
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
        Self { bytes }
    }

    fn path(&self) -> u64 {
        number(&self.bytes[..8])
    }

    fn number(&self, at: usize) -> i64 {
        number(&self.bytes[at..at + 8]).cast_signed()
    }

    fn nanoseconds(&self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.bytes[at..at + 4]);
        u32::from_le_bytes(bytes)
    }

    /// Whether a change of the file after `walk` began would show in its times.
    fn is_settled(&self, walk: SystemTime) -> bool {
        let modified = time(self.number(32), self.nanoseconds(40));
        let changed = (self.number(48), self.nanoseconds(44));
        let grain = if changed.1 == 0 {
            COARSE_GRAIN
        } else {
            FINE_GRAIN
        };
        modified
            .max(time(changed.0, changed.1))
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
            found: std::iter::repeat_with(AtomicU8::default)
                .take(entries)
                .collect(),
            learnt: Box::default(),
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
            self.found[index as usize].store(MET, Ordering::Relaxed);
        } else {
            self.learn(*stamp, digest);
        }
        Some(digest)
    }

    /// Notes the digest of a file that is not known, or has changed.
    pub fn learn(&self, stamp: FileStamp, digest: ContentDigest) {
        let known = self.by_path.get(&stamp.path()).copied();
        if let Some(index) = known {
            self.found[index as usize].store(CHANGED, Ordering::Relaxed);
        }
        let settled = stamp.is_settled(self.began);
        let mut learnt = self.learnt();
        learnt.files += 1;
        learnt.news |= match known {
            Some(index) if settled => {
                let (known, known_digest) = self.at(index).split_at(STAMP);
                known != stamp.bytes || known_digest != digest.as_bytes()
            }
            known => known.is_some() || settled,
        };
        if settled {
            learnt.note(&self.store, &[&stamp.bytes, digest.as_bytes()]);
        }
    }

    fn learnt(&self) -> std::sync::MutexGuard<'_, Learnt> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the files that the walk met. What was known of others is kept as long as it is not the greater part.
    /// Writes nothing when nothing is new; whether it wrote.
    pub fn save(&self) -> Result<bool, Error> {
        let mut learnt = std::mem::take(&mut *self.learnt());
        if !learnt.news {
            return Ok(false);
        }
        let having = |wanted| {
            let found = self.by_path.values().filter(move |index| {
                self.found[**index as usize].load(Ordering::Relaxed) == wanted
            });
            found.copied().collect::<Vec<u32>>()
        };
        let (mut kept, missed) = (having(MET), having(MISSED));
        if missed.len() <= kept.len() + learnt.files {
            kept.extend(missed);
        }
        kept.sort_unstable();
        for index in kept {
            learnt.note(&self.store, &[self.at(index)]);
        }
        if let Some(failure) = learnt.failure {
            return Err(failure);
        }
        let draft = match learnt.draft {
            Some(draft) => draft,
            None => Draft::begin(&self.store)?,
        };
        draft.publish(&self.store, &self.path)?;
        Ok(true)
    }

    fn at(&self, index: u32) -> &[u8] {
        &self.file[HEADER + index as usize * ENTRY..][..ENTRY]
    }
}

impl Learnt {
    /// Adds an entry, which comes in parts. The first failure is kept for the end.
    fn note(&mut self, store: &Store, entry: &[&[u8]]) {
        if self.failure.is_some() {
            return;
        }
        let draft = match self.draft.take() {
            Some(draft) => Ok(draft),
            None => Draft::begin(store),
        };
        let added = draft.and_then(|mut draft| {
            draft.add(entry)?;
            Ok(draft)
        });
        match added {
            Ok(draft) => self.draft = Some(draft),
            Err(error) => self.failure = Some(error),
        }
    }
}

impl Draft {
    fn begin(store: &Store) -> Result<Self, Error> {
        let path = store.temporary_file(&[0; HEADER])?;
        let mut file = fs::File::options()
            .write(true)
            .open(&path)
            .at("open", &path)?;
        file.seek(SeekFrom::End(0)).at("open", &path)?;
        Ok(Self {
            path,
            out: BufWriter::new(file),
            entries: 0,
            hasher: Box::default(),
        })
    }

    fn add(&mut self, entry: &[&[u8]]) -> Result<(), Error> {
        self.entries += 1;
        for part in entry {
            self.hasher.update(part);
            self.out.write_all(part).at("write", &self.path)?;
        }
        Ok(())
    }

    /// Completes the file and puts it in its place.
    fn publish(mut self, store: &Store, place: &Path) -> Result<(), Error> {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        header[8..16].copy_from_slice(&self.entries.to_le_bytes());
        header[16..].copy_from_slice(self.hasher.finalize().as_bytes());
        let mut complete = || {
            self.out.flush()?;
            self.out.get_ref().write_all_at(&header, 0)
        };
        complete().at("write", &self.path)?;
        store.publish(&self.path, place)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // One that was published is elsewhere.
        fs::remove_file(&self.path).ok();
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
