//! Writes the entries of a plan as the bytes of a tar.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::digest::ContentDigest;
use crate::entry::{PlannedEntry, PlannedFile, PlannedNode};
use crate::error::{Error, PlanProblem, Result};
use crate::host;
use crate::metadata::Metadata;
use crate::path::LayerPath;
use crate::sink::{Sink, for_zeros};
use crate::source::{FileRange, FileSource};
use crate::tar::write::{HeaderWriter, Member};
use crate::tar::{BLOCK, OPAQUE_MARK, WHITEOUT_PREFIX};

/// Files from this size on are searched for holes.
const SPARSE_MIN: u64 = 1 << 20;

/// The last block that an index can address.
const MAX_TAR: u64 = (u32::MAX as u64 - 1) * BLOCK;

/// Where a file's data came to be, and its digest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) position: u64,
    pub(crate) size: u64,
    pub(crate) digest: ContentDigest,
}

/// Writes entries into a sink.
pub(crate) struct Emitter<'a, 'scope, 'env> {
    pub(crate) sink: Sink<'scope, 'env>,
    cancelled: &'a dyn Fn() -> bool,
    headers: HeaderWriter,
    scratch: Vec<u8>,
    /// How many members were written.
    pub(crate) members: u64,
}

impl<'a, 'scope, 'env> Emitter<'a, 'scope, 'env> {
    pub(crate) fn new(sink: Sink<'scope, 'env>, cancelled: &'a dyn Fn() -> bool) -> Self {
        Self {
            sink,
            cancelled,
            headers: HeaderWriter::default(),
            scratch: Vec::with_capacity(2048),
            members: 0,
        }
    }

    /// Writes one entry of an arranged plan; `read` are the bytes of a file that were read before, and their digest.
    /// The answer is for regular files.
    pub(crate) fn entry(
        &mut self,
        entry: &PlannedEntry,
        read: Option<(&[u8], ContentDigest)>,
    ) -> Result<Option<Placed>> {
        self.check_cancelled()?;
        let path = entry.path.as_bytes();
        let metadata = &entry.metadata;
        match &entry.node {
            PlannedNode::Directory { opaque } => {
                let name = directory_name(&entry.path);
                self.header(&name, metadata, Member::Directory)?;
                if *opaque {
                    let mark = [&name, OPAQUE_MARK].concat();
                    self.header(&mark, &Metadata::default(), Member::File(0))?;
                }
            }
            PlannedNode::File(file) => {
                self.header(path, metadata, Member::File(file.source.size()))?;
                return self.data(&entry.path, file, read).map(Some);
            }
            PlannedNode::Symlink(target) => {
                self.header(path, metadata, Member::Symlink(target))?;
            }
            PlannedNode::HardLink(target) => {
                self.header(path, metadata, Member::HardLink(target.as_bytes()))?;
            }
            PlannedNode::Char { major, minor } => {
                self.header(path, metadata, Member::Char(*major, *minor))?;
            }
            PlannedNode::Block { major, minor } => {
                self.header(path, metadata, Member::Block(*major, *minor))?;
            }
            PlannedNode::Fifo => self.header(path, metadata, Member::Fifo)?,
            PlannedNode::Whiteout => {
                let name = whiteout_name(&entry.path);
                self.header(&name, &Metadata::default(), Member::File(0))?;
            }
        }
        Ok(None)
    }

    /// Writes the two blocks of zeros that end a tar.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.sink.write(&[0; 2 * BLOCK as usize])
    }

    fn check_cancelled(&self) -> Result<()> {
        if (self.cancelled)() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    fn header(&mut self, name: &[u8], metadata: &Metadata, member: Member<'_>) -> Result<()> {
        self.members += 1;
        self.scratch.clear();
        self.headers.push(name, metadata, member, &mut self.scratch);
        self.sink.write(&self.scratch)
    }

    fn data(
        &mut self,
        path: &LayerPath,
        file: &PlannedFile,
        read: Option<(&[u8], ContentDigest)>,
    ) -> Result<Placed> {
        let position = self.sink.position();
        let size = file.source.size();
        if position.checked_add(size).is_none_or(|end| end > MAX_TAR) {
            return Err(Error::plan(path, PlanProblem::TooLarge));
        }
        let digest = match (&file.source, read) {
            (_, Some((bytes, digest))) => {
                self.sink.write(bytes)?;
                digest
            }
            (FileSource::Bytes(bytes), None) => {
                self.sink.write(bytes)?;
                ContentDigest::of(bytes)
            }
            (FileSource::Range(range), None) => {
                self.range(path, range)?;
                range.digest
            }
            (
                FileSource::Host {
                    root,
                    path: source,
                    size,
                    version,
                },
                None,
            ) => {
                let failed = |error| Error::io("open", &host::display(source), error);
                let opened = host::open_file(root.as_fd(), source).map_err(failed)?;
                match (file.expected, version) {
                    (Some(digest), Some(version)) if version.is_of(&opened) => {
                        self.host_file(path, &opened, *size, |_| ())?;
                        if !version.is_of(&opened) {
                            return Err(Error::Changed { path: path.clone() });
                        }
                        digest
                    }
                    _ => {
                        let mut hasher = blake3::Hasher::new();
                        self.host_file(path, &opened, *size, |bytes| {
                            hasher.update(bytes);
                        })?;
                        hasher.finalize().into()
                    }
                }
            }
        };
        self.sink.pad()?;
        Ok(Placed {
            position,
            size,
            digest,
        })
    }

    /// Copies a whole file, of which `see` is shown all bytes.
    fn host_file(
        &mut self,
        path: &LayerPath,
        file: &File,
        size: u64,
        mut see: impl FnMut(&[u8]),
    ) -> Result<()> {
        let mut at = 0;
        while at < size {
            let (hole, data) = match size {
                SPARSE_MIN.. => next_data(file, at, size),
                _ => (0, size),
            };
            for_zeros(hole, |zeros| {
                see(zeros);
                Ok::<_, Error>(())
            })?;
            self.sink.zeros(hole)?;
            at += hole;
            self.copy(path, file, at, data, &mut see)?;
            at += data;
        }
        Ok(())
    }

    fn range(&mut self, path: &LayerPath, range: &FileRange) -> Result<()> {
        let mut at = 0;
        for extent in &range.extents {
            self.sink.zeros(extent.offset - at)?;
            let mut done = 0;
            while done < extent.length {
                let position = extent.position + done;
                let (hole, data) = match extent.length {
                    SPARSE_MIN.. => {
                        next_data(&range.tar, position, extent.position + extent.length)
                    }
                    length => (0, length),
                };
                self.sink.zeros(hole)?;
                self.copy(path, &range.tar, position + hole, data, |_| ())?;
                done += hole + data;
            }
            at = extent.offset + extent.length;
        }
        self.sink.zeros(range.size - at)
    }

    /// Copies bytes of a file, which must have them all.
    fn copy(
        &mut self,
        path: &LayerPath,
        file: &File,
        mut offset: u64,
        mut left: u64,
        mut see: impl FnMut(&[u8]),
    ) -> Result<()> {
        while left > 0 {
            let bytes = self.sink.fill(left, |space| read_at(file, space, offset))?;
            if bytes.is_empty() {
                return Err(Error::Changed { path: path.clone() });
            }
            see(bytes);
            let length = bytes.len() as u64;
            offset += length;
            left -= length;
            if left > 0 {
                self.check_cancelled()?;
            }
        }
        Ok(())
    }
}

fn read_at(file: &File, space: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(space, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// How long the hole at `at` is, and how long the data behind it, both up to `end`. A file system that knows no holes
/// has only data.
pub(crate) fn next_data(file: &File, at: u64, end: u64) -> (u64, u64) {
    let data = match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(data) => data.clamp(at, end),
        Err(Errno::NXIO) => return (end - at, 0),
        Err(_) => return (0, end - at),
    };
    let hole =
        rustix::fs::seek(file, SeekFrom::Hole(data)).map_or(end, |hole| hole.clamp(data, end));
    (data - at, hole - data)
}

/// A directory's name in the tar: with a `/` behind it; `./` for the root.
fn directory_name(path: &LayerPath) -> Vec<u8> {
    let name: &[u8] = if path.is_root() {
        b"."
    } else {
        path.as_bytes()
    };
    [name, b"/"].concat()
}

fn whiteout_name(path: &LayerPath) -> Vec<u8> {
    let (parent, name) = host::split(path);
    let slash: &[u8] = if parent.is_empty() { b"" } else { b"/" };
    [parent, slash, WHITEOUT_PREFIX, name].concat()
}
