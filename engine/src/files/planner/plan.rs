//! What a layer will hold: directories that were made or merged and, below them, whole trees as they were copied.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::{Entry, Iter};
use std::slice;

use frontend::chmod::Chmod;
use layer::{Metadata, View};

use super::Owner;
use crate::error::FileError;
use crate::files::node::{Child, Kind, Node};
use crate::files::resolve::{
    Standing, display, ends_of_components, layer_path, parent_of, standing,
};
use crate::files::select::base_name;

/// What is planned under a name.
enum Planned<'a> {
    Directory(Directory<'a>),
    /// A file, or a tree that nothing else was put into, and the number of the copy that brings it.
    Copied(&'a Node, usize),
}

/// A directory that is the base's, is made, or has what several copies bring.
#[derive(Default)]
pub(super) struct Directory<'a> {
    pub(super) metadata: Metadata,
    children: BTreeMap<Cow<'a, [u8]>, Planned<'a>>,
}

/// A layer in the making.
pub(super) struct Plan<'a> {
    base: &'a View,
    /// No entry of the layer: containers have the root of their own directory.
    root: Directory<'a>,
    changes: Changes,
}

/// What copies change of the metadata of what they bring.
struct Changes {
    mode: Option<Chmod>,
    /// By copy; `None` keeps the source's owner.
    owners: Vec<Option<Owner>>,
}

impl Changes {
    fn apply(&self, node: &Node, copy: usize) -> Metadata {
        let mut metadata = node.metadata.clone();
        if let Some(owner) = self.owners[copy] {
            metadata.uid = owner.uid;
            metadata.gid = owner.gid;
        }
        if let Some(chmod) = &self.mode
            && !matches!(node.kind, Kind::Symlink(_))
        {
            metadata.mode = chmod.apply(metadata.mode, node.is_dir());
        }
        metadata
    }
}

impl<'a> Plan<'a> {
    /// Nothing yet. Everything copied gets `mode`.
    pub(super) fn new(base: &'a View, mode: Option<Chmod>) -> Self {
        Self {
            base,
            root: Directory::default(),
            changes: Changes {
                mode,
                owners: Vec::new(),
            },
        }
    }

    /// Begins a copy, which all nodes belong to until the next.
    pub(super) fn begin_copy(&mut self, owner: Option<Owner>) {
        self.changes.owners.push(owner);
    }

    /// What stands at a path, planned or of the base.
    pub(super) fn standing(&self, path: &[u8]) -> Result<Standing, FileError> {
        match self.planned(path) {
            Some(planned) => Ok(planned),
            None => standing(self.base, path),
        }
    }

    fn planned(&self, path: &[u8]) -> Option<Standing> {
        let mut names = names(path);
        let mut directory = &self.root;
        for name in names.by_ref() {
            match directory.children.get(name)? {
                Planned::Directory(next) => directory = next,
                Planned::Copied(node, _) => return standing_in(node, names),
            }
        }
        Some(Standing::Directory)
    }

    /// Puts a node with all below it at a path, in the place of whatever is planned there.
    pub(super) fn put(&mut self, path: &[u8], node: &'a Node) -> Result<(), FileError> {
        let planned = Planned::Copied(node, self.changes.owners.len() - 1);
        self.insert(path, planned)
    }

    /// Puts a directory at a path, in the place of anything but a directory, which keeps what it has.
    pub(super) fn put_directory(
        &mut self,
        path: &[u8],
        metadata: Metadata,
    ) -> Result<(), FileError> {
        if !matches!(self.planned(path), Some(Standing::Directory)) {
            self.insert(path, Planned::Directory(Directory::default()))?;
        }
        self.open(path)?.metadata = metadata;
        Ok(())
    }

    /// Puts a node's directory at a path, without what is in it.
    pub(super) fn put_copied_directory(
        &mut self,
        path: &[u8],
        node: &Node,
    ) -> Result<(), FileError> {
        let metadata = self.changes.apply(node, self.changes.owners.len() - 1);
        self.put_directory(path, metadata)
    }

    fn insert(&mut self, path: &[u8], planned: Planned<'a>) -> Result<(), FileError> {
        let directory = self.open(parent_of(path))?;
        let name = base_name(path).to_vec().into();
        directory.children.insert(name, planned);
        Ok(())
    }

    /// The directory at a path. It and those above it become part of the layer, as the base has them.
    pub(super) fn open(&mut self, path: &[u8]) -> Result<&mut Directory<'a>, FileError> {
        let mut directory = &mut self.root;
        let mut start = 0;
        for end in ends_of_components(path) {
            let name = Cow::Owned(path[start..end].to_vec());
            start = end + 1;
            let no_directory = || FileError::NotADirectory(display(&path[..end]));
            let planned = match directory.children.entry(name) {
                Entry::Occupied(planned) => planned.into_mut(),
                Entry::Vacant(place) => {
                    let found = self.base.lookup(&layer_path(&path[..end])?)?;
                    let metadata = found.ok_or_else(no_directory)?.metadata()?;
                    place.insert(Planned::Directory(Directory {
                        metadata,
                        children: BTreeMap::new(),
                    }))
                }
            };
            if let Planned::Copied(node, copy) = *planned
                && let Kind::Directory(children) = &node.kind
            {
                let children = children.iter();
                *planned = Planned::Directory(Directory {
                    metadata: self.changes.apply(node, copy),
                    children: children
                        .map(|(name, child)| (name[..].into(), Planned::Copied(child, copy)))
                        .collect(),
                });
            }
            let Planned::Directory(next) = planned else {
                return Err(no_directory());
            };
            directory = next;
        }
        Ok(directory)
    }

    /// Goes through all entries, in the order of a layer's paths.
    pub(super) fn walk(&self) -> Walk<'_> {
        Walk {
            changes: &self.changes,
            path: Vec::new(),
            open: vec![Level {
                path: 0,
                rest: Rest::Planned(self.root.children.iter()),
            }],
        }
    }
}

/// What an entry is.
#[derive(Clone, Copy)]
pub(super) enum What<'p> {
    Directory,
    /// What the node is, which is no directory, and the number of its copy: only names of one copy are linked.
    Other(&'p Kind, usize),
}

/// On its way through a plan.
pub(super) struct Walk<'p> {
    changes: &'p Changes,
    path: Vec<u8>,
    /// The directories from the root down to the one that is being listed.
    open: Vec<Level<'p>>,
}

struct Level<'p> {
    /// How long its path is.
    path: usize,
    rest: Rest<'p>,
}

/// What is still to come of a directory.
enum Rest<'p> {
    Planned(Iter<'p, Cow<'p, [u8]>, Planned<'p>>),
    Copied(slice::Iter<'p, Child>, usize),
}

/// Something in a directory.
enum Met<'p> {
    Directory(&'p Directory<'p>),
    Node(&'p Node, usize),
}

impl<'p> Walk<'p> {
    /// The next entry: its path, its metadata and what it is.
    pub(super) fn next(&mut self) -> Option<(&[u8], Metadata, What<'p>)> {
        let (name, met) = loop {
            let level = self.open.last_mut()?;
            self.path.truncate(level.path);
            if let Some(met) = level.rest.next() {
                break met;
            }
            self.open.pop();
        };
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        let mut enter = |rest| {
            let path = self.path.len();
            self.open.push(Level { path, rest });
        };
        let (metadata, what) = match met {
            Met::Directory(directory) => {
                enter(Rest::Planned(directory.children.iter()));
                (directory.metadata.clone(), What::Directory)
            }
            Met::Node(node, copy) => {
                let what = match &node.kind {
                    Kind::Directory(children) => {
                        enter(Rest::Copied(children.iter(), copy));
                        What::Directory
                    }
                    kind => What::Other(kind, copy),
                };
                (self.changes.apply(node, copy), what)
            }
        };
        Some((&self.path, metadata, what))
    }
}

impl<'p> Iterator for Rest<'p> {
    type Item = (&'p [u8], Met<'p>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Planned(rest) => rest.next().map(|(name, planned)| match planned {
                Planned::Directory(directory) => (&**name, Met::Directory(directory)),
                Planned::Copied(node, copy) => (&**name, Met::Node(node, *copy)),
            }),
            Self::Copied(rest, copy) => {
                let next = rest.next();
                next.map(|(name, node)| (&**name, Met::Node(node, *copy)))
            }
        }
    }
}

/// The names of a path of a layer.
fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
}

/// What stands below a node, as names lead to it.
fn standing_in<'n>(node: &Node, names: impl Iterator<Item = &'n [u8]>) -> Option<Standing> {
    let mut node = node;
    for name in names {
        let Kind::Directory(children) = &node.kind else {
            return None;
        };
        let at = children
            .binary_search_by(|(own, _)| (**own).cmp(name))
            .ok()?;
        node = &children[at].1;
    }
    Some(match &node.kind {
        Kind::Directory(_) => Standing::Directory,
        Kind::Symlink(target) => Standing::Symlink(target.to_vec()),
        _ => Standing::Other,
    })
}
