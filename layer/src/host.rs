//! Files of the host, opened so that no link leads elsewhere.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::digest::ContentDigest;
use crate::error::{Error, Result};
use crate::metadata::{Metadata, Timestamp, Xattrs};
use crate::path::LayerPath;

/// Attributes that belong to a mount's policy and not to the file: never copied.
const IGNORED_XATTRS: [&[u8]; 1] = [b"security.selinux"];

/// The kernel's own limit on a value (`XATTR_SIZE_MAX`).
const MAX_XATTR: usize = 65536;

/// How much of a large file is read at once.
const CHUNK: usize = 1 << 20;

/// Opens a file at `path` below `root`; a symbolic link anywhere in the path is an error (`ELOOP`), so is `..` out
/// of the root (`EXDEV`).
pub(crate) fn open_beneath(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
) -> io::Result<OwnedFd> {
    let path = if path.is_empty() {
        b".".as_slice()
    } else {
        path
    };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    loop {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            // A rename elsewhere on the system can disturb the resolution; the kernel asks to try again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Opens the regular file at `path` below `root` for reading. Anything else is an error and is never waited for.
pub(crate) fn open_file(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOATIME;
    let opened = match open_beneath(root, path, flags) {
        // Only a file's owner may read it without leaving a trace in its access time.
        Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
            open_beneath(root, path, OFlags::RDONLY | OFlags::NONBLOCK)
        }
        other => other,
    };
    opened.map(File::from)
}

/// Takes the BLAKE3 digest of the regular file at `path` (relative to `root`, no link followed).
pub fn digest_file(root: impl AsFd, path: &[u8]) -> Result<ContentDigest> {
    let digest = || {
        let file = open_file(root.as_fd(), path)?;
        let size = file.metadata()?.len();
        digest_of(&file, size)
    };
    digest().map_err(|source| Error::io("read", &display(path), source))
}

fn digest_of(file: &File, size: u64) -> io::Result<ContentDigest> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK).max(512))];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut chunk, at)?;
        if read == 0 {
            return Ok(hasher.finalize().into());
        }
        if read >= CHUNK / 2 {
            hasher.update_rayon(&chunk[..read]);
        } else {
            hasher.update(&chunk[..read]);
        }
        at += read as u64;
    }
}

/// A path from outside for a message.
pub(crate) fn display(path: &[u8]) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::path::PathBuf::from(std::ffi::OsStr::from_bytes(path))
}

/// Names the entry `name` of an open directory for calls that know paths only and follow no last link.
pub(crate) fn entry_path(directory: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

/// The extended attributes of `name` in an open directory, of a link itself: sorted by name.
pub(crate) fn read_xattrs(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<Xattrs> {
    let path = entry_path(directory, name);
    let mut small = [0_u8; 256];
    let mut large = Vec::new();
    let names: &[u8] = match rustix::fs::llistxattr(path.as_slice(), &mut small[..]) {
        Ok(length) => &small[..length],
        Err(Errno::NOTSUP) => return Ok(Xattrs::new()),
        Err(Errno::RANGE) => {
            large.resize(MAX_XATTR, 0);
            let length = rustix::fs::llistxattr(path.as_slice(), large.as_mut_slice())?;
            &large[..length]
        }
        Err(error) => return Err(error.into()),
    };
    let mut xattrs = Xattrs::new();
    for name in names.split(|byte| *byte == 0) {
        if name.is_empty() || IGNORED_XATTRS.contains(&name) {
            continue;
        }
        let mut value = vec![0; MAX_XATTR];
        match rustix::fs::lgetxattr(path.as_slice(), name, value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                value.shrink_to_fit();
                xattrs.push((name.to_vec(), value));
            }
            Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM | Errno::ACCESS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    xattrs.sort_unstable();
    Ok(xattrs)
}

/// The metadata that a `stat` gives, with these attributes.
pub(crate) fn metadata_of(stat: &rustix::fs::Stat, xattrs: Xattrs) -> Metadata {
    Metadata {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: Timestamp {
            seconds: stat.st_mtime,
            nanos: stat.st_mtime_nsec as u32,
        },
        xattrs,
    }
}

/// The parent of a path and the name in it; the root is `.` in itself.
pub(crate) fn split(path: &LayerPath) -> (&[u8], &[u8]) {
    let bytes = path.as_bytes();
    match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&bytes[..slash], &bytes[slash + 1..]),
        None if bytes.is_empty() => (b"", b"."),
        None => (b"", bytes),
    }
}
