//! Layers one upon another, merged as overlayfs merges them, without a mount.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::Arc;

use crate::digest::ContentDigest;
use crate::entry::{EntryKind, PlannedEntry, PlannedFile, PlannedNode};
use crate::error::{Error, Result};
use crate::merkle::{self, Content, DirectoryHasher};
use crate::metadata::Metadata;
use crate::path::LayerPath;
use crate::source::FileSource;
use crate::trees::{LayerTree, TreeEntry};

/// Links followed in one path before it counts as a loop (containerd's `RootPath` allows as many).
const MAX_LINKS: usize = 255;

/// Stands for the digest of what has none.
const NO_DIGEST: ContentDigest = ContentDigest::from_bytes([0; 32]);

/// A stack of layers, read as one tree.
#[derive(Debug, Clone)]
pub struct View {
    /// Lowest first.
    layers: Vec<Arc<dyn LayerTree>>,
}

/// An entry of a [`View`].
#[derive(Debug, Clone)]
pub struct ViewNode<'v> {
    view: &'v View,
    kind: EntryKind,
    /// Who contributes, highest first: the layers that are merged in a directory; one for anything else. Only the
    /// root of a view without layers has nobody.
    parts: Vec<Part>,
    /// Nothing below the view's layers would show through.
    hides_lower: bool,
}

/// Names, each with what it stands for unless it is hidden.
pub(crate) type Names<'v> = Vec<(Box<[u8]>, Option<ViewNode<'v>>)>;

/// What one layer has to contribute.
#[derive(Debug, Clone)]
struct Part {
    layer: usize,
    entry: TreeEntry,
}

/// Names a file that has several names in one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId {
    /// Which layer, counted from the lowest.
    pub layer: usize,
    /// Which inode of it.
    pub inode: u64,
}

impl View {
    /// These layers, lowest first.
    pub fn new(layers: Vec<Arc<dyn LayerTree>>) -> Self {
        Self { layers }
    }

    /// The root directory. It exists even without layers.
    pub fn root(&self) -> Result<ViewNode<'_>> {
        let mut parts = Vec::with_capacity(self.layers.len());
        let mut opaque = false;
        for (layer, tree) in self.layers.iter().enumerate().rev() {
            let entry = tree.root()?;
            opaque = entry.opaque;
            parts.push(Part { layer, entry });
            if opaque {
                break;
            }
        }
        Ok(ViewNode {
            view: self,
            kind: EntryKind::Directory,
            parts,
            hides_lower: opaque,
        })
    }

    /// What is at a path; no link is followed.
    pub fn lookup(&self, path: &LayerPath) -> Result<Option<ViewNode<'_>>> {
        let mut at = self.root()?;
        for name in path.components() {
            match at.child(name)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// What is at a path (`..` allowed, relative or not), links followed beneath the root, and where that really is.
    /// The last component is followed only with `follow_last`.
    pub fn resolve(
        &self,
        path: &[u8],
        follow_last: bool,
    ) -> Result<Option<(LayerPath, ViewNode<'_>)>> {
        let mut stack = vec![(LayerPath::root(), self.root()?)];
        let mut pending: Vec<Vec<u8>> = components(path).rev().map(<[u8]>::to_vec).collect();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            if name == b".." {
                stack.truncate((stack.len() - 1).max(1));
                continue;
            }
            let Some((at, directory)) = stack.last() else {
                return Ok(None);
            };
            let Some(next) = directory.child(&name)? else {
                return Ok(None);
            };
            if next.kind == EntryKind::Symlink && (follow_last || !pending.is_empty()) {
                links += 1;
                if links > MAX_LINKS {
                    let path = String::from_utf8_lossy(path).into_owned();
                    return Err(Error::TooManyLinks { path });
                }
                let target = next.link_target()?;
                if target.starts_with(b"/") {
                    stack.truncate(1);
                }
                pending.extend(components(&target).rev().map(<[u8]>::to_vec));
                continue;
            }
            // What was found has a name that a layer's path can have; only the whole may be too long.
            let Ok(path) = at.join(&name) else {
                return Ok(None);
            };
            stack.push((path, next));
        }
        Ok(stack.pop())
    }

    /// Everything below a directory, each entry after the directory that it is in, paths relative to `top`, in the
    /// order of paths. `top` itself comes first, as the root.
    pub fn walk<'v>(
        &'v self,
        top: &ViewNode<'v>,
        mut visit: impl FnMut(&LayerPath, &ViewNode<'v>) -> Result<()>,
    ) -> Result<()> {
        let mut pending = vec![(LayerPath::root(), top.clone())];
        while let Some((path, node)) = pending.pop() {
            visit(&path, &node)?;
            if node.kind != EntryKind::Directory {
                continue;
            }
            for (name, child) in node.entries()?.into_iter().rev() {
                let path = path
                    .join(&name)
                    .map_err(|problem| Error::plan(&path, problem.into()))?;
                pending.push((path, child));
            }
        }
        Ok(())
    }

    /// The plan of a layer that holds a copy of everything from `top` down, `top` as its root. Files are taken from
    /// where they are: no mount is needed, and files of sealed layers are not even read.
    pub fn plan(&self, top: &ViewNode<'_>) -> Result<Vec<PlannedEntry>> {
        let mut entries = Vec::new();
        let mut links: HashMap<LinkId, LayerPath> = HashMap::new();
        self.walk(top, |path, node| {
            let mut planned = node.planned()?;
            if let Some(id) = node.link_id()? {
                let first = links.entry(id).or_insert_with(|| path.clone());
                if first != path {
                    planned = PlannedNode::HardLink(first.clone());
                }
            }
            entries.push(PlannedEntry {
                path: path.clone(),
                metadata: node.metadata()?,
                node: planned,
            });
            Ok(())
        })?;
        Ok(entries)
    }
}

impl<'v> ViewNode<'v> {
    /// What it is; never a whiteout.
    pub fn kind(&self) -> EntryKind {
        self.kind
    }

    /// Mode, owner, time and attributes: those of the highest layer that describes it.
    pub fn metadata(&self) -> Result<Metadata> {
        let described = self.parts.iter().find(|part| !part.entry.implied);
        match described {
            Some(part) => self.tree(part).metadata(&part.entry.node),
            None => Ok(Metadata::implied()),
        }
    }

    /// The target of a symbolic link.
    pub fn link_target(&self) -> Result<Vec<u8>> {
        let part = self.part()?;
        self.tree(part).link_target(&part.entry.node)
    }

    /// Major and minor number of a device.
    pub fn device(&self) -> Result<(u32, u32)> {
        let part = self.part()?;
        self.tree(part).device(&part.entry.node)
    }

    /// The bytes of a regular file, for a plan or for reading.
    pub fn file(&self) -> Result<FileSource> {
        let part = self.part()?;
        self.tree(part).file(&part.entry.node)
    }

    /// At most the first `limit` bytes of a regular file.
    pub fn read(&self, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file()?
            .open()?
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(Error::storage("read a file of a layer"))?;
        Ok(bytes)
    }

    /// What names a file that has several names; `None` for one that has one, and for directories.
    pub fn link_id(&self) -> Result<Option<LinkId>> {
        if self.kind == EntryKind::Directory {
            return Ok(None);
        }
        let part = self.part()?;
        let inode = self.tree(part).link_id(&part.entry.node)?;
        let layer = part.layer;
        Ok(inode.map(|inode| LinkId { layer, inode }))
    }

    /// What is called `name` in a directory; nothing in anything else.
    pub fn child(&self, name: &[u8]) -> Result<Option<Self>> {
        if self.kind != EntryKind::Directory || matches!(name, b"" | b"." | b"..") {
            return Ok(None);
        }
        let mut merge = Merge::default();
        for part in &self.parts {
            if let Some(entry) = self.tree(part).child(&part.entry.node, name)? {
                merge.push(part.layer, entry);
            }
            if merge.complete {
                break;
            }
        }
        Ok(merge.into_node(self.view))
    }

    /// All entries of a directory, in the order of their names' bytes.
    pub fn entries(&self) -> Result<Vec<(Box<[u8]>, Self)>> {
        let entries = self.entries_and_whiteouts()?.into_iter();
        Ok(entries
            .filter_map(|(name, node)| Some((name, node?)))
            .collect())
    }

    /// Whether nothing of what is below all layers would show through here.
    pub(crate) fn hides_lower(&self) -> bool {
        self.hides_lower
    }

    /// Whether no layer describes this directory: it is only there for what is in it.
    pub(crate) fn is_implied(&self) -> bool {
        self.parts.iter().all(|part| part.entry.implied)
    }

    /// All entries of a directory, and the names that are hidden in what is below all layers: those have nothing.
    pub(crate) fn entries_and_whiteouts(&self) -> Result<Names<'v>> {
        let mut merged: BTreeMap<Box<[u8]>, Merge> = BTreeMap::new();
        for part in &self.parts {
            for (name, entry) in self.tree(part).read_dir(&part.entry.node)? {
                merged.entry(name).or_default().push(part.layer, entry);
            }
        }
        let entries = merged.into_iter();
        let entries = entries.map(|(name, merge)| (name, merge.into_node(self.view)));
        Ok(entries.collect())
    }

    /// The entry as one of a plan, without regard to other names that it may have.
    pub fn planned(&self) -> Result<PlannedNode> {
        Ok(match self.kind {
            EntryKind::Directory => PlannedNode::Directory { opaque: false },
            EntryKind::File => {
                let source = self.file()?;
                let expected = match &source {
                    FileSource::Range(range) => Some(range.digest),
                    _ => None,
                };
                PlannedNode::File(PlannedFile { source, expected })
            }
            EntryKind::Symlink => PlannedNode::Symlink(self.link_target()?),
            EntryKind::Char => {
                let (major, minor) = self.device()?;
                PlannedNode::Char { major, minor }
            }
            EntryKind::Block => {
                let (major, minor) = self.device()?;
                PlannedNode::Block { major, minor }
            }
            EntryKind::Fifo => PlannedNode::Fifo,
            EntryKind::Whiteout => PlannedNode::Whiteout,
        })
    }

    /// The digest of the entry with its metadata and all below it, times left out. It is the same for the same
    /// files, however they are spread over layers; only where hard links of one file reach out of what is digested,
    /// or span it differently in their layers, it may differ for the same files.
    ///
    /// Directories to which one sealed layer contributes are not read: their digest is in its index.
    pub fn content_digest(&self) -> Result<ContentDigest> {
        let mut digest = self.digest_at_once()?;
        let mut stack = Vec::new();
        if digest.is_none() {
            stack.push(Open::new(self.clone(), Box::default())?);
        }
        // With a stack of its own, so that the depth of the tree costs none of the thread's.
        while let Some(open) = stack.last_mut() {
            if let Some((name, child)) = open.entries.next() {
                match child.digest_at_once()? {
                    Some(digest) => child.add_to(&name, digest, &mut open.hasher)?,
                    None => stack.push(Open::new(child, name)?),
                }
                continue;
            }
            let finished = open.hasher.finish();
            let Some(open) = stack.pop() else { break };
            match stack.last_mut() {
                Some(parent) => open.node.add_to(&open.name, finished, &mut parent.hasher)?,
                None => digest = Some(finished),
            }
        }
        let digest = digest.unwrap_or(NO_DIGEST);
        self.with_entry(b"", digest, merkle::tree_digest)
    }

    /// A digest that needs no listing: of anything but a directory that several layers, or one that refers to lower
    /// ones, contribute to. What has none counts as zeros.
    fn digest_at_once(&self) -> Result<Option<ContentDigest>> {
        match (self.kind, self.parts.as_slice()) {
            (EntryKind::File, _) => self.file()?.digest().map(Some),
            (EntryKind::Directory, [part]) if part.entry.plain => {
                self.tree(part).directory_digest(&part.entry.node)
            }
            (EntryKind::Directory, _) => Ok(None),
            _ => Ok(Some(NO_DIGEST)),
        }
    }

    fn add_to(
        &self,
        name: &[u8],
        digest: ContentDigest,
        hasher: &mut DirectoryHasher,
    ) -> Result<()> {
        self.with_entry(name, digest, |entry| hasher.add(entry))
    }

    fn with_entry<T>(
        &self,
        name: &[u8],
        digest: ContentDigest,
        take: impl FnOnce(&merkle::Entry<'_>) -> T,
    ) -> Result<T> {
        let metadata = self.metadata()?;
        let target;
        let content = match self.kind {
            EntryKind::Directory => Content::Directory {
                digest,
                opaque: false,
                implied: false,
            },
            EntryKind::File => Content::File(digest),
            EntryKind::Symlink => {
                target = self.link_target()?;
                Content::Symlink(&target)
            }
            EntryKind::Char => {
                let (major, minor) = self.device()?;
                Content::Char(major, minor)
            }
            EntryKind::Block => {
                let (major, minor) = self.device()?;
                Content::Block(major, minor)
            }
            EntryKind::Fifo => Content::Fifo,
            EntryKind::Whiteout => Content::Whiteout,
        };
        let link = match (self.kind, self.parts.first()) {
            (EntryKind::Directory, _) | (_, None) => None,
            (_, Some(part)) => self.tree(part).first_path(&part.entry.node)?,
        };
        Ok(take(&merkle::Entry {
            name,
            metadata: &metadata,
            content,
            link: link.as_ref().map_or(b"", LayerPath::as_bytes),
        }))
    }

    fn tree(&self, part: &Part) -> &'v dyn LayerTree {
        &*self.view.layers[part.layer]
    }

    /// The layer that has it. A directory without any is only the empty view's root, which is no file.
    fn part(&self) -> Result<&Part> {
        let part = self.parts.first();
        part.ok_or_else(|| crate::IndexProblem::Kind.into())
    }
}

/// A directory whose entries are being digested.
struct Open<'v> {
    name: Box<[u8]>,
    node: ViewNode<'v>,
    entries: std::vec::IntoIter<(Box<[u8]>, ViewNode<'v>)>,
    hasher: DirectoryHasher,
}

impl<'v> Open<'v> {
    fn new(node: ViewNode<'v>, name: Box<[u8]>) -> Result<Self> {
        Ok(Self {
            name,
            entries: node.entries()?.into_iter(),
            node,
            hasher: DirectoryHasher::new(),
        })
    }
}

/// What layers have under one name, highest first.
#[derive(Default)]
struct Merge {
    parts: Vec<Part>,
    /// Lower layers have nothing to add.
    complete: bool,
}

impl Merge {
    fn push(&mut self, layer: usize, entry: TreeEntry) {
        if self.complete {
            return;
        }
        match entry.kind {
            EntryKind::Directory => {
                self.complete = entry.opaque;
                self.parts.push(Part { layer, entry });
            }
            // Hides what is below; below a directory it is itself hidden, and hides what is further below.
            kind => {
                self.complete = true;
                if self.parts.is_empty() && kind != EntryKind::Whiteout {
                    self.parts.push(Part { layer, entry });
                }
            }
        }
    }

    fn into_node(self, view: &View) -> Option<ViewNode<'_>> {
        let kind = self.parts.first()?.entry.kind;
        Some(ViewNode {
            view,
            kind,
            parts: self.parts,
            hides_lower: self.complete,
        })
    }
}

/// The components of a path as written, without empty ones and `.`.
fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|component| !matches!(*component, b"" | b"."))
}
