//! Creates the entries of a plan in a directory of the host.
//!
//! Nothing outside of that directory is touched, whatever stands in it: every path is resolved beneath it and through
//! no link, and what is created is created, not opened.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rayon::prelude::*;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::emit::next_data;
use crate::entry::{PlannedEntry, PlannedNode};
use crate::error::{Error, Result};
use crate::host;
use crate::metadata::Metadata;
use crate::overlay;
use crate::path::LayerPath;
use crate::plan::arrange;
use crate::seal::open_root;
use crate::sink::BUFFER;
use crate::source::{Extent, FileSource};

/// How entries are created.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Files get the owners that the plan says; otherwise they belong to whoever creates them.
    pub(crate) owners: bool,
    /// How deletions are marked.
    pub(crate) marks: Marks,
}

/// By which attributes overlayfs knows deletions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marks {
    /// `trusted.overlay.*`.
    Trusted,
    /// `user.overlay.*`, for mounts with `userxattr`. Devices that may not be made are left out, and owners that there
    /// are no ids for are noted.
    User,
}

impl Marks {
    const fn opaque(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }

    const fn whiteout(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.whiteout",
            Self::User => "user.overlay.whiteout",
        }
    }
}

/// Creates `entries` in the directory `destination`, which exists. What is in the way is replaced, but never a
/// directory by anything else.
pub(crate) fn place(entries: Vec<PlannedEntry>, destination: &Path, style: Style) -> Result<()> {
    let entries = arrange(entries, None)?;
    let opaque =
        |entry: &&PlannedEntry| matches!(entry.node, PlannedNode::Directory { opaque: true });
    let placer = Placer {
        root: open_root(destination)?,
        style,
        opaque: entries
            .iter()
            .filter(opaque)
            .map(|entry| entry.path.clone())
            .collect(),
    };
    let is_directory = |entry: &&PlannedEntry| matches!(entry.node, PlannedNode::Directory { .. });
    for directory in entries.iter().filter(is_directory) {
        placer.make_directory(directory)?;
    }
    let mut siblings: BTreeMap<LayerPath, Vec<&PlannedEntry>> = BTreeMap::new();
    let mut links = Vec::new();
    for entry in &entries {
        match (&entry.node, entry.path.parent()) {
            (PlannedNode::HardLink(target), _) => links.push((entry, target)),
            (PlannedNode::Directory { .. }, _) | (_, None) => {}
            (_, Some(parent)) => siblings.entry(parent).or_default().push(entry),
        }
    }
    siblings
        .par_iter()
        .try_for_each(|(parent, entries)| placer.fill(parent, entries))?;
    for (entry, target) in links {
        placer.link(entry, target)?;
    }
    // Last, and from the deepest up: whatever is done in a directory changes its time.
    for directory in entries.iter().rev().filter(is_directory) {
        placer.finish_directory(directory)?;
    }
    Ok(())
}

struct Placer {
    root: OwnedFd,
    style: Style,
    opaque: BTreeSet<LayerPath>,
}

impl Placer {
    fn open(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        host::open_beneath(self.root.as_fd(), path, flags)
    }

    fn parent(&self, path: &LayerPath) -> Result<OwnedFd> {
        let parent = host::split(path).0;
        self.open(parent, OFlags::PATH | OFlags::DIRECTORY)
            .map_err(|error| Error::io("open the directory of", path.as_path(), error))
    }

    fn make_directory(&self, entry: &PlannedEntry) -> Result<()> {
        if entry.path.is_root() {
            return Ok(());
        }
        let parent = self.parent(&entry.path)?;
        let name = host::split(&entry.path).1;
        let create = || rustix::fs::mkdirat(&parent, name, Mode::RWXU);
        let made = match create() {
            Err(Errno::EXIST) if is_directory(parent.as_fd(), name) => Ok(()),
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(&parent, name, AtFlags::empty()).and_then(|()| create())
            }
            made => made,
        };
        made.map_err(|error| Error::io("make the directory", entry.path.as_path(), error))
    }

    /// Creates what is in one directory.
    fn fill(&self, parent: &LayerPath, entries: &[&PlannedEntry]) -> Result<()> {
        let directory = self
            .open(parent.as_bytes(), OFlags::PATH | OFlags::DIRECTORY)
            .map_err(|error| Error::io("open", parent.as_path(), error))?;
        entries.iter().try_for_each(|entry| {
            let name = host::split(&entry.path).1;
            self.create(directory.as_fd(), name, entry)
                .map_err(|error| match error {
                    Failure::Host(error) => Error::io("create", entry.path.as_path(), error),
                    Failure::Source(error) => error,
                })
        })
    }

    fn create(
        &self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        entry: &PlannedEntry,
    ) -> Result<(), Failure> {
        let node = |kind, major, minor| self.make_node(directory, name, kind, (major, minor));
        match &entry.node {
            PlannedNode::File(file) => {
                return self.create_file(directory, name, &file.source, &entry.metadata);
            }
            PlannedNode::Symlink(target) => {
                replacing(directory, name, || {
                    rustix::fs::symlinkat(target.as_slice(), directory, name)
                })?;
            }
            PlannedNode::Char { major, minor } => {
                if !node(FileType::CharacterDevice, *major, *minor)? {
                    return Ok(());
                }
            }
            PlannedNode::Block { major, minor } => {
                if !node(FileType::BlockDevice, *major, *minor)? {
                    return Ok(());
                }
            }
            PlannedNode::Fifo => {
                node(FileType::Fifo, 0, 0)?;
            }
            PlannedNode::Whiteout => return Ok(self.make_whiteout(directory, &entry.path)?),
            PlannedNode::Directory { .. } | PlannedNode::HardLink(_) => return Ok(()),
        }
        self.describe(directory, name, &entry.metadata, &entry.node)?;
        Ok(())
    }

    /// Makes a device or a pipe; `false` where the mount's kind allows to leave it out.
    fn make_node(
        &self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        kind: FileType,
        (major, minor): (u32, u32),
    ) -> io::Result<bool> {
        let device = rustix::fs::makedev(major, minor);
        let private = Mode::RUSR | Mode::WUSR;
        let made = replacing(directory, name, || {
            rustix::fs::mknodat(directory, name, kind, private, device)
        });
        match made {
            Err(Errno::PERM) if self.style.marks == Marks::User => Ok(false),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(true),
        }
    }

    /// Marks a name as deleted: by the device 0:0, which anybody may make since Linux 5.8, or else by an attribute of
    /// an empty file, which overlayfs knows since Linux 6.7. An opaque directory needs no such files, and would show
    /// them.
    fn make_whiteout(&self, directory: BorrowedFd<'_>, path: &LayerPath) -> io::Result<()> {
        let (_, name) = host::split(path);
        let device = rustix::fs::makedev(0, 0);
        let made = replacing(directory, name, || {
            let mode = Mode::empty();
            rustix::fs::mknodat(directory, name, FileType::CharacterDevice, mode, device)
        });
        if made != Err(Errno::PERM) {
            return Ok(made?);
        }
        if path
            .parent()
            .is_some_and(|parent| self.opaque.contains(&parent))
        {
            return Ok(());
        }
        let file = create_new(directory, name)?;
        let marks = self.style.marks;
        rustix::fs::fsetxattr(&file, marks.whiteout(), b"y", XattrFlags::empty())?;
        // Tells overlayfs to look for such files in this directory.
        let path = host::entry_path(directory, b".");
        match rustix::fs::setxattr(path.as_slice(), marks.opaque(), b"x", XattrFlags::CREATE) {
            Err(Errno::EXIST) => Ok(()),
            set => Ok(set?),
        }
    }

    fn create_file(
        &self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        source: &FileSource,
        metadata: &Metadata,
    ) -> Result<(), Failure> {
        let file = create_new(directory, name)?;
        write_contents(&file, source)?;
        if self.style.owners {
            let (uid, gid) = owner(metadata);
            let owned = rustix::fs::fchown(&file, Some(uid), Some(gid));
            self.note_owner(owned, metadata, |name, value| {
                rustix::fs::fsetxattr(&file, name, value, XattrFlags::empty())
            })?;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(metadata.mode))?;
        for (name, value) in &metadata.xattrs {
            let set = rustix::fs::fsetxattr(&file, name.as_slice(), value, XattrFlags::empty());
            tolerate(set)?;
        }
        rustix::fs::futimens(&file, &times(metadata))?;
        Ok(())
    }

    fn link(&self, entry: &PlannedEntry, target: &LayerPath) -> Result<()> {
        let from = self.parent(target)?;
        let to = self.parent(&entry.path)?;
        let (from_name, to_name) = (host::split(target).1, host::split(&entry.path).1);
        let linked = replacing(to.as_fd(), to_name, || {
            rustix::fs::linkat(&from, from_name, &to, to_name, AtFlags::empty())
        });
        match linked {
            // The target is a device that was left out.
            Err(Errno::NOENT) if self.style.marks == Marks::User => Ok(()),
            linked => linked.map_err(|error| Error::io("link", entry.path.as_path(), error)),
        }
    }

    fn finish_directory(&self, entry: &PlannedEntry) -> Result<()> {
        let finish = || -> io::Result<()> {
            let (parent, name) = host::split(&entry.path);
            let parent = self.open(parent, OFlags::PATH | OFlags::DIRECTORY)?;
            if matches!(entry.node, PlannedNode::Directory { opaque: true }) {
                let path = host::entry_path(parent.as_fd(), name);
                let mark = self.style.marks.opaque();
                rustix::fs::lsetxattr(path.as_slice(), mark, b"y", XattrFlags::empty())?;
            }
            self.describe(parent.as_fd(), name, &entry.metadata, &entry.node)
        };
        finish().map_err(|error| Error::io("describe", entry.path.as_path(), error))
    }

    /// An owner that the user namespace has no id for becomes a note, by `set`, at what then belongs to the caller.
    fn note_owner(
        &self,
        owned: Result<(), Errno>,
        metadata: &Metadata,
        set: impl FnOnce(&str, &[u8]) -> Result<(), Errno>,
    ) -> io::Result<()> {
        match owned {
            Err(Errno::INVAL) if self.style.marks == Marks::User => tolerate(set(
                overlay::OWNER,
                overlay::owner_mark(metadata).as_bytes(),
            )),
            owned => Ok(owned?),
        }
    }

    /// Sets owner, mode, attributes and time, in this order: a change of owner drops set-id bits and capabilities.
    fn describe(
        &self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        metadata: &Metadata,
        node: &PlannedNode,
    ) -> io::Result<()> {
        if self.style.owners {
            let (uid, gid) = owner(metadata);
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let owned = rustix::fs::chownat(directory, name, Some(uid), Some(gid), flags);
            self.note_owner(owned, metadata, |key, value| {
                let path = host::entry_path(directory, name);
                rustix::fs::lsetxattr(path.as_slice(), key, value, XattrFlags::empty())
            })?;
        }
        if !matches!(node, PlannedNode::Symlink(_)) {
            // What was just created is no link, so following one is not a matter.
            let mode = Mode::from_raw_mode(metadata.mode);
            rustix::fs::chmodat(directory, name, mode, AtFlags::empty())?;
        }
        for (key, value) in &metadata.xattrs {
            let path = host::entry_path(directory, name);
            let flags = XattrFlags::empty();
            tolerate(rustix::fs::lsetxattr(
                path.as_slice(),
                key.as_slice(),
                value,
                flags,
            ))?;
        }
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::utimensat(
            directory,
            name,
            &times(metadata),
            flags,
        )?)
    }
}

/// What failed: the destination, or the source of a file.
enum Failure {
    Host(io::Error),
    Source(Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Host(error)
    }
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        Self::Host(error.into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Source(error)
    }
}

/// Creates something, after removing what has its name.
fn replacing(
    directory: BorrowedFd<'_>,
    name: &[u8],
    create: impl Fn() -> Result<(), Errno>,
) -> Result<(), Errno> {
    match create() {
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
            create()
        }
        created => created,
    }
}

fn create_new(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let create = || rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR);
    let file = match create() {
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
            create()
        }
        created => created,
    };
    Ok(file?.into())
}

fn is_directory(parent: BorrowedFd<'_>, name: &[u8]) -> bool {
    rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir())
}

/// An attribute that the file system does not know, or that only root may set, is left out, as other tools do.
fn tolerate(set: Result<(), Errno>) -> io::Result<()> {
    match set {
        Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
        set => Ok(set?),
    }
}

fn owner(metadata: &Metadata) -> (Uid, Gid) {
    (Uid::from_raw(metadata.uid), Gid::from_raw(metadata.gid))
}

fn times(metadata: &Metadata) -> Timestamps {
    let time = Timespec {
        tv_sec: metadata.mtime.seconds,
        tv_nsec: metadata.mtime.nanos.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Writes the bytes of a source to an empty file; holes stay holes.
fn write_contents(file: &File, source: &FileSource) -> Result<(), Failure> {
    let (from, extents, size) = match source {
        FileSource::Bytes(bytes) => return Ok(file.write_all_at(bytes, 0)?),
        FileSource::Range(range) => {
            for extent in &range.extents {
                copy_extent(&range.tar, file, *extent)?;
            }
            return Ok(file.set_len(range.size)?);
        }
        FileSource::Host {
            root, path, size, ..
        } => {
            let from = host::open_file(root.as_fd(), path)
                .map_err(|error| Error::io("open", &host::display(path), error))?;
            let whole = Extent {
                offset: 0,
                position: 0,
                length: *size,
            };
            (from, whole, *size)
        }
    };
    copy_extent(&from, file, extents)?;
    Ok(file.set_len(size)?)
}

/// Copies the parts of an extent that are not holes.
fn copy_extent(from: &File, to: &File, extent: Extent) -> io::Result<()> {
    let end = extent.position + extent.length;
    let mut at = extent.position;
    while at < end {
        let (hole, data) = match extent.length {
            // Small files are not worth asking.
            ..BUFFER_SIZE => (0, end - at),
            _ => next_data(from, at, end),
        };
        at += hole;
        copy(from, at, to, extent.offset + (at - extent.position), data)?;
        at += data;
    }
    Ok(())
}

const BUFFER_SIZE: u64 = BUFFER as u64;

/// Copies bytes within the kernel where it can.
fn copy(from: &File, mut at: u64, to: &File, mut offset: u64, mut left: u64) -> io::Result<()> {
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(usize::MAX >> 1);
        let copied = if left < BUFFER_SIZE {
            copy_through_memory(from, at, to, offset, length)?
        } else {
            let (mut from_at, mut to_at) = (at, offset);
            match rustix::fs::copy_file_range(
                from,
                Some(&mut from_at),
                to,
                Some(&mut to_at),
                length,
            ) {
                Ok(0) | Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    copy_through_memory(from, at, to, offset, length.min(BUFFER))?
                }
                copied => copied?,
            }
        };
        if copied == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at += copied as u64;
        offset += copied as u64;
        left -= copied as u64;
    }
    Ok(())
}

fn copy_through_memory(
    from: &File,
    at: u64,
    to: &File,
    offset: u64,
    length: usize,
) -> io::Result<usize> {
    thread_local! {
        static BYTES: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    BYTES.with_borrow_mut(|bytes| {
        bytes.resize(BUFFER, 0);
        let read = from.read_at(&mut bytes[..length.min(BUFFER)], at)?;
        to.write_all_at(&bytes[..read], offset)?;
        Ok(read)
    })
}
