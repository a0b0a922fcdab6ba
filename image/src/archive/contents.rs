//! The files of an archive by name, links followed inside it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::ArchiveProblem;
use super::scan::{Kind, scan};
use crate::compression::{self, Format};
use crate::error::{Error, IoContext as _};

/// The most links that lead to one file.
const LINKS_MAX: usize = 8;
const BUFFER: usize = 256 << 10;

/// An archive, or a directory in its place, whose files can be read in any order.
#[derive(Debug)]
pub(super) enum Contents {
    /// A tar, and where in it what is.
    Tar(Arc<File>, HashMap<String, Kind>),
    /// A directory. Nothing is followed out of it.
    Directory(OwnedFd),
}

/// A file of an archive, as a stream.
#[derive(Debug)]
pub(super) struct Member {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Contents {
    /// The contents of an archive in a file, which is read in place if it is not compressed.
    pub(super) fn open(mut file: File, scratch: &Path) -> Result<Self, Error> {
        let metadata = file.metadata().doing("read the archive")?;
        if metadata.is_file() {
            file.seek(SeekFrom::Start(0)).doing("read the archive")?;
            let (format, _) = compression::decoder(BufReader::with_capacity(BUFFER, &file))
                .map_err(ArchiveProblem::Read)?;
            if format == Format::Plain {
                return Self::index(file);
            }
            file.seek(SeekFrom::Start(0)).doing("read the archive")?;
        }
        Self::spool(file, scratch)
    }

    /// The contents of an archive in a stream, which goes to a file without a name in `scratch`.
    pub(super) fn spool(reader: impl Read + Send, scratch: &Path) -> Result<Self, Error> {
        let at_scratch = |source| Error::File {
            action: "write the archive to a file in",
            path: scratch.to_owned(),
            source,
        };
        let mut file = tempfile::tempfile_in(scratch).map_err(at_scratch)?;
        let (_, mut plain) = compression::decoder(BufReader::with_capacity(BUFFER, reader))
            .map_err(ArchiveProblem::Read)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            match plain.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => file.write_all(&buffer[..length]).map_err(at_scratch)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveProblem::Read(error).into()),
            }
        }
        drop(plain);
        Self::index(file)
    }

    fn index(file: File) -> Result<Self, Error> {
        let length = file.metadata().doing("read the archive")?.len();
        let mut entries = HashMap::new();
        for entry in scan(&file, length)? {
            // Of two entries with one name the later counts, as when unpacking.
            if let Some(name) = clean("", &entry.name) {
                entries.insert(name, entry.kind);
            }
        }
        Ok(Self::Tar(Arc::new(file), entries))
    }

    /// The contents of a directory.
    pub(super) fn directory(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        opened.map(Self::Directory).map_err(|source| Error::File {
            action: "open",
            path: path.to_owned(),
            source: source.into(),
        })
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.member(name).is_ok()
    }

    /// A file.
    pub(super) fn member(&self, name: &str) -> Result<Member, ArchiveProblem> {
        let missing = || ArchiveProblem::Missing {
            name: name.chars().take(200).collect(),
        };
        match self {
            Self::Tar(file, entries) => {
                let (offset, size) = find(entries, name).ok_or_else(missing)?;
                Ok(Member {
                    file: Arc::clone(file),
                    at: offset,
                    end: offset + size,
                })
            }
            Self::Directory(directory) => match open_beneath(directory, name) {
                Ok(Some((file, size))) => Ok(Member {
                    file: Arc::new(file),
                    at: 0,
                    end: size,
                }),
                Ok(None) => Err(missing()),
                Err(error) => Err(ArchiveProblem::Read(error)),
            },
        }
    }

    /// A small file, whole.
    pub(super) fn bytes(&self, name: &str, limit: u64) -> Result<Vec<u8>, ArchiveProblem> {
        let mut member = self.member(name)?;
        let size = member.size();
        if size > limit {
            return Err(ArchiveProblem::LargeDocument {
                name: name.to_owned(),
                size,
            });
        }
        let mut bytes = Vec::new();
        member
            .read_to_end(&mut bytes)
            .map_err(ArchiveProblem::Read)?;
        Ok(bytes)
    }
}

/// Where in a tar a file is.
fn find(entries: &HashMap<String, Kind>, name: &str) -> Option<(u64, u64)> {
    let mut name = clean("", name)?;
    for _ in 0..LINKS_MAX {
        name = match entries.get(&name)? {
            Kind::File { offset, size } => return Some((*offset, *size)),
            Kind::Symlink(target) => {
                let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
                clean(parent, target)?
            }
            Kind::Hardlink(target) => clean("", target)?,
        };
    }
    None
}

/// A file of a directory and its size, if it is there and nothing but a file. A pipe is not waited for.
fn open_beneath(directory: &OwnedFd, name: &str) -> io::Result<Option<(File, u64)>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = match rustix::fs::openat2(directory, name, flags, Mode::empty(), beneath) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some((file, metadata.len())))
}

/// A path from `parent`, without dots; `None` if it is empty or leads out of the archive.
fn clean(parent: &str, path: &str) -> Option<String> {
    let parent = if path.starts_with('/') { "" } else { parent };
    let mut parts: Vec<&str> = Vec::new();
    for part in parent.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

impl Member {
    /// How many bytes are left.
    pub(super) fn size(&self) -> u64 {
        self.end - self.at
    }

    /// Whether it begins as something compressed does.
    pub(super) fn is_compressed(&self) -> Result<bool, ArchiveProblem> {
        let copy = Self {
            file: Arc::clone(&self.file),
            ..*self
        };
        let (format, _) = compression::decoder(BufReader::with_capacity(16, copy))
            .map_err(ArchiveProblem::Read)?;
        Ok(format != Format::Plain)
    }
}

impl Read for Member {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = self.size().min(buffer.len() as u64) as usize;
        if wanted == 0 {
            return Ok(0);
        }
        let length = self.file.read_at(&mut buffer[..wanted], self.at)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let cases = [
            ("", "a", Some("a")),
            ("", "./a//b/", Some("a/b")),
            ("", "/a", Some("a")),
            ("x", "../y/z", Some("y/z")),
            ("x", "/y", Some("y")),
            ("x/y", "../../..", None),
            ("", "..", None),
            ("", "a/../..", None),
            ("", ".", None),
        ];
        for (parent, path, expected) in cases {
            assert_eq!(clean(parent, path).as_deref(), expected, "{parent} {path}");
        }
    }
}
