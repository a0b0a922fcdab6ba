//! Extended attributes of files on the host.

use std::path::Path;

/// Attributes that describe the host rather than the file: they are not copied.
const IGNORED: [&[u8]; 4] = [
    b"security.selinux",
    b"system.",
    b"trusted.overlay.",
    b"user.overlay.",
];

/// Names and values, sorted by name; of a link, not of what it points to. Nothing where the file system has none.
pub(crate) fn read(path: &Path) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
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
