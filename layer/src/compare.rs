//! Compares a directory that a layer was made from, or unpacked to, with the layer.

use std::collections::BTreeMap;
use std::path::Path;

use crate::entry::{PlannedEntry, PlannedNode};
use crate::erofs::Index;
use crate::error::Result;
use crate::metadata::{Metadata, Xattrs};
use crate::path::LayerPath;
use crate::plan::arrange;
use crate::seal::scan_upper;
use crate::unpack::{UnpackOptions, plan_layer};

/// How an entry of a directory is not what the layer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// The layer has it, the directory has not.
    #[error("is missing")]
    Missing,
    /// The directory has it, the layer has not.
    #[error("is not in the layer")]
    Surplus,
    /// It is of another kind, leads elsewhere, or hides what it should not.
    #[error("is something else")]
    Node,
    /// The file has other bytes.
    #[error("has other bytes")]
    Bytes,
    /// It has another mode.
    #[error("has another mode")]
    Mode,
    /// It belongs to somebody else.
    #[error("has another owner")]
    Owner,
    /// It has other extended attributes.
    #[error("has other extended attributes")]
    Xattrs,
}

/// The first entry in which a directory differs from the layer that [`unpack_with`](crate::unpack_with) wrote there, or
/// [`seal`](crate::seal()) made of it. Times do not count, nor what the directory could not hold by `options`.
pub fn compare(
    index: &Index,
    directory: &Path,
    options: UnpackOptions,
) -> Result<Option<(LayerPath, Difference)>> {
    let expected = arrange(plan_layer(index)?, None)?;
    let found = arrange(scan_upper(directory, &[])?, None)?;
    let wanted: BTreeMap<_, _> = expected.iter().map(|entry| (&entry.path, entry)).collect();
    let mut found = found.iter().peekable();
    for entry in expected.iter().filter(|entry| !entry.path.is_root()) {
        if let Some(surplus) = found.next_if(|found| found.path < entry.path) {
            return Ok(Some((surplus.path.clone(), Difference::Surplus)));
        }
        let difference = match found.next_if(|found| found.path == entry.path) {
            Some(found) => differ(entry, found, options)?,
            None if may_be_missing(entry, &wanted, options) => None,
            None => Some(Difference::Missing),
        };
        if let Some(difference) = difference {
            return Ok(Some((entry.path.clone(), difference)));
        }
    }
    let surplus = found.next();
    Ok(surplus.map(|surplus| (surplus.path.clone(), Difference::Surplus)))
}

fn differ(
    expected: &PlannedEntry,
    found: &PlannedEntry,
    options: UnpackOptions,
) -> Result<Option<Difference>> {
    use PlannedNode::{Block, Char, Directory, Fifo, File, HardLink, Symlink, Whiteout};
    let is_same = match (&expected.node, &found.node) {
        (Directory { opaque: one }, Directory { opaque: other }) => one == other,
        (File(_), File(_)) | (Fifo, Fifo) | (Whiteout, Whiteout) => true,
        (Symlink(one), Symlink(other)) => one == other,
        (HardLink(one), HardLink(other)) => one == other,
        (Char { major, minor }, Char { major: m, minor: n })
        | (Block { major, minor }, Block { major: m, minor: n }) => (major, minor) == (m, n),
        _ => false,
    };
    if !is_same {
        return Ok(Some(Difference::Node));
    }
    let difference = match expected.node {
        // It is that of the file that it names.
        HardLink(_) | Whiteout => None,
        _ => differ_in_metadata(expected, &found.metadata, options),
    };
    match (difference, &expected.node, &found.node) {
        (None, File(one), File(other)) => {
            let (one, other) = (&one.source, &other.source);
            let same = one.size() == other.size() && one.digest()? == other.digest()?;
            Ok((!same).then_some(Difference::Bytes))
        }
        _ => Ok(difference),
    }
}

fn differ_in_metadata(
    entry: &PlannedEntry,
    found: &Metadata,
    options: UnpackOptions,
) -> Option<Difference> {
    let expected = &entry.metadata;
    // Only these can have any attribute, among them the note of an owner that there is no id for.
    let is_plain = matches!(
        entry.node,
        PlannedNode::File(_) | PlannedNode::Directory { .. }
    );
    // Links have no modes of their own.
    let has_mode = !matches!(entry.node, PlannedNode::Symlink(_));
    let has_owner = is_plain || !options.userxattr;
    if has_owner && (expected.uid, expected.gid) != (found.uid, found.gid) {
        Some(Difference::Owner)
    } else if has_mode && expected.mode != found.mode {
        Some(Difference::Mode)
    } else if is_plain && !are_kept(&expected.xattrs, &found.xattrs, options) {
        Some(Difference::Xattrs)
    } else {
        None
    }
}

/// Whether these are the attributes found, but for those that may be set by root only, or that not every file system
/// keeps.
fn are_kept(expected: &Xattrs, found: &Xattrs, options: UnpackOptions) -> bool {
    let may_be_missing = |name: &[u8]| options.userxattr || name.starts_with(b"user.");
    let is_kept = |xattr: &(Vec<u8>, _)| found.contains(xattr) || may_be_missing(&xattr.0);
    let changed = |xattr: &(Vec<u8>, _)| !expected.contains(xattr);
    expected.iter().all(is_kept) && !found.iter().any(changed)
}

/// Whether an entry need not be there: a device that the user could not make, or what an opaque directory hides anyway.
fn may_be_missing(
    entry: &PlannedEntry,
    all: &BTreeMap<&LayerPath, &PlannedEntry>,
    options: UnpackOptions,
) -> bool {
    let node_at = |path: &LayerPath| all.get(path).map(|entry| &entry.node);
    let is_device =
        |node: &PlannedNode| matches!(node, PlannedNode::Char { .. } | PlannedNode::Block { .. });
    match &entry.node {
        PlannedNode::HardLink(target) => {
            options.userxattr && node_at(target).is_some_and(is_device)
        }
        PlannedNode::Whiteout => {
            let parent = entry.path.parent();
            let parent = parent.as_ref().and_then(node_at);
            matches!(parent, Some(PlannedNode::Directory { opaque: true }))
        }
        node => options.userxattr && is_device(node),
    }
}
