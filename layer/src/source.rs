//! Where the bytes of a file come from.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::Stat;

use crate::digest::ContentDigest;
use crate::error::{Error, Result};
use crate::host;

/// The bytes of a regular file.
#[derive(Debug, Clone)]
pub enum FileSource {
    /// Bytes in memory.
    Bytes(Arc<[u8]>),
    /// A file of the host, opened when it is needed; no symbolic link is followed in its path.
    Host {
        /// An open directory (`O_PATH` is enough).
        root: Arc<OwnedFd>,
        /// The file's path below it.
        path: Vec<u8>,
        /// Its size in bytes; what it grows by later is not copied.
        size: u64,
        /// What it was when its digest was taken. While it is that, it need not be hashed again to be sure of it.
        version: Option<FileVersion>,
    },
    /// A part of another layer's tar.
    Range(FileRange),
}

/// Which file it is and when it last changed in any way. Only good for a file whose times lie far enough back that any
/// later change must give it others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileVersion {
    device: u64,
    inode: u64,
    /// `st_ctime`: unlike the time of modification nobody can set it.
    seconds: i64,
    /// The nanoseconds of it, and one more, so that none at all takes no space of its own.
    nanoseconds: NonZeroU32,
}

impl FileVersion {
    /// The version that `stat` tells of.
    pub fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            seconds: stat.st_ctime,
            // Nanoseconds are fewer than 2^30.
            nanoseconds: NonZeroU32::MIN.saturating_add(stat.st_ctime_nsec as u32),
        }
    }

    /// Whether an open file is still this version.
    pub(crate) fn is_of(&self, file: &File) -> bool {
        rustix::fs::fstat(file).is_ok_and(|stat| Self::of(&stat) == *self)
    }
}

/// A file inside a tar: which bytes of the tar are its bytes.
#[derive(Debug, Clone)]
pub struct FileRange {
    /// The tar.
    pub tar: Arc<File>,
    /// The parts that are not holes, in order, without overlap.
    pub extents: Vec<Extent>,
    /// The file's size in bytes, holes included.
    pub size: u64,
    /// The digest of its bytes.
    pub digest: ContentDigest,
}

/// A run of bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins in the file.
    pub offset: u64,
    /// Where it begins in the tar.
    pub position: u64,
    /// Its length in bytes.
    pub length: u64,
}

impl Extent {
    /// Whether `next` goes on where this one ends, in the file and in the tar.
    pub(crate) fn is_followed_by(&self, next: &Self) -> bool {
        self.offset + self.length == next.offset && self.position + self.length == next.position
    }
}

impl FileSource {
    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Host { size, .. } => *size,
            Self::Range(range) => range.size,
        }
    }

    /// The digest of the file's bytes: the one that is known, or else made by reading them.
    pub fn digest(&self) -> Result<ContentDigest> {
        match self {
            Self::Bytes(bytes) => Ok(ContentDigest::of(bytes)),
            Self::Range(range) => Ok(range.digest),
            Self::Host { root, path, .. } => host::digest_file(root, path),
        }
    }

    /// Opens the file for reading and seeking, wherever it is.
    pub fn open(&self) -> Result<SourceReader> {
        let place = match self {
            Self::Bytes(bytes) => Place::Bytes(Arc::clone(bytes)),
            Self::Range(range) => Place::Range(range.clone()),
            Self::Host { root, path, .. } => Place::File(
                host::open_file(root.as_fd(), path)
                    .map_err(|source| Error::io("open", &host::display(path), source))?,
            ),
        };
        let size = match &place {
            Place::File(file) => file
                .metadata()
                .map_err(Error::storage("read a file's size"))?
                .len(),
            _ => self.size(),
        };
        Ok(SourceReader {
            place,
            size,
            position: 0,
        })
    }
}

/// Reads a [`FileSource`].
#[derive(Debug)]
pub struct SourceReader {
    place: Place,
    size: u64,
    position: u64,
}

#[derive(Debug)]
enum Place {
    Bytes(Arc<[u8]>),
    File(File),
    Range(FileRange),
}

impl SourceReader {
    /// The size of the whole file in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Read for SourceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.position);
        let wanted = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..wanted];
        if wanted == 0 {
            return Ok(0);
        }
        let read = match &self.place {
            Place::Bytes(bytes) => {
                // The position is below the size, which is a length in memory.
                let start = self.position as usize;
                buffer.copy_from_slice(&bytes[start..start + wanted]);
                wanted
            }
            Place::File(file) => file.read_at(buffer, self.position)?,
            Place::Range(range) => range.read_at(buffer, self.position)?,
        };
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for SourceReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl FileRange {
    /// Reads at most up to the end of the extent or hole that `position` is in.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let next = self
            .extents
            .partition_point(|extent| extent.offset + extent.length <= position);
        let fit = |length: u64| {
            buffer
                .len()
                .min(usize::try_from(length).unwrap_or(usize::MAX))
        };
        let Some(extent) = self.extents.get(next) else {
            let length = fit(self.size - position);
            buffer[..length].fill(0);
            return Ok(length);
        };
        if position < extent.offset {
            let length = fit(extent.offset - position);
            buffer[..length].fill(0);
            return Ok(length);
        }
        let within = position - extent.offset;
        let length = fit(extent.length - within);
        let read = self
            .tar
            .read_at(&mut buffer[..length], extent.position + within)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io::Write;

    use super::*;

    #[test]
    fn a_range_reads_extents_and_holes() {
        let mut tar = tempfile::tempfile().unwrap();
        tar.write_all(b"0123456789").unwrap();
        let range = FileRange {
            tar: Arc::new(tar),
            extents: vec![
                Extent {
                    offset: 2,
                    position: 1,
                    length: 3,
                },
                Extent {
                    offset: 7,
                    position: 8,
                    length: 1,
                },
            ],
            size: 9,
            digest: ContentDigest::of(b""),
        };
        let mut reader = FileSource::Range(range).open().unwrap();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"\0\x00123\0\x008\0");
        reader.seek(SeekFrom::End(-2)).unwrap();
        bytes.clear();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"8\0");
        assert!(reader.seek(SeekFrom::Current(-100)).is_err());
    }

    #[test]
    fn a_host_file_is_not_found_through_links() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("d")).unwrap();
        std::fs::write(directory.path().join("d/file"), b"content").unwrap();
        std::os::unix::fs::symlink("d", directory.path().join("link")).unwrap();
        let root = Arc::new(OwnedFd::from(File::open(directory.path()).unwrap()));
        let source = |path: &[u8]| FileSource::Host {
            root: Arc::clone(&root),
            path: path.to_vec(),
            size: 7,
            version: None,
        };
        let mut text = String::new();
        let mut reader = source(b"d/file").open().unwrap();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        assert!(source(b"link/file").open().is_err());
        assert!(source(b"../file").open().is_err());
        let digest = host::digest_file(&root, b"d/file").unwrap();
        assert_eq!(digest, ContentDigest::of(b"content"));
    }
}
