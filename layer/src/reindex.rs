//! Gives the directories that a tar only implies what they have in the layers below.
//!
//! Extracting a tar leaves such directories as they are, so their metadata is that of a lower layer, and where a lower
//! layer has a symbolic link in their place (`lib` for `usr/lib`), what is in them goes where the link leads. An index
//! made from the tar alone cannot know; mounted, it would hide both.

use std::collections::HashMap;
use std::fs::File;

use crate::digest::ContentDigest;
use crate::entry::EntryKind;
use crate::erofs::{Identity, Index, Inode as IndexInode, Nid, write_index};
use crate::error::{Error, Result};
use crate::path::LayerPath;
use crate::source::Extent;
use crate::tree::{Data, Extents, Inode, InodeId, Node, Tree};
use crate::view::View;

/// Writes another index of the same tar, for use on top of `lower`, to the empty file `out`. `None`, and nothing is
/// written, when it would not differ.
pub fn reindex(index: &Index, lower: &View, out: &File) -> Result<Option<ContentDigest>> {
    if index.implied_count() == 0 {
        return Ok(None);
    }
    let mut rebuild = Rebuild {
        index,
        lower,
        tree: Tree::new(),
        inodes: HashMap::new(),
        differs: false,
    };
    rebuild.run()?;
    if !rebuild.differs {
        return Ok(None);
    }
    let identity = Identity {
        diff_id: index.diff_id(),
        tar_size: index.tar_size(),
    };
    write_index(&rebuild.tree, identity, out).map(Some)
}

struct Rebuild<'a> {
    index: &'a Index,
    lower: &'a View,
    tree: Tree,
    /// Inodes that have several names.
    inodes: HashMap<Nid, InodeId>,
    differs: bool,
}

/// A directory of the index and where it goes.
struct Pending {
    from: Nid,
    to: InodeId,
    path: LayerPath,
}

impl Rebuild<'_> {
    fn run(&mut self) -> Result<()> {
        let root = self.index.inode(self.index.root())?;
        self.directory(&root, Tree::root(), &LayerPath::root())?;
        let mut pending = vec![Pending {
            from: root.nid(),
            to: Tree::root(),
            path: LayerPath::root(),
        }];
        while let Some(Pending { from, to, path }) = pending.pop() {
            for entry in self.index.read_dir(from)? {
                let inode = self.index.inode(entry.nid)?;
                let path = join(&path, entry.name)?;
                if inode.kind() != EntryKind::Directory {
                    self.add(&inode, to, entry.name)?;
                    continue;
                }
                let (to, path) = self.place(&inode, to, entry.name, path)?;
                pending.push(Pending {
                    from: entry.nid,
                    to,
                    path,
                });
            }
        }
        Ok(())
    }

    /// Makes a directory, elsewhere when it is implied and a link is in its place below.
    fn place(
        &mut self,
        inode: &IndexInode<'_>,
        parent: InodeId,
        name: &[u8],
        path: LayerPath,
    ) -> Result<(InodeId, LayerPath)> {
        let mut target = (parent, name.to_vec(), path);
        if inode.is_implied()
            && let Some((real, found)) = self.lower.resolve(target.2.as_bytes(), true)?
            && found.kind() == EntryKind::Directory
            && real != target.2
        {
            self.differs = true;
            let above = real.parent().unwrap_or_default();
            let Some(parent) = self.make_directories(&above)? else {
                return Err(crate::IndexProblem::Kind.into());
            };
            let Some(name) = real.name() else {
                return Ok((Tree::root(), real));
            };
            target = (parent, name.to_vec(), real);
        }
        let (parent, name, path) = target;
        let Some(id) = self.tree.subdirectory(parent, &name) else {
            // Something else of this layer is where the link leads; extraction would fail here too.
            return Err(crate::IndexProblem::Kind.into());
        };
        self.directory(inode, id, &path)?;
        Ok((id, path))
    }

    /// The directories down to `path` in the new tree, implied where they are not there yet.
    fn make_directories(&mut self, path: &LayerPath) -> Result<Option<InodeId>> {
        let mut at = Tree::root();
        let mut so_far = LayerPath::root();
        for name in path.components() {
            let Some(next) = self.tree.subdirectory(at, name) else {
                return Ok(None);
            };
            so_far = join(&so_far, name)?;
            at = next;
            self.imply(at, &so_far)?;
        }
        Ok(Some(at))
    }

    /// Describes a directory as the index does, or as the layers below do.
    fn directory(&mut self, inode: &IndexInode<'_>, id: InodeId, path: &LayerPath) -> Result<()> {
        if let Some(directory) = self.tree.directory_mut(id) {
            directory.opaque |= inode.is_opaque();
            directory.implied &= inode.is_implied();
        }
        let metadata = inode.metadata()?;
        if !inode.is_implied() {
            self.tree.get_mut(id).metadata = metadata;
            return Ok(());
        }
        if self.is_implied(id) {
            self.tree.get_mut(id).metadata = metadata;
        }
        self.imply(id, path)
    }

    fn is_implied(&self, id: InodeId) -> bool {
        self.tree
            .directory(id)
            .is_some_and(|directory| directory.implied)
    }

    fn imply(&mut self, id: InodeId, path: &LayerPath) -> Result<()> {
        if self.is_implied(id)
            && let Some(found) = self.lower.lookup(path)?
            && found.kind() == EntryKind::Directory
        {
            let metadata = found.metadata()?;
            let inode = self.tree.get_mut(id);
            self.differs |= inode.metadata != metadata;
            inode.metadata = metadata;
        }
        Ok(())
    }

    fn add(&mut self, inode: &IndexInode<'_>, directory: InodeId, name: &[u8]) -> Result<()> {
        if let Some(&known) = self.inodes.get(&inode.nid()) {
            self.tree.link(directory, name, known);
            return Ok(());
        }
        let (major, minor) = inode.device();
        let node = match inode.kind() {
            EntryKind::File => Node::File(data(inode)?),
            EntryKind::Symlink => Node::Symlink(inode.link_target()?.into()),
            EntryKind::Char => Node::Char(major, minor),
            EntryKind::Block => Node::Block(major, minor),
            EntryKind::Fifo => Node::Fifo,
            EntryKind::Directory | EntryKind::Whiteout => Node::Whiteout,
        };
        let id = self.tree.add(Inode::new(inode.metadata()?, node));
        self.tree.link(directory, name, id);
        if inode.links() > 1 {
            self.inodes.insert(inode.nid(), id);
        }
        Ok(())
    }
}

fn join(path: &LayerPath, name: &[u8]) -> Result<LayerPath> {
    path.join(name)
        .map_err(|problem| Error::plan(path, problem.into()))
}

fn data(inode: &IndexInode<'_>) -> Result<Data> {
    let size = inode.size();
    let extents = inode.extents()?;
    let extents = match extents.as_slice() {
        [
            Extent {
                offset: 0,
                position,
                length,
            },
        ] if *length == size => Extents::Contiguous(*position),
        [] if size == 0 => Extents::Contiguous(0),
        _ => Extents::Sparse(extents.into()),
    };
    Ok(Data {
        size,
        digest: inode.digest().unwrap_or(ContentDigest::from_bytes([0; 32])),
        extents,
    })
}
