//! Attributes of mounts, and the change of root.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::raw;

bitflags::bitflags! {
    /// Attributes of a mount (`MOUNT_ATTR_*`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct MountAttributes: u64 {
        /// Nothing can be written through it.
        const READ_ONLY = 0x1;
        /// Set-user-ID bits and file capabilities have no effect.
        const NO_SUID = 0x2;
        /// Device nodes can't be opened.
        const NO_DEVICES = 0x4;
        /// Nothing can be executed.
        const NO_EXEC = 0x8;
    }
}

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Adds attributes to the mount that `mount` is the root of and, when `recursive`, to all below it.
///
/// Needs Linux 5.12.
pub(crate) fn set_mount_attributes(
    mount: BorrowedFd<'_>,
    attributes: MountAttributes,
    recursive: bool,
) -> Result<(), Errno> {
    let attr = MountAttr {
        set: attributes.bits(),
        clear: 0,
        propagation: libc::MS_PRIVATE,
        user_namespace: 0,
    };
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the structure is laid out as the call reads it, its size is given, and it outlives the call.
    raw::check(unsafe {
        raw::syscall(
            libc::SYS_mount_setattr,
            [
                mount.as_raw_fd() as usize,
                c"".as_ptr() as usize,
                flags as usize,
                (&raw const attr) as usize,
                size_of::<MountAttr>(),
                0,
            ],
        )
    })
    .map(drop)
}

/// Makes `root` the root of the calling process and stacks the old root on `old`.
pub(crate) fn pivot_root(root: &CStr, old: &CStr) -> Result<(), Errno> {
    // SAFETY: both are valid strings; the call changes no memory.
    raw::check(unsafe {
        raw::syscall(
            libc::SYS_pivot_root,
            [root.as_ptr() as usize, old.as_ptr() as usize, 0, 0, 0, 0],
        )
    })
    .map(drop)
}
