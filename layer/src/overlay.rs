//! What an entry of an overlay upper directory stands for (Linux: `Documentation/filesystems/overlayfs.rst`).

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType, Stat};

use crate::entry::EntryKind;
use crate::erofs::xattr;
use crate::host;
use crate::metadata::{Metadata, Xattrs};

/// Names of overlayfs's own attributes begin with one of these, by the mount's `userxattr` option.
const PREFIXES: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// The owner of a file that belongs to somebody else because a user namespace has no id for it, as `uid:gid`. It stays
/// with the file when a step changes it, so the layer that comes of that has the right owner again. Nothing but files
/// and directories can have it.
pub(crate) const OWNER: &str = "user.rbuild.owner";

/// The value of [`OWNER`].
pub(crate) fn owner_mark(metadata: &Metadata) -> String {
    format!("{}:{}", metadata.uid, metadata.gid)
}

/// Takes [`OWNER`] away, and gives what it says.
fn take_owner(xattrs: &mut Xattrs) -> Option<(u32, u32)> {
    let at = xattrs
        .iter()
        .position(|(name, _)| name == OWNER.as_bytes())?;
    let (_, value) = xattrs.remove(at);
    let (uid, gid) = std::str::from_utf8(&value).ok()?.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

/// An entry of an upper directory.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) kind: EntryKind,
    pub(crate) stat: Stat,
    /// The file's own metadata, without overlayfs's attributes.
    pub(crate) metadata: Metadata,
    /// It is a directory that hides what lower layers have in it.
    pub(crate) opaque: bool,
    /// An attribute that says that the content is elsewhere.
    pub(crate) foreign: Option<&'static str>,
}

/// Looks at what is called `name` in an open directory, `.` for the directory itself; `None` for a socket, which no
/// layer can hold.
pub(crate) fn inspect(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<Inspected>> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let Some(mut kind) = kind_of(&stat) else {
        return Ok(None);
    };
    let xattrs = match kind {
        EntryKind::Whiteout => Xattrs::new(),
        _ => host::read_xattrs(directory, name)?,
    };
    let marks = Marks::of(&xattrs);
    // Where no device can be made, an empty file with this mark is a whiteout (Linux 6.7).
    if marks.whiteout && kind == EntryKind::File && stat.st_size == 0 {
        kind = EntryKind::Whiteout;
    }
    let mut xattrs = xattrs;
    xattrs.retain(|(name, value)| !xattr::is_overlay(name) && xattr::is_storable(name, value));
    let owner = take_owner(&mut xattrs);
    let mut metadata = host::metadata_of(&stat, xattrs);
    if let Some(owner) = owner {
        (metadata.uid, metadata.gid) = owner;
    }
    Ok(Some(Inspected {
        kind,
        metadata,
        stat,
        opaque: marks.opaque && kind == EntryKind::Directory,
        foreign: marks.foreign,
    }))
}

/// What a `stat` alone says; `None` for a socket.
fn kind_of(stat: &Stat) -> Option<EntryKind> {
    Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => EntryKind::Directory,
        FileType::RegularFile => EntryKind::File,
        FileType::Symlink => EntryKind::Symlink,
        FileType::CharacterDevice if stat.st_rdev == 0 => EntryKind::Whiteout,
        FileType::CharacterDevice => EntryKind::Char,
        FileType::BlockDevice => EntryKind::Block,
        FileType::Fifo => EntryKind::Fifo,
        FileType::Socket | FileType::Unknown => return None,
    })
}

#[derive(Default)]
struct Marks {
    opaque: bool,
    whiteout: bool,
    foreign: Option<&'static str>,
}

impl Marks {
    fn of(xattrs: &Xattrs) -> Self {
        let mut marks = Self::default();
        for (name, value) in xattrs {
            let strip = |prefix: &&[u8]| name.strip_prefix(*prefix);
            let Some(mark) = PREFIXES.iter().find_map(strip) else {
                continue;
            };
            match mark {
                b"opaque" => marks.opaque |= value == b"y",
                b"whiteout" => marks.whiteout = true,
                b"redirect" => marks.foreign = Some("redirect"),
                b"metacopy" => marks.foreign = Some("metacopy"),
                _ => {}
            }
        }
        marks
    }
}

/// Major and minor number of a device.
pub(crate) fn device_of(stat: &Stat) -> (u32, u32) {
    (
        rustix::fs::major(stat.st_rdev),
        rustix::fs::minor(stat.st_rdev),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noted_owner_is_taken_once() {
        let other = (b"user.other".to_vec(), b"5:6".to_vec());
        for (value, owner) in [
            ("5:6", Some((5, 6))),
            ("4294967294:0", Some((4_294_967_294, 0))),
            ("5", None),
            ("5:", None),
            ("-1:0", None),
        ] {
            let note = (OWNER.as_bytes().to_vec(), value.as_bytes().to_vec());
            let mut xattrs = vec![other.clone(), note];
            assert_eq!(take_owner(&mut xattrs), owner, "{value}");
            assert_eq!(xattrs, std::slice::from_ref(&other), "{value}");
            assert_eq!(take_owner(&mut xattrs), None);
        }
    }
}
