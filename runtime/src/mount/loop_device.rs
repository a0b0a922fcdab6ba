//! Block devices made of files, for kernels that can't mount an image straight from its file.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

/// A loop device, gone when the last user is: this value, then the mount.
#[derive(Debug)]
pub(super) struct LoopDevice {
    /// Its path.
    pub(super) path: String,
    _device: OwnedFd,
}

/// `struct loop_info64`, of which only the flags are set.
#[repr(C)]
struct LoopInfo {
    before: [u64; 5],
    before_flags: [u32; 3],
    flags: u32,
    after: [u8; 64 + 64 + 32 + 16],
}

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// Makes a read-only loop device of a file, in blocks of 512 bytes.
pub(super) fn attach(file: &Path) -> Result<LoopDevice, Errno> {
    let file = openat(CWD, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let control = openat(
        CWD,
        "/dev/loop-control",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    loop {
        // SAFETY: the call takes no argument and returns a number.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        if number < 0 {
            return Err(last_error());
        }
        let path = format!("/dev/loop{number}");
        let device = openat(
            CWD,
            path.as_str(),
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        match configure(&device, &file) {
            // Another process took the free device in between.
            Err(Errno::BUSY) => {}
            Err(error) => return Err(error),
            Ok(()) => {
                return Ok(LoopDevice {
                    path,
                    _device: device,
                });
            }
        }
    }
}

fn configure(device: &OwnedFd, file: &OwnedFd) -> Result<(), Errno> {
    let config = LoopConfig {
        fd: file.as_fd().as_raw_fd() as u32,
        block_size: 512,
        info: LoopInfo {
            before: [0; 5],
            before_flags: [0; 3],
            flags: LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR,
            after: [0; 176],
        },
        reserved: [0; 8],
    };
    // SAFETY: the structure is laid out as the call reads it and outlives it.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
    if result < 0 {
        Err(last_error())
    } else {
        Ok(())
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
