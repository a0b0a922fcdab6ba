//! Extended attributes of files on the host.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Attributes that describe the host rather than the file: they are not copied.
const IGNORED: [&[u8]; 4] = [
    b"security.selinux",
    b"system.",
    b"trusted.overlay.",
    b"user.overlay.",
];

/// Names and values of `name` in an open directory, sorted by name; of a link, not of what it points to. Nothing where
/// the file system has none.
pub(crate) fn read(
    directory: BorrowedFd<'_>,
    name: &CStr,
) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    // The calls know paths only. This one leads through the open directory, whatever has taken its place meanwhile.
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    let path = path.as_slice();
    let mut names = vec![0; 1024];
    let length = loop {
        match rustix::fs::llistxattr(path, names.as_mut_slice()) {
            Ok(length) => break length,
            Err(rustix::io::Errno::RANGE) => names.resize(names.len() * 4, 0),
            Err(rustix::io::Errno::NOTSUP) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    };
    let mut attributes = Vec::new();
    for name in names[..length].split(|byte| *byte == 0) {
        if name.is_empty() || IGNORED.iter().any(|ignored| name.starts_with(ignored)) {
            continue;
        }
        // The kernel's own limit on a value (XATTR_SIZE_MAX).
        let mut value = vec![0; 65536];
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice())?;
        value.truncate(length);
        attributes.push((name.to_vec(), value));
    }
    attributes.sort_unstable();
    Ok(attributes)
}
