//! Writes a layer from a plan: its tar and, from what was learnt on the way, its index.

use std::fs::File;

use crate::digest::DiffId;
use crate::emit::{Emitter, Placed};
use crate::entry::{PlannedEntry, PlannedNode};
use crate::erofs::{Identity, write_index};
use crate::error::{Error, PlanProblem, Result};
use crate::host;
use crate::metadata::Metadata;
use crate::path::{self, LayerPath};
use crate::plan::{Order, arrange};
use crate::read_ahead::ReadAhead;
use crate::sink::{Sink, Target};
use crate::summary::Summary;
use crate::tree::{Data, Extents, Inode, InodeId, Node, Tree};

/// How a layer is written.
#[derive(Clone, Copy)]
pub struct WriteOptions<'a> {
    /// Times later than this, in seconds since 1970, become this one (`SOURCE_DATE_EPOCH`).
    pub clamp: Option<i64>,
    /// Asked again and again; `true` ends the work with [`Error::Cancelled`].
    pub cancelled: &'a dyn Fn() -> bool,
}

impl Default for WriteOptions<'_> {
    fn default() -> Self {
        Self {
            clamp: None,
            cancelled: &|| false,
        }
    }
}

impl std::fmt::Debug for WriteOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteOptions")
            .field("clamp", &self.clamp)
            .finish_non_exhaustive()
    }
}

/// Writes the layer that `entries`, in any order, describe: its tar and its index, to two empty files.
///
/// The same entries with the same bytes give the same two files, byte for byte.
pub fn write_layer(
    entries: Vec<PlannedEntry>,
    tar: &File,
    index: &File,
    options: &WriteOptions<'_>,
) -> Result<Summary> {
    let entries = arrange(entries, options.clamp)?;
    write(entries.into_iter().map(Ok), tar, index, options)
}

/// As [`write_layer`], of entries that are made while they are written. They come in the order of their paths, and the
/// first name of a file is the file itself, of which others are hard links; anything else is an error.
pub fn write_layer_in_order<E: From<Error>>(
    entries: impl Iterator<Item = Result<PlannedEntry, E>>,
    tar: &File,
    index: &File,
    options: &WriteOptions<'_>,
) -> Result<Summary, E> {
    let mut order = Order::new(options.clamp);
    let admitted = entries.map(|entry| {
        let mut entry = entry?;
        order.admit(&mut entry)?;
        Ok(entry)
    });
    write(admitted, tar, index, options)
}

fn write<E: From<Error>>(
    entries: impl Iterator<Item = Result<PlannedEntry, E>>,
    tar: &File,
    index: &File,
    options: &WriteOptions<'_>,
) -> Result<Summary, E> {
    let mut tree = TreeBuilder::new();
    let mut changed = Vec::new();
    let (digest, tar_size, members) = std::thread::scope(|scope| {
        let sink = Sink::new(scope, Target::File(tar), true);
        let mut emitter = Emitter::new(sink, options.cancelled);
        let mut entries = ReadAhead::start(scope, entries)?;
        while let Some((entry, read)) = entries.next()? {
            let placed = emitter.entry(&entry, read.transpose()?)?;
            if let (PlannedNode::File(file), Some(placed)) = (&entry.node, placed)
                && file
                    .expected
                    .is_some_and(|expected| expected != placed.digest)
            {
                changed.push(entry.path.clone());
            }
            tree.add(entry, placed)?;
        }
        emitter.end()?;
        let members = emitter.members;
        let (digest, size) = emitter.sink.finish()?;
        Ok::<_, E>((digest, size, members))
    })?;
    // A sink that was asked to hash gives a digest.
    let diff_id = DiffId::new(digest.unwrap_or_else(|| crate::Digest::of(b"")));
    let TreeBuilder {
        tree, file_bytes, ..
    } = tree;
    let content = write_index(&tree, Identity { diff_id, tar_size }, index)?;
    Ok(Summary {
        diff_id,
        tar_size,
        content,
        entries: members,
        file_bytes,
        implied_dirs: tree.implied_directories(),
        changed,
    })
}

/// Makes a tree of arranged entries.
struct TreeBuilder {
    tree: Tree,
    /// The directories from the root down to where the last entry went.
    open: Vec<(LayerPath, InodeId)>,
    file_bytes: u64,
}

impl TreeBuilder {
    fn new() -> Self {
        Self {
            tree: Tree::new(),
            open: vec![(LayerPath::root(), Tree::root())],
            file_bytes: 0,
        }
    }

    fn add(&mut self, entry: PlannedEntry, placed: Option<Placed>) -> Result<()> {
        let PlannedEntry {
            path,
            metadata,
            node,
        } = entry;
        let directory = self.parent_of(&path);
        let node = match node {
            PlannedNode::Directory { opaque } => {
                self.add_directory(directory, path, metadata, opaque);
                return Ok(());
            }
            PlannedNode::HardLink(target) => {
                let file = self.find(&target).filter(|id| {
                    let node = &self.tree.get(*id).node;
                    !matches!(node, Node::Directory(_) | Node::Whiteout)
                });
                let file =
                    file.ok_or_else(|| Error::plan(&path, PlanProblem::LinkTarget(target)))?;
                self.tree.link(directory, name_of(&path), file);
                return Ok(());
            }
            PlannedNode::File(_) => {
                let Some(placed) = placed else { return Ok(()) };
                self.file_bytes += placed.size;
                Node::File(Data {
                    size: placed.size,
                    digest: placed.digest,
                    extents: Extents::Contiguous(placed.position),
                })
            }
            PlannedNode::Symlink(target) => Node::Symlink(target.into()),
            PlannedNode::Char { major, minor } => Node::Char(major, minor),
            PlannedNode::Block { major, minor } => Node::Block(major, minor),
            PlannedNode::Fifo => Node::Fifo,
            PlannedNode::Whiteout => Node::Whiteout,
        };
        let id = self.tree.add(Inode::new(metadata, node));
        self.tree.link(directory, name_of(&path), id);
        Ok(())
    }

    fn add_directory(
        &mut self,
        parent: InodeId,
        path: LayerPath,
        metadata: Metadata,
        opaque: bool,
    ) {
        let id = match path.name() {
            None => Some(Tree::root()),
            Some(name) => self.tree.subdirectory(parent, name),
        };
        let Some(id) = id else { return };
        self.tree.get_mut(id).metadata = metadata;
        if let Some(directory) = self.tree.directory_mut(id) {
            directory.opaque = opaque;
            directory.implied = false;
        }
        if id != Tree::root() {
            self.open.push((path, id));
        }
    }

    /// The directory that a path is in. Entries come in order, so it is mostly one that is open.
    fn parent_of(&mut self, path: &LayerPath) -> InodeId {
        let (parent, _) = host::split(path);
        while self.open.len() > 1
            && self.open.last().is_some_and(|(open, _)| {
                open.as_bytes() != parent && !path::is_below(parent, open.as_bytes())
            })
        {
            self.open.pop();
        }
        let (mut at, mut directory) = match self.open.last() {
            Some((open, id)) if open.as_bytes() == parent => return *id,
            Some(open) => open.clone(),
            None => (LayerPath::root(), Tree::root()),
        };
        // One is open for each component, and one for the root.
        let known = self.open.len() - 1;
        let names = parent.split(|byte| *byte == b'/').skip(known);
        for name in names {
            // Arranged entries have nothing but directories above them, and paths that are joined were whole before.
            let next = self
                .tree
                .subdirectory(directory, name)
                .zip(at.join(name).ok());
            let Some((id, path)) = next else { break };
            (directory, at) = (id, path.clone());
            self.open.push((path, id));
        }
        directory
    }

    fn find(&self, path: &LayerPath) -> Option<InodeId> {
        path.components().try_fold(Tree::root(), |directory, name| {
            self.tree.child(directory, name)
        })
    }
}

/// The name of what is not the root.
fn name_of(path: &LayerPath) -> &[u8] {
    host::split(path).1
}
