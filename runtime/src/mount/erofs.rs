//! EROFS images.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{FsOpenFlags, fsconfig_set_flag, fsconfig_set_string, fsopen};

use super::{loop_device, tree};
use crate::sys::MountAttributes;

/// How the kernel gets at an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backing {
    /// Straight from files (Linux 6.12 and later).
    File,
    /// Through block devices made of them.
    LoopDevice,
}

impl Backing {
    /// In the order to try them.
    pub(super) const ALL: [Self; 2] = [Self::File, Self::LoopDevice];
}

/// Whether mounting from a file failed because the kernel, or the file system the file is in, can't do that.
pub(super) fn needs_loop_device(error: Errno) -> bool {
    matches!(error, Errno::NOTBLK | Errno::INVAL)
}

/// Mounts an image whose data is in another file. The paths are as the calling thread sees them.
pub(super) fn make(index: &str, tar: Option<&str>, backing: Backing) -> Result<OwnedFd, Errno> {
    match backing {
        Backing::File => mount(index, tar),
        Backing::LoopDevice => {
            let index = loop_device::attach(Path::new(index))?;
            let tar = tar
                .map(|tar| loop_device::attach(Path::new(tar)))
                .transpose()?;
            mount(&index.path, tar.as_ref().map(|tar| tar.path.as_str()))
        }
    }
}

fn mount(source: &str, device: Option<&str>) -> Result<OwnedFd, Errno> {
    let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    fsconfig_set_string(context, "source", source)?;
    fsconfig_set_flag(context, "ro")?;
    if let Some(device) = device {
        fsconfig_set_string(context, "device", device)?;
    }
    tree::finish(context, MountAttributes::READ_ONLY)
}

/// Why EROFS images can't be mounted here.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// The kernel does not have the file system, or it is not a module that can be loaded.
    #[error("the kernel has no EROFS")]
    NoFileSystem,
    /// The caller may not mount it.
    #[error("not permitted to mount EROFS")]
    NotPermitted,
    /// The probe's image could not be written.
    #[error("cannot write a file to probe for EROFS")]
    NoFile(#[source] Errno),
    /// The kernel has it, but not in the form that layers need.
    #[error("the kernel cannot mount a layer's EROFS index")]
    Refused(#[source] Errno),
}

/// Whether layers in `directory` can be mounted as EROFS images, found by mounting a tiny one: it depends on the kernel,
/// on what the caller may do, and on the file system they are in.
pub fn erofs_supported(directory: &Path) -> Result<(), Unsupported> {
    let image = tiny::write(directory).map_err(Unsupported::NoFile)?;
    let path = format!("/proc/self/fd/{}", image.as_raw_fd());
    let made = Backing::ALL
        .into_iter()
        .map(|backing| make(&path, None, backing))
        .find(|made| !matches!(made, Err(error) if needs_loop_device(*error)));
    match made.unwrap_or(Err(Errno::NOTBLK)) {
        Ok(_) => Ok(()),
        Err(Errno::NODEV) => Err(Unsupported::NoFileSystem),
        Err(Errno::PERM | Errno::ACCESS) => Err(Unsupported::NotPermitted),
        Err(error) => Err(Unsupported::Refused(error)),
    }
}

/// The smallest image: a superblock, and a root directory without entries but its own, in 512-byte blocks.
mod tiny {
    use std::os::fd::{AsFd, OwnedFd};

    use std::path::Path;

    use rustix::fs::{CWD, Mode, OFlags, openat};
    use rustix::io::Errno;

    const BLOCK: usize = 512;
    /// Where every superblock starts.
    const SUPERBLOCK: usize = 1024;
    /// The block of the inodes.
    const METADATA_BLOCK: u32 = 3;
    /// The root's inode, in units of 32 bytes from the start of the metadata.
    const ROOT: u16 = 1;

    pub(super) fn write(directory: &Path) -> Result<OwnedFd, Errno> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = openat(CWD, directory, flags, Mode::RUSR | Mode::WUSR)?;
        let image = image();
        let mut rest = &image[..];
        while !rest.is_empty() {
            let written = rustix::io::write(file.as_fd(), rest)?;
            rest = &rest[written..];
        }
        Ok(file)
    }

    /// On-disk format: `fs/erofs/erofs_fs.h` of the kernel.
    fn image() -> Vec<u8> {
        let mut image = vec![0; BLOCK * 8];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(SUPERBLOCK, &0xe0f5_e1e2_u32.to_le_bytes());
        put(SUPERBLOCK + 12, &[BLOCK.trailing_zeros() as u8]);
        put(SUPERBLOCK + 14, &ROOT.to_le_bytes());
        put(SUPERBLOCK + 16, &1_u64.to_le_bytes());
        put(SUPERBLOCK + 36, &8_u32.to_le_bytes());
        put(SUPERBLOCK + 40, &METADATA_BLOCK.to_le_bytes());
        // A compact inode of a directory with two links whose entries are in the inode's own block.
        let inode = METADATA_BLOCK as usize * BLOCK + usize::from(ROOT) * 32;
        let inline_data: u16 = 2 << 1;
        put(inode, &inline_data.to_le_bytes());
        put(inode + 4, &0o040_755_u16.to_le_bytes());
        put(inode + 6, &2_u16.to_le_bytes());
        let entries = entries();
        put(inode + 8, &(entries.len() as u32).to_le_bytes());
        put(inode + 20, &1_u32.to_le_bytes());
        put(inode + 32, &entries);
        image
    }

    /// `.` and `..`: fixed parts first, then the names.
    fn entries() -> Vec<u8> {
        const DIRECTORY: u8 = 2;
        let mut entries = vec![];
        for name_at in [24_u16, 25] {
            entries.extend(u64::from(ROOT).to_le_bytes());
            entries.extend(name_at.to_le_bytes());
            entries.extend([DIRECTORY, 0]);
        }
        entries.extend(b"...");
        entries
    }
}
