//! Reads small files of the host before it is their turn, on threads of their own: where there are many, opening and
//! reading them takes longer than all else that is done for a tar.

use std::collections::VecDeque;
use std::iter::Fuse;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::vec;

use crate::digest::ContentDigest;
use crate::entry::{PlannedEntry, PlannedFile, PlannedNode};
use crate::error::{Error, Result};
use crate::host;
use crate::path::LayerPath;
use crate::source::FileSource;

/// Larger files, in bytes, are read in their turn.
const SMALL: u64 = 64 << 10;
/// So many small files are worth a thread.
const MANY: usize = 256;
/// About how many bytes are read before they are handed on.
const BATCH: u64 = 512 << 10;
/// How many entries are handed on together at most.
const BATCH_ENTRIES: usize = 1024;
/// How many threads read at most.
const READERS: usize = 4;
/// How many batches each of them has at most: one that waits for it, or that it has read, and one that it reads.
const BATCHES: usize = 2;

/// Entries of a plan, with the bytes of the small files among them.
pub(crate) struct ReadAhead<I> {
    entries: Fuse<I>,
    /// What was taken from them to see whether there are many small files.
    first: VecDeque<PlannedEntry>,
    /// Empty where there are few. Batches go to the readers in turn.
    readers: Vec<Reader>,
    given: usize,
    taken: usize,
    current: Batch,
}

struct Reader {
    to: Sender<Vec<PlannedEntry>>,
    from: Receiver<Batch>,
}

/// Entries whose small files were read together.
#[derive(Default)]
struct Batch {
    entries: vec::IntoIter<PlannedEntry>,
    files: vec::IntoIter<Result<Small>>,
    bytes: Vec<u8>,
}

/// A file in a batch.
struct Small {
    place: Range<usize>,
    digest: ContentDigest,
}

/// The bytes of a file, all of them, and their digest.
type Read<'a> = Result<(&'a [u8], ContentDigest)>;

fn small_size(entry: &PlannedEntry) -> Option<u64> {
    match &entry.node {
        PlannedNode::File(PlannedFile {
            source: FileSource::Host { size, .. },
            ..
        }) if *size <= SMALL => Some(*size),
        _ => None,
    }
}

impl<I, E> ReadAhead<I>
where
    I: Iterator<Item = Result<PlannedEntry, E>>,
    E: From<Error>,
{
    /// Begins to read, if that is worth it.
    pub(crate) fn start<'scope>(scope: &'scope Scope<'scope, '_>, entries: I) -> Result<Self, E> {
        let mut ahead = Self {
            entries: entries.fuse(),
            first: VecDeque::new(),
            readers: Vec::new(),
            given: 0,
            taken: 0,
            current: Batch::default(),
        };
        let mut small = 0;
        while small <= MANY {
            let Some(entry) = ahead.entries.next().transpose()? else {
                return Ok(ahead);
            };
            small += usize::from(small_size(&entry).is_some());
            ahead.first.push_back(entry);
        }
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let readers = (0..count.min(READERS)).map(|_| Reader::start(scope));
        ahead.readers = readers.collect();
        Ok(ahead)
    }

    /// The next entry, and what was read of it.
    pub(crate) fn next(&mut self) -> Result<Option<(PlannedEntry, Option<Read<'_>>)>, E> {
        if self.readers.is_empty() {
            return Ok(self.planned()?.map(|entry| (entry, None)));
        }
        if self.current.entries.len() == 0 {
            match self.next_batch()? {
                Some(batch) => self.current = batch,
                None => return Ok(None),
            }
        }
        let Some(entry) = self.current.entries.next() else {
            return Ok(None);
        };
        let read = small_size(&entry).and_then(|_| self.current.files.next());
        let bytes = &self.current.bytes;
        let read = read.map(|file| file.map(|small| (&bytes[small.place], small.digest)));
        Ok(Some((entry, read)))
    }

    /// Gives the readers to do what they take, and awaits the batch whose turn it is.
    fn next_batch(&mut self) -> Result<Option<Batch>, E> {
        let readers = self.readers.len();
        while self.given - self.taken < BATCHES * readers {
            let entries = self.gather()?;
            if entries.is_empty() {
                break;
            }
            let given = self.readers[self.given % readers].to.send(entries);
            given.map_err(|_| stopped())?;
            self.given += 1;
        }
        if self.given == self.taken {
            return Ok(None);
        }
        let batch = self.readers[self.taken % readers].from.recv();
        self.taken += 1;
        Ok(Some(batch.map_err(|_| stopped())?))
    }

    /// Entries until enough bytes of small files have come together; none at the end.
    fn gather(&mut self) -> Result<Vec<PlannedEntry>, E> {
        let mut entries = Vec::new();
        let mut total = 0;
        while total < BATCH && entries.len() < BATCH_ENTRIES {
            let Some(entry) = self.planned()? else { break };
            total += small_size(&entry).unwrap_or(0);
            entries.push(entry);
        }
        Ok(entries)
    }

    fn planned(&mut self) -> Result<Option<PlannedEntry>, E> {
        match self.first.pop_front() {
            Some(entry) => Ok(Some(entry)),
            None => self.entries.next().transpose(),
        }
    }
}

impl Reader {
    fn start<'scope>(scope: &'scope Scope<'scope, '_>) -> Self {
        let (to, batches) = channel::<Vec<PlannedEntry>>();
        let (sender, from) = channel();
        scope.spawn(move || {
            for entries in batches {
                // Nobody waits for it after an error.
                if sender.send(Batch::read(entries)).is_err() {
                    return;
                }
            }
        });
        Self { to, from }
    }
}

impl Batch {
    fn read(entries: Vec<PlannedEntry>) -> Self {
        let mut bytes = Vec::new();
        let mut files = Vec::new();
        for entry in &entries {
            if small_size(entry).is_some()
                && let PlannedNode::File(file) = &entry.node
            {
                files.push(read(&mut bytes, &entry.path, file));
            }
        }
        Self {
            entries: entries.into_iter(),
            files: files.into_iter(),
            bytes,
        }
    }
}

/// A reader that is gone has panicked.
fn stopped() -> Error {
    Error::Storage {
        action: "read ahead",
        source: std::io::ErrorKind::BrokenPipe.into(),
    }
}

fn read(bytes: &mut Vec<u8>, entry: &LayerPath, planned: &PlannedFile) -> Result<Small> {
    let FileSource::Host {
        root,
        path,
        size,
        version,
    } = &planned.source
    else {
        return Err(stopped());
    };
    let start = bytes.len();
    // At most `SMALL`.
    bytes.resize(start + *size as usize, 0);
    let mut read = || {
        let file = host::open_file(root.as_fd(), path)?;
        file.read_exact_at(&mut bytes[start..], 0)?;
        // Asked after the reading, so that a change in the midst of it shows.
        let known = planned.expected.zip(*version);
        let known = known.filter(|(_, version)| version.is_of(&file));
        Ok::<_, std::io::Error>(known.map(|(digest, _)| digest))
    };
    match read() {
        Ok(known) => Ok(Small {
            digest: known.unwrap_or_else(|| ContentDigest::of(&bytes[start..])),
            place: start..bytes.len(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Error::Changed {
            path: entry.clone(),
        }),
        Err(error) => Err(Error::io("read", &host::display(path), error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::sync::Arc;

    use super::*;
    use crate::metadata::Metadata;

    /// Files `0` to `count`, each of a size of its own, in a directory.
    fn plan(directory: &std::path::Path, count: usize) -> Vec<PlannedEntry> {
        let root = Arc::new(OwnedFd::from(File::open(directory).unwrap()));
        let entries = (0..count).map(|number| {
            let name = number.to_string();
            let content = name.repeat(number % 700);
            std::fs::write(directory.join(&name), &content).unwrap();
            PlannedEntry {
                path: LayerPath::new(name.as_bytes()).unwrap(),
                metadata: Metadata::default(),
                node: PlannedNode::file(FileSource::Host {
                    root: Arc::clone(&root),
                    path: name.into_bytes(),
                    size: content.len() as u64,
                    version: None,
                }),
            }
        });
        entries.collect()
    }

    fn started<'scope>(
        scope: &'scope Scope<'scope, '_>,
        entries: &[PlannedEntry],
    ) -> ReadAhead<impl Iterator<Item = Result<PlannedEntry>>> {
        ReadAhead::start(scope, entries.iter().cloned().map(Ok)).unwrap()
    }

    #[test]
    fn files_come_in_their_order() {
        let directory = tempfile::tempdir().unwrap();
        let entries = plan(directory.path(), 2_000);
        std::thread::scope(|scope| {
            let mut ahead = started(scope, &entries);
            for (number, planned) in entries.iter().enumerate() {
                let expected = number.to_string().repeat(number % 700);
                let (entry, read) = ahead.next().unwrap().unwrap();
                let (bytes, digest) = read.unwrap().unwrap();
                assert_eq!(entry.path, planned.path);
                assert_eq!(bytes, expected.as_bytes());
                assert_eq!(digest, ContentDigest::of(expected.as_bytes()));
            }
            assert!(ahead.next().unwrap().is_none());
            assert!(ahead.given > 2, "in several batches");
        });
    }

    #[test]
    fn a_file_that_shrank_has_changed_and_one_that_is_gone_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let entries = plan(directory.path(), 400);
        std::fs::write(directory.path().join("100"), "").unwrap();
        std::fs::remove_file(directory.path().join("200")).unwrap();
        std::thread::scope(|scope| {
            let mut ahead = started(scope, &entries);
            let mut failed = Vec::new();
            while let Some((_, read)) = ahead.next().unwrap() {
                failed.extend(read.unwrap().err().map(|error| error.to_string()));
            }
            assert_eq!(failed.len(), 2);
            assert!(failed[0].contains("100") && failed[1].contains("200"));
        });
    }

    #[test]
    fn few_files_are_read_in_their_turn() {
        let directory = tempfile::tempdir().unwrap();
        let entries = plan(directory.path(), MANY);
        std::thread::scope(|scope| {
            let mut ahead = started(scope, &entries);
            for expected in &entries {
                let (entry, read) = ahead.next().unwrap().unwrap();
                assert_eq!(entry.path, expected.path);
                assert!(read.is_none());
            }
            assert!(ahead.next().unwrap().is_none());
        });
    }

    #[test]
    fn a_plan_that_fails_ends_the_readers() {
        let directory = tempfile::tempdir().unwrap();
        let entries = plan(directory.path(), 2_000);
        std::thread::scope(|scope| {
            let failing = entries.into_iter().map(Ok).chain([Err(Error::Cancelled)]);
            let mut ahead = ReadAhead::start(scope, failing).unwrap();
            let last = loop {
                match ahead.next() {
                    Ok(Some(_)) => {}
                    last => break last.map(|_| ()),
                }
            };
            assert!(matches!(last, Err(Error::Cancelled)));
        });
    }
}
