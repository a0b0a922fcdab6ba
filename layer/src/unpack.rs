//! Layers and trees as files in a directory, where they cannot be mounted or are wanted as such.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use crate::emit::Emitter;
use crate::entry::{EntryKind, PlannedEntry, PlannedNode};
use crate::erofs::{Index, Inode, Nid};
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::path::LayerPath;
use crate::place::{Marks, Style, place};
use crate::plan::arrange;
use crate::sink::{Sink, Target};
use crate::source::FileSource;
use crate::view::View;

/// How a layer is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UnpackOptions {
    /// The directory is for overlay mounts with the option `userxattr`, as in a user namespace: opaque directories are
    /// marked by `user.overlay.opaque`, devices that may not be made there are left out, and what has an owner without
    /// an id there belongs to the caller, with a note of the owner that sealing reads.
    pub userxattr: bool,
}

impl UnpackOptions {
    fn style(self) -> Style {
        Style {
            owners: true,
            marks: if self.userxattr {
                Marks::User
            } else {
                Marks::Trusted
            },
        }
    }
}

/// Unpacks a layer into the empty directory `destination`, in the form of an overlay lower directory.
///
/// A whiteout is the device 0:0. Where even that may not be made (Linux before 5.8 in a user namespace), it is an
/// empty file with the attribute `overlay.whiteout`, in a directory with `overlay.opaque` set to `x`: a form that
/// overlayfs knows since Linux 6.7.
pub fn unpack(index: &Index, destination: &Path) -> Result<()> {
    unpack_with(index, destination, UnpackOptions::default())
}

/// As [`unpack`], with options.
pub fn unpack_with(index: &Index, destination: &Path, options: UnpackOptions) -> Result<()> {
    place(plan_layer(index)?, destination, options.style())
}

/// The entries of a layer as a plan: whiteouts and opaque directories as they are, implied directories with the
/// metadata that they have in the index.
pub fn plan_layer(index: &Index) -> Result<Vec<PlannedEntry>> {
    let mut entries = Vec::new();
    let mut first: HashMap<Nid, LayerPath> = HashMap::new();
    let mut pending = vec![(index.root(), LayerPath::root())];
    while let Some((nid, path)) = pending.pop() {
        let inode = index.inode(nid)?;
        if inode.kind() == EntryKind::Directory {
            for entry in index.read_dir(nid)?.into_iter().rev() {
                let path = path
                    .join(entry.name)
                    .map_err(|problem| Error::plan(&path, problem.into()))?;
                pending.push((entry.nid, path));
            }
        }
        let mut node = planned(&inode)?;
        if inode.kind() != EntryKind::Directory && inode.links() > 1 {
            let first = first.entry(nid).or_insert_with(|| path.clone());
            if *first != path {
                node = PlannedNode::HardLink(first.clone());
            }
        }
        entries.push(PlannedEntry {
            path,
            metadata: inode.metadata()?,
            node,
        });
    }
    Ok(entries)
}

fn planned(inode: &Inode<'_>) -> Result<PlannedNode> {
    let (major, minor) = inode.device();
    Ok(match inode.kind() {
        EntryKind::Directory => PlannedNode::Directory {
            opaque: inode.is_opaque(),
        },
        EntryKind::File => PlannedNode::file(FileSource::Range(inode.range()?)),
        EntryKind::Symlink => PlannedNode::Symlink(inode.link_target()?.to_vec()),
        EntryKind::Char => PlannedNode::Char { major, minor },
        EntryKind::Block => PlannedNode::Block { major, minor },
        EntryKind::Fifo => PlannedNode::Fifo,
        EntryKind::Whiteout => PlannedNode::Whiteout,
    })
}

/// Copies the directory at `path` (links followed beneath the root), its metadata and all below it, to `destination`,
/// an existing directory. Nothing happens when it is not there.
pub fn extract_directory(
    view: &View,
    path: &[u8],
    destination: &Path,
    options: UnpackOptions,
) -> Result<()> {
    let Some((_, top)) = view.resolve(path, true)? else {
        return Ok(());
    };
    if top.kind() != EntryKind::Directory {
        return Ok(());
    }
    place(view.plan(&top)?, destination, options.style())
}

/// Copies a whole tree to the existing directory `destination`, as `--output type=local` does: files that are there
/// are replaced, others stay; without `owners`, everything belongs to whoever calls. Times beyond `clamp`, in seconds
/// since 1970, become that.
pub fn flatten_directory(
    view: &View,
    destination: &Path,
    owners: bool,
    clamp: Option<i64>,
) -> Result<()> {
    let mut entries = arrange(view.plan(&view.root()?)?, clamp)?;
    // The directory is the caller's own.
    entries.retain(|entry| !entry.path.is_root());
    let style = Style {
        owners,
        marks: Marks::Trusted,
    };
    place(entries, destination, style)
}

/// Writes whole trees as a tar, as `--output type=tar` does, each into a directory of its own or into the root. Times
/// beyond `clamp`, in seconds since 1970, become that.
pub fn flatten_tar(
    trees: &[(LayerPath, View)],
    out: impl Write + Send,
    clamp: Option<i64>,
    cancelled: &dyn Fn() -> bool,
) -> Result<()> {
    let mut entries = Vec::new();
    for (directory, view) in trees {
        for entry in view.plan(&view.root()?)? {
            entries.push(moved(entry, directory)?);
        }
    }
    let entries = arrange(entries, clamp)?;
    std::thread::scope(|scope| {
        let sink = Sink::new(scope, Target::Stream(Box::new(out)), false);
        let mut emitter = Emitter::new(sink, cancelled);
        for entry in entries.iter().filter(|entry| !entry.path.is_root()) {
            emitter.entry(entry, None)?;
        }
        emitter.end()?;
        emitter.sink.finish()?;
        Ok(())
    })
}

/// An entry of a tree that is put into a directory, which is what the tree's root becomes.
fn moved(mut entry: PlannedEntry, directory: &LayerPath) -> Result<PlannedEntry> {
    if directory.is_root() {
        return Ok(entry);
    }
    let below = |path: &LayerPath| {
        if path.is_root() {
            return Ok(directory.clone());
        }
        let joined = directory.join(path.as_bytes());
        joined.map_err(|problem| Error::plan(path, problem.into()))
    };
    if entry.path.is_root() {
        entry.metadata = Metadata::implied();
    }
    if let PlannedNode::HardLink(target) = &entry.node {
        entry.node = PlannedNode::HardLink(below(target)?);
    }
    entry.path = below(&entry.path)?;
    Ok(entry)
}
