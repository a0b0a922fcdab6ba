//! What a [`View`](crate::View) is made of: layers, each a tree that can be looked up and listed.

use std::fmt::Debug;

use crate::digest::ContentDigest;
use crate::entry::EntryKind;
use crate::erofs::{Index, Inode, Nid};
use crate::error::{IndexProblem, Result};
use crate::metadata::Metadata;
use crate::path::LayerPath;
use crate::source::FileSource;

/// One layer's own entries, whiteouts among them.
pub trait LayerTree: Debug + Send + Sync {
    /// The root directory.
    fn root(&self) -> Result<TreeEntry>;

    /// What is called `name` in a directory.
    fn child(&self, directory: &TreeNode, name: &[u8]) -> Result<Option<TreeEntry>>;

    /// All entries of a directory, in the order of their names' bytes.
    fn read_dir(&self, directory: &TreeNode) -> Result<Vec<(Box<[u8]>, TreeEntry)>>;

    /// Mode, owner, time and attributes.
    fn metadata(&self, node: &TreeNode) -> Result<Metadata>;

    /// The target of a symbolic link.
    fn link_target(&self, node: &TreeNode) -> Result<Vec<u8>>;

    /// Major and minor number of a device.
    fn device(&self, node: &TreeNode) -> Result<(u32, u32)>;

    /// The bytes of a regular file.
    fn file(&self, node: &TreeNode) -> Result<FileSource>;

    /// The digest of a directory's entries, where it is known; only that of a plain one means something without the
    /// layers below.
    fn directory_digest(&self, node: &TreeNode) -> Result<Option<ContentDigest>>;

    /// What names a file that may have several names, among those of this layer; `None` for one with one name.
    fn link_id(&self, node: &TreeNode) -> Result<Option<u64>>;

    /// The first path of a file with several names in this layer.
    fn first_path(&self, node: &TreeNode) -> Result<Option<LayerPath>>;
}

/// Names an entry to the layer that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeNode(pub(crate) Handle);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Handle {
    Inode(Nid),
    Path(LayerPath),
}

/// An entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Its name to the layer.
    pub node: TreeNode,
    /// What it is.
    pub kind: EntryKind,
    /// It is a directory that hides what lower layers have in it.
    pub opaque: bool,
    /// It is a directory that nothing in the layer describes.
    pub implied: bool,
    /// It is a directory that, with all below it, means the same without lower layers.
    pub plain: bool,
}

impl TreeNode {
    fn nid(&self) -> Result<Nid> {
        match self.0 {
            Handle::Inode(nid) => Ok(nid),
            Handle::Path(_) => Err(IndexProblem::Kind.into()),
        }
    }
}

impl From<Inode<'_>> for TreeEntry {
    fn from(inode: Inode<'_>) -> Self {
        Self {
            node: TreeNode(Handle::Inode(inode.nid())),
            kind: inode.kind(),
            opaque: inode.is_opaque(),
            implied: inode.is_implied(),
            plain: inode.is_plain(),
        }
    }
}

impl LayerTree for Index {
    fn root(&self) -> Result<TreeEntry> {
        Ok(self.inode(Index::root(self))?.into())
    }

    fn child(&self, directory: &TreeNode, name: &[u8]) -> Result<Option<TreeEntry>> {
        match Index::child(self, directory.nid()?, name)? {
            Some(nid) => Ok(Some(self.inode(nid)?.into())),
            None => Ok(None),
        }
    }

    fn read_dir(&self, directory: &TreeNode) -> Result<Vec<(Box<[u8]>, TreeEntry)>> {
        let entries = Index::read_dir(self, directory.nid()?)?;
        let entry = |entry: &crate::DirEntry<'_>| {
            Ok((Box::from(entry.name), self.inode(entry.nid)?.into()))
        };
        entries.iter().map(entry).collect()
    }

    fn metadata(&self, node: &TreeNode) -> Result<Metadata> {
        self.inode(node.nid()?)?.metadata()
    }

    fn link_target(&self, node: &TreeNode) -> Result<Vec<u8>> {
        Ok(self.inode(node.nid()?)?.link_target()?.to_vec())
    }

    fn device(&self, node: &TreeNode) -> Result<(u32, u32)> {
        Ok(self.inode(node.nid()?)?.device())
    }

    fn file(&self, node: &TreeNode) -> Result<FileSource> {
        Ok(FileSource::Range(self.inode(node.nid()?)?.range()?))
    }

    fn directory_digest(&self, node: &TreeNode) -> Result<Option<ContentDigest>> {
        Ok(self.inode(node.nid()?)?.digest())
    }

    fn link_id(&self, node: &TreeNode) -> Result<Option<u64>> {
        let inode = self.inode(node.nid()?)?;
        let several = inode.kind() != EntryKind::Directory && inode.links() > 1;
        Ok(several.then(|| inode.nid().number()))
    }

    fn first_path(&self, node: &TreeNode) -> Result<Option<LayerPath>> {
        self.inode(node.nid()?)?.first_path()
    }
}
