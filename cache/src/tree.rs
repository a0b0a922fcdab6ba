//! Directories whose contents others chose, as steps do in cache mounts: however deep they are and whatever is put in their
//! place meanwhile, nothing else is touched, and nobody runs out of stack, descriptors or the length of paths.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::error::optional;

/// Directories that are open at a time, each in the one before.
const DEPTH: usize = 64;
/// Paths below an open directory that are longer than this begin at a later one.
const LONG: usize = 2048;
/// How often a directory is emptied that turns out not to be.
const ATTEMPTS: usize = 4;
/// How a directory is opened.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The bytes that a file or directory takes on the disk. What goes meanwhile takes none, nor what cannot be looked into.
pub(crate) fn size(path: &Path) -> io::Result<u64> {
    let Some(stat) = optional(rustix::fs::lstat(path).map_err(io::Error::from))? else {
        return Ok(0);
    };
    let mut bytes = space(&stat);
    let top = match rustix::fs::open(path, DIRECTORY, Mode::empty()) {
        Ok(top) if is_directory(&stat) => Rc::new(top),
        _ => return Ok(bytes),
    };
    let mut pending = vec![(top, b".".to_vec())];
    while let Some((above, path)) = pending.pop() {
        let Ok(directory) = open_beneath(above.as_fd(), &path) else {
            continue;
        };
        let directory = Rc::new(directory);
        let (above, path) = if path.len() > LONG {
            (&directory, b".".to_vec())
        } else {
            (&above, path)
        };
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let stat = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW);
            let Some(stat) = stat.ok().filter(|_| !is_dots(name)) else {
                continue;
            };
            bytes += space(&stat);
            if is_directory(&stat) {
                let path = [&*path, b"/", name.to_bytes()].concat();
                pending.push((Rc::clone(above), path));
            }
        }
    }
    Ok(bytes)
}

/// Removes a file or a directory with all that is in it. Directories that lie too deep are given to `put_aside`, which moves
/// them to where they can be removed on their own.
pub(crate) fn remove(
    path: &Path,
    put_aside: &mut dyn FnMut(BorrowedFd<'_>, &CStr) -> io::Result<()>,
) -> io::Result<()> {
    match rustix::fs::unlink(path) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        removed => return Ok(removed?),
    }
    remove_emptied(DEPTH, put_aside, &|| rustix::fs::rmdir(path), &|| {
        rustix::fs::open(path, DIRECTORY, Mode::empty())
    })
}

/// Empties a directory and removes it.
fn remove_emptied(
    depth: usize,
    put_aside: &mut dyn FnMut(BorrowedFd<'_>, &CStr) -> io::Result<()>,
    remove: &dyn Fn() -> Result<(), Errno>,
    open: &dyn Fn() -> Result<OwnedFd, Errno>,
) -> io::Result<()> {
    let mut removed = Err(Errno::NOTEMPTY);
    for _ in 0..ATTEMPTS {
        empty(open()?.as_fd(), depth, put_aside)?;
        removed = remove();
        if removed != Err(Errno::NOTEMPTY) {
            break;
        }
    }
    Ok(removed?)
}

/// Removes what is in a directory, with `depth` levels below it.
fn empty(
    directory: BorrowedFd<'_>,
    depth: usize,
    put_aside: &mut dyn FnMut(BorrowedFd<'_>, &CStr) -> io::Result<()>,
) -> io::Result<()> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_dots(name) {
            continue;
        }
        if entry.file_type() != FileType::Directory {
            match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
                Err(Errno::ISDIR | Errno::PERM) => {}
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        if depth == 0 {
            put_aside(directory, name)?;
            continue;
        }
        let remove = || rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR);
        let open = || rustix::fs::openat(directory, name, DIRECTORY, Mode::empty());
        remove_emptied(depth - 1, put_aside, &remove, &open)?;
    }
    Ok(())
}

fn open_beneath(directory: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(directory, path, DIRECTORY, Mode::empty(), resolve)
}

fn space(stat: &Stat) -> u64 {
    stat.st_blocks.unsigned_abs() * 512
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::fs;

    use rustix::fs::CWD;

    use super::*;
    use crate::Bucket;
    use crate::testing::new;

    /// Makes directories in each other, far deeper than a path can name, with a file at the end.
    fn make_deep(top: &Path, depth: usize) {
        fs::create_dir(top).unwrap();
        let mut directory = rustix::fs::open(top, DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..depth {
            rustix::fs::mkdirat(&directory, c"d", Mode::RWXU).unwrap();
            directory = rustix::fs::openat(&directory, c"d", DIRECTORY, Mode::empty()).unwrap();
        }
        let flags = OFlags::WRONLY | OFlags::CREATE;
        let file = rustix::fs::openat(&directory, c"file", flags, Mode::RUSR).unwrap();
        rustix::io::write(file, &vec![1; 100_000]).unwrap();
    }

    #[test]
    fn deep_trees_are_measured_and_removed() {
        let (_directory, store) = new();
        let top = store.root().join("deep");
        make_deep(&top, 10_000);
        assert!(size(&top).unwrap() >= 100_000);
        store.discard(&top).unwrap();
        let swept = store.sweep().unwrap();
        assert_eq!((swept.deleted, swept.left), (1, 0));
        let left = fs::read_dir(store.directory(Bucket::Trash)).unwrap();
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn links_are_removed_and_what_they_lead_to_is_not() {
        let (directory, store) = new();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("file"), vec![1; 100_000]).unwrap();
        let top = directory.path().join("top");
        fs::create_dir_all(top.join("a/b")).unwrap();
        for place in ["link", "a/link", "a/b/link"] {
            std::os::unix::fs::symlink(outside.path(), top.join(place)).unwrap();
        }
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(outside.path(), &link).unwrap();
        for path in [&top, &link] {
            assert!(size(path).unwrap() < 100_000);
            store.discard(path).unwrap();
        }
        assert_eq!(store.sweep().unwrap().left, 0);
        assert!(outside.path().join("file").exists());
        assert!(rustix::fs::statat(CWD, &top, AtFlags::SYMLINK_NOFOLLOW).is_err());
    }
}
