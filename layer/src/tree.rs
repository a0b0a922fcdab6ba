//! A layer's entries in memory, while its index is being made.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::ContentDigest;
use crate::entry::EntryKind;
use crate::metadata::Metadata;
use crate::path::LayerPath;
use crate::source::Extent;

/// Names an inode of a [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct InodeId(u32);

/// A name's bytes.
pub(crate) type Name = Box<[u8]>;

/// All inodes; those that no directory names any more stay, but belong to nothing.
#[derive(Debug)]
pub(crate) struct Tree {
    inodes: Vec<Inode>,
}

/// A file, directory or the like.
#[derive(Debug, Clone)]
pub(crate) struct Inode {
    pub(crate) metadata: Metadata,
    pub(crate) node: Node,
}

/// What an inode is.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Directory(Box<Directory>),
    File(Data),
    Symlink(Box<[u8]>),
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
    Whiteout,
}

/// The entries of a directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    pub(crate) children: BTreeMap<Name, InodeId>,
    /// Names of lower layers that are hidden, until [`Tree::settle_whiteouts`].
    pub(crate) whiteouts: BTreeSet<Name>,
    pub(crate) opaque: bool,
    /// Nothing describes it; it only must exist.
    pub(crate) implied: bool,
}

/// The bytes of a regular file.
#[derive(Debug, Clone)]
pub(crate) struct Data {
    pub(crate) size: u64,
    pub(crate) digest: ContentDigest,
    pub(crate) extents: Extents,
}

/// Where in the tar a file's bytes are.
#[derive(Debug, Clone)]
pub(crate) enum Extents {
    /// All of them from this position on.
    Contiguous(u64),
    /// Some are holes.
    Sparse(Box<[Extent]>),
}

/// Which inodes a tree has, where they stand and what their digests are.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Reachable inodes: each directory before what is in it, the entries of one directory together.
    pub(crate) order: Vec<InodeId>,
    /// By inode: how many names it has (a directory: how many subdirectories).
    pub(crate) links: Vec<u32>,
    /// By inode: the directory that a directory is in.
    pub(crate) parents: Vec<InodeId>,
    /// The first path of each file that has several.
    pub(crate) first_paths: BTreeMap<InodeId, LayerPath>,
}

impl Tree {
    /// Only a root that nothing describes.
    pub(crate) fn new() -> Self {
        Self {
            inodes: vec![Inode::implied_directory()],
        }
    }

    pub(crate) const fn root() -> InodeId {
        InodeId(0)
    }

    /// How many inodes were ever made.
    pub(crate) fn len(&self) -> usize {
        self.inodes.len()
    }

    pub(crate) fn get(&self, id: InodeId) -> &Inode {
        &self.inodes[id.index()]
    }

    pub(crate) fn get_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id.index()]
    }

    /// The entries of a directory; `None` for anything else.
    pub(crate) fn directory(&self, id: InodeId) -> Option<&Directory> {
        match &self.get(id).node {
            Node::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// As [`Tree::directory`].
    pub(crate) fn directory_mut(&mut self, id: InodeId) -> Option<&mut Directory> {
        match &mut self.get_mut(id).node {
            Node::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// What is called `name` in a directory.
    pub(crate) fn child(&self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        self.directory(directory)?.children.get(name).copied()
    }

    /// Adds an inode that has no name yet.
    pub(crate) fn add(&mut self, inode: Inode) -> InodeId {
        // Limits on the number of entries are far below 2^32.
        let id = InodeId(self.inodes.len() as u32);
        self.inodes.push(inode);
        id
    }

    /// Gives an inode a name, which what had it before loses.
    pub(crate) fn link(&mut self, directory: InodeId, name: &[u8], inode: InodeId) {
        if let Some(directory) = self.directory_mut(directory) {
            directory.children.insert(name.into(), inode);
        }
    }

    /// The directory called `name`, made as an implied one where there is nothing; `None` where something else is.
    pub(crate) fn subdirectory(&mut self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        if let Some(id) = self.child(directory, name) {
            return self.directory(id).map(|_| id);
        }
        let id = self.add(Inode::implied_directory());
        self.link(directory, name, id);
        Some(id)
    }

    /// Turns recorded whiteouts into inodes. One that has the name of an entry of this layer only says that a
    /// directory of that name is not merged with lower ones.
    pub(crate) fn settle_whiteouts(&mut self) {
        for at in 0..self.inodes.len() {
            let Node::Directory(directory) = &mut self.inodes[at].node else {
                continue;
            };
            let directory_id = InodeId(at as u32);
            for name in std::mem::take(&mut directory.whiteouts) {
                match self.child(directory_id, &name) {
                    None => {
                        let whiteout = self.add(Inode::whiteout());
                        self.link(directory_id, &name, whiteout);
                    }
                    Some(child) => {
                        if let Some(child) = self.directory_mut(child) {
                            child.opaque = true;
                        }
                    }
                }
            }
        }
    }

    /// Finds every inode that has a name.
    pub(crate) fn survey(&self) -> Survey {
        let mut survey = Survey {
            order: vec![Self::root()],
            links: vec![0; self.inodes.len()],
            parents: vec![Self::root(); self.inodes.len()],
            first_paths: BTreeMap::new(),
        };
        let mut linked = false;
        let mut next = 0;
        while let Some(&id) = survey.order.get(next) {
            next += 1;
            let Some(directory) = self.directory(id) else {
                continue;
            };
            for &child in directory.children.values() {
                if self.directory(child).is_some() {
                    survey.links[id.index()] += 1;
                    survey.parents[child.index()] = id;
                    survey.order.push(child);
                    continue;
                }
                let links = &mut survey.links[child.index()];
                *links += 1;
                if *links == 1 {
                    survey.order.push(child);
                } else {
                    linked = true;
                }
            }
        }
        if linked {
            self.find_first_paths(&mut survey);
        }
        survey
    }

    /// Walks in the order of paths for the first name of every file that has several.
    fn find_first_paths(&self, survey: &mut Survey) {
        let mut pending = vec![(Self::root(), LayerPath::root())];
        while let Some((id, path)) = pending.pop() {
            let Some(directory) = self.directory(id) else {
                if survey.links[id.index()] > 1 {
                    survey.first_paths.entry(id).or_insert(path);
                }
                continue;
            };
            for (name, &child) in directory.children.iter().rev() {
                // Paths were checked when their entries were made.
                if let Ok(path) = path.join(name) {
                    pending.push((child, path));
                }
            }
        }
    }

    /// Paths of the directories that only must exist, in order.
    pub(crate) fn implied_directories(&self) -> Vec<LayerPath> {
        let mut implied = Vec::new();
        let mut pending = vec![(Self::root(), LayerPath::root())];
        while let Some((id, path)) = pending.pop() {
            let Some(directory) = self.directory(id) else {
                continue;
            };
            for (name, &child) in directory.children.iter().rev() {
                if self.directory(child).is_some()
                    && let Ok(path) = path.join(name)
                {
                    pending.push((child, path));
                }
            }
            if directory.implied {
                implied.push(path);
            }
        }
        implied
    }
}

impl InodeId {
    /// Its place in vectors by inode.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Inode {
    pub(crate) fn new(mut metadata: Metadata, node: Node) -> Self {
        metadata.normalise();
        match node {
            // Linux has no permissions on links.
            Node::Symlink(_) => metadata.mode = 0o777,
            Node::Whiteout => metadata = Metadata::default(),
            _ => {}
        }
        Self { metadata, node }
    }

    pub(crate) fn implied_directory() -> Self {
        Self {
            metadata: Metadata::implied(),
            node: Node::Directory(Box::new(Directory {
                implied: true,
                ..Directory::default()
            })),
        }
    }

    fn whiteout() -> Self {
        Self::new(Metadata::default(), Node::Whiteout)
    }

    pub(crate) fn kind(&self) -> EntryKind {
        match self.node {
            Node::Directory(_) => EntryKind::Directory,
            Node::File(_) => EntryKind::File,
            Node::Symlink(_) => EntryKind::Symlink,
            Node::Char(..) => EntryKind::Char,
            Node::Block(..) => EntryKind::Block,
            Node::Fifo => EntryKind::Fifo,
            Node::Whiteout => EntryKind::Whiteout,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn file() -> Inode {
        Inode::new(
            Metadata::default(),
            Node::File(Data {
                size: 0,
                digest: ContentDigest::of(b""),
                extents: Extents::Contiguous(0),
            }),
        )
    }

    #[test]
    fn a_survey_meets_parents_first_and_names_links_by_their_first_path() {
        let mut tree = Tree::new();
        let linked = tree.add(file());
        tree.link(Tree::root(), b"z", linked);
        let a = tree.subdirectory(Tree::root(), b"a").unwrap();
        let b = tree.subdirectory(a, b"b").unwrap();
        tree.link(b, b"x", linked);
        let lost = tree.add(file());
        let survey = tree.survey();
        assert_eq!(survey.order, [Tree::root(), a, linked, b]);
        assert!(!survey.order.contains(&lost));
        assert_eq!(survey.links[linked.index()], 2);
        assert_eq!(survey.links[Tree::root().index()], 1);
        assert_eq!(survey.parents[b.index()], a);
        let first = LayerPath::new(b"a/b/x").unwrap();
        assert_eq!(survey.first_paths[&linked], first);
        assert_eq!(tree.subdirectory(b, b"x"), None);
        let implied = tree.implied_directories();
        let expected = ["", "a", "a/b"].map(|path| LayerPath::new(path.as_bytes()).unwrap());
        assert_eq!(implied, expected);
    }

    #[test]
    fn a_whiteout_beside_an_entry_makes_it_opaque_or_goes() {
        let mut tree = Tree::new();
        let a = tree.subdirectory(Tree::root(), b"a").unwrap();
        let b = tree.add(file());
        tree.link(Tree::root(), b"b", b);
        for name in [b"a", b"b", b"c"] {
            let root = tree.directory_mut(Tree::root()).unwrap();
            root.whiteouts.insert(name.as_slice().into());
        }
        tree.settle_whiteouts();
        assert!(tree.directory(a).unwrap().opaque);
        assert_eq!(tree.child(Tree::root(), b"b"), Some(b));
        let c = tree.child(Tree::root(), b"c").unwrap();
        assert_eq!(tree.get(c).kind(), EntryKind::Whiteout);
    }
}
