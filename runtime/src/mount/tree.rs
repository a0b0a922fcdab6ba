//! Mounts that are not attached anywhere yet.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, open_tree,
};

use crate::sys::{MountAttributes, set_mount_attributes};

/// Makes a file system of a type with options, as a detached mount.
pub(crate) fn file_system(
    kind: &CStr,
    options: &[(&CStr, &CStr)],
    attributes: MountAttributes,
) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(context.as_fd(), *key, *value)?;
    }
    finish(context.as_fd(), attributes)
}

/// Makes the file system that `context` describes, as a detached mount.
pub(crate) fn finish(
    context: BorrowedFd<'_>,
    attributes: MountAttributes,
) -> Result<OwnedFd, Errno> {
    fsconfig_create(context)?;
    fsmount(
        context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::from_bits_retain(attributes.bits() as u32),
    )
}

/// A detached, private copy of the mount at `path`, and of those below it when `recursive`.
pub(crate) fn bind(
    directory: Option<BorrowedFd<'_>>,
    path: &Path,
    recursive: bool,
    attributes: MountAttributes,
) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let mount = open_tree(directory.unwrap_or(CWD), path, flags)?;
    set_mount_attributes(mount.as_fd(), attributes, recursive)?;
    Ok(mount)
}
