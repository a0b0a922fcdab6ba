//! Reads small files of the host before it is their turn, on threads of their own: where there are many, opening and
//! reading them takes longer than all else that is done for a tar.

use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

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
/// How many threads read at most.
const READERS: usize = 4;

/// The small files of a plan, in its order.
pub(crate) struct ReadAhead {
    /// Batches come from the readers in turn.
    readers: Vec<Receiver<Batch>>,
    turn: usize,
    current: Batch,
    next: usize,
}

/// Files that were read together.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    files: Vec<Result<Small>>,
}

/// A file in a batch.
struct Small {
    place: Range<usize>,
    digest: ContentDigest,
}

/// Whether a file is one of those that are read ahead.
pub(crate) fn is_small(source: &FileSource) -> bool {
    matches!(source, FileSource::Host { size, .. } if *size <= SMALL)
}

fn small_size(entry: &PlannedEntry) -> Option<u64> {
    match &entry.node {
        PlannedNode::File(file) if is_small(&file.source) => Some(file.source.size()),
        _ => None,
    }
}

impl ReadAhead {
    /// Begins to read; `None` where it is not worth it.
    pub(crate) fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        entries: &'env [PlannedEntry],
    ) -> Option<Self> {
        entries.iter().filter_map(small_size).nth(MANY)?;
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let count = count.min(READERS);
        let batches = batches(entries);
        let readers = (0..count).map(|first| {
            let batches: Vec<_> = batches.iter().skip(first).step_by(count).copied().collect();
            let (sender, receiver) = sync_channel(1);
            scope.spawn(move || read_batches(&batches, &sender));
            receiver
        });
        Some(Self {
            readers: readers.collect(),
            turn: 0,
            current: Batch::default(),
            next: 0,
        })
    }

    /// The bytes of the next small file, all of them, and their digest.
    pub(crate) fn next(&mut self) -> Result<(&[u8], ContentDigest)> {
        while self.next == self.current.files.len() {
            self.current = self.readers[self.turn].recv().map_err(|_| stopped())?;
            self.turn = (self.turn + 1) % self.readers.len();
            self.next = 0;
        }
        let file = std::mem::replace(&mut self.current.files[self.next], Err(stopped()));
        self.next += 1;
        let Small { place, digest } = file?;
        Ok((&self.current.bytes[place], digest))
    }
}

/// A reader that is gone has panicked.
fn stopped() -> Error {
    Error::Storage {
        action: "read ahead",
        source: std::io::ErrorKind::BrokenPipe.into(),
    }
}

/// Parts the entries where enough bytes of small files have come together.
fn batches(entries: &[PlannedEntry]) -> Vec<&[PlannedEntry]> {
    let mut total = 0;
    let batches = entries.split_inclusive(|entry| {
        total += small_size(entry).unwrap_or(0);
        let full = total >= BATCH;
        if full {
            total = 0;
        }
        full
    });
    batches.collect()
}

fn read_batches(batches: &[&[PlannedEntry]], sender: &SyncSender<Batch>) {
    for entries in batches {
        let mut batch = Batch::default();
        for entry in *entries {
            if let PlannedNode::File(file) = &entry.node
                && is_small(&file.source)
            {
                let read = read(&mut batch.bytes, &entry.path, file);
                batch.files.push(read);
            }
        }
        // Nobody waits for it after an error.
        if sender.send(batch).is_err() {
            return;
        }
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

    #[test]
    fn files_come_in_their_order() {
        let directory = tempfile::tempdir().unwrap();
        let entries = plan(directory.path(), 2_000);
        assert!(batches(&entries).len() > 2);
        std::thread::scope(|scope| {
            let mut ahead = ReadAhead::start(scope, &entries).unwrap();
            for number in 0..2_000 {
                let expected = number.to_string().repeat(number % 700);
                let (bytes, digest) = ahead.next().unwrap();
                assert_eq!(bytes, expected.as_bytes());
                assert_eq!(digest, ContentDigest::of(expected.as_bytes()));
            }
            assert!(ahead.next().is_err());
        });
    }

    #[test]
    fn a_file_that_shrank_has_changed_and_one_that_is_gone_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let entries = plan(directory.path(), 400);
        std::fs::write(directory.path().join("100"), "").unwrap();
        std::fs::remove_file(directory.path().join("200")).unwrap();
        std::thread::scope(|scope| {
            let mut ahead = ReadAhead::start(scope, &entries).unwrap();
            let failed = (0..400).filter_map(|_| ahead.next().err());
            let failed: Vec<_> = failed.map(|error| error.to_string()).collect();
            assert_eq!(failed.len(), 2);
            assert!(failed[0].contains("100") && failed[1].contains("200"));
        });
    }

    #[test]
    fn few_files_are_read_in_their_turn() {
        let directory = tempfile::tempdir().unwrap();
        let entries = plan(directory.path(), MANY);
        std::thread::scope(|scope| assert!(ReadAhead::start(scope, &entries).is_none()));
    }
}
