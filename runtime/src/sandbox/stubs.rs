//! A layer of mount points that a root file system lacks.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, mkdirat, openat, utimensat,
};
use rustix::io::Errno;

use crate::error::Error;

/// A mount point to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    /// Its absolute path in the root file system, with all symbolic links on the way already followed there.
    pub path: PathBuf,
    /// What it is.
    pub kind: StubKind,
    /// What the directories above it look like in the root file system, from the first below the root on. Those that
    /// are missing here do not exist there and are made as `root` would.
    pub parents: Vec<Parent>,
}

/// What is mounted on a stub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StubKind {
    /// A file.
    File,
    /// A directory.
    Directory,
}

/// A directory that exists, as its copy in the stubs must look: it lies on top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// When it was changed: seconds and nanoseconds.
    pub mtime: (i64, u32),
}

/// Makes mount points in `directory`, which exists and is empty, for [`crate::Root::stubs`]. `top` is what the root
/// directory itself looks like.
pub fn prepare_stubs(directory: &Path, top: &Parent, stubs: &[Stub]) -> Result<(), Error> {
    let error = |path: &Path| Error::path("make the mount point", path.to_owned());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, directory, flags, Mode::empty()).map_err(error(directory))?;
    for stub in stubs {
        make(root.as_fd(), stub).map_err(error(&stub.path))?;
    }
    // From the deepest up, as making an entry changes the time of the directory around it.
    for stub in stubs {
        finish(root.as_fd(), stub).map_err(error(&stub.path))?;
    }
    imitate(root.as_fd(), Path::new("."), top).map_err(error(directory))
}

fn make(root: BorrowedFd<'_>, stub: &Stub) -> Result<(), Errno> {
    let names = names(&stub.path)?;
    let Some((last, above)) = names.split_last() else {
        return Err(Errno::INVAL);
    };
    let mut directory = rustix::io::fcntl_dupfd_cloexec(root, 3)?;
    for name in above {
        make_directory(directory.as_fd(), name)?;
        directory = open_directory(directory.as_fd(), name)?;
    }
    match stub.kind {
        StubKind::Directory => make_directory(directory.as_fd(), last),
        StubKind::File => {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(directory, *last, flags, Mode::from_raw_mode(0o644)).map(drop)
        }
    }
}

/// Gives the directories above a stub that exist in the root file system the looks they have there.
fn finish(root: BorrowedFd<'_>, stub: &Stub) -> Result<(), Errno> {
    let names = names(&stub.path)?;
    for depth in (1..=stub.parents.len().min(names.len().saturating_sub(1))).rev() {
        let path: PathBuf = names[..depth].iter().collect();
        imitate(root, &path, &stub.parents[depth - 1])?;
    }
    Ok(())
}

fn imitate(root: BorrowedFd<'_>, path: &Path, parent: &Parent) -> Result<(), Errno> {
    let owner = (Uid::from_raw(parent.uid), Gid::from_raw(parent.gid));
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    match chownat(root, path, Some(owner.0), Some(owner.1), flags) {
        // An owner that the user namespace has no id for. The directory in the layer below shows user 0 then, too.
        Err(Errno::INVAL) => {}
        result => result?,
    }
    let mode = Mode::from_raw_mode(parent.mode & 0o7777);
    rustix::fs::chmodat(root, path, mode, AtFlags::empty())?;
    let time = Timespec {
        tv_sec: parent.mtime.0,
        tv_nsec: parent.mtime.1.into(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(root, path, &times, AtFlags::SYMLINK_NOFOLLOW)
}

/// The names on a path that has no links or dots.
fn names(path: &Path) -> Result<Vec<&std::ffi::OsStr>, Errno> {
    path.components()
        .filter(|component| *component != Component::RootDir)
        .map(|component| match component {
            Component::Normal(name) => Ok(name),
            _ => Err(Errno::INVAL),
        })
        .collect()
}

fn make_directory(directory: BorrowedFd<'_>, name: &std::ffi::OsStr) -> Result<(), Errno> {
    match mkdirat(directory, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

fn open_directory(directory: BorrowedFd<'_>, name: &std::ffi::OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty())
}
