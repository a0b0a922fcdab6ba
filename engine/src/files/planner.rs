//! Decides what the layer of a `COPY`, `ADD` or `WORKDIR` holds, given the root file system it goes on.
//!
//! The rules are those of BuildKit's copier (`fsutil/copy`): directories are merged and their metadata taken over from
//! the source below the top; a file replaces anything but a directory; a directory replaces nothing but itself; links
//! on the way to the destination are followed beneath the root, links at the end of it are replaced.
//! Directories on the way are part of the layer with the metadata they have, as they are in one made by overlayfs.

mod plan;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use frontend::chmod::Chmod;
use layer::{
    ContentDigest, LayerPath, Metadata, PlannedEntry, PlannedFile, PlannedNode, Timestamp, View,
};
use solver::KeyWriter;

use self::plan::{Plan, Walk, What};
use super::node::{Kind, LinkId, Node, encode_metadata};
use super::resolve::{Standing, display, ends_of_components, layer_path, parent_of, resolve};
use super::select::join;
use crate::error::FileError;

/// What a layer that is to fit any base is planned on.
pub(crate) static NOTHING: LazyLock<View> = LazyLock::new(|| View::new(Vec::new()));

/// Who owns what a copy creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A layer in the making.
pub(crate) struct Planner<'a> {
    plan: Plan<'a>,
    /// Set on everything copied and made; `None` keeps the source's owner and makes directories for root.
    owner: Option<Owner>,
    /// Time of directories that are made.
    now: Timestamp,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(
        base: &'a View,
        owner: Option<Owner>,
        mode: Option<Chmod>,
        now: Timestamp,
    ) -> Self {
        Self {
            plan: Plan::new(base, mode),
            owner,
            now,
        }
    }

    /// Changes who owns what is copied and made from here on.
    pub(crate) fn set_owner(&mut self, owner: Option<Owner>) {
        self.owner = owner;
    }

    /// Copies one selected file or directory to `dest` (absolute; a trailing `/` says that it is a directory).
    /// `name` is the file's own name, for a destination that is a directory.
    pub(crate) fn copy(
        &mut self,
        name: &[u8],
        node: &'a Node,
        dest: &[u8],
    ) -> Result<(), FileError> {
        let trailing = dest.ends_with(b"/") || dest.ends_with(b"/.");
        let parent = if trailing { dest } else { parent_of(dest) };
        let parent = self.resolve(parent)?;
        self.make_directories(&parent)?;
        let target = self.resolve(dest)?;
        // A link at the end of the destination may have led elsewhere.
        self.make_directories(parent_of(&target))?;
        let target = self.target_of(name, node, target)?;
        self.plan.begin_copy(self.owner);
        self.place(node, &target, false)
    }

    /// Where a node goes when `target` is the destination with its links followed.
    fn target_of(
        &mut self,
        name: &[u8],
        node: &Node,
        target: Vec<u8>,
    ) -> Result<Vec<u8>, FileError> {
        let exists = self.plan.standing(&target)?;
        if node.is_dir() {
            if matches!(exists, Standing::Nothing) {
                self.make_directories(&target)?;
            }
            return Ok(target);
        }
        Ok(match exists {
            Standing::Directory => {
                self.plan.open(&target)?;
                join(&target, name)
            }
            _ => target,
        })
    }

    /// Makes `path` (absolute) and what is missing above it, links followed.
    pub(crate) fn make_directory(&mut self, path: &[u8]) -> Result<(), FileError> {
        let path = self.resolve(path)?;
        self.make_directories(&path)
    }

    /// Makes every missing directory down to `path`; those that exist become part of the layer as they are.
    fn make_directories(&mut self, path: &[u8]) -> Result<(), FileError> {
        for end in ends_of_components(path) {
            let path = &path[..end];
            match self.plan.standing(path)? {
                Standing::Directory => {
                    self.plan.open(path)?;
                }
                Standing::Nothing => {
                    let owner = self.owner.unwrap_or(Owner { uid: 0, gid: 0 });
                    let metadata = Metadata {
                        mode: 0o755,
                        uid: owner.uid,
                        gid: owner.gid,
                        mtime: self.now,
                        xattrs: Vec::new(),
                    };
                    self.plan.put_directory(path, metadata)?;
                }
                Standing::Symlink(_) | Standing::Other => {
                    return Err(FileError::NotADirectory(display(path)));
                }
            }
        }
        Ok(())
    }

    /// What is copied to where nothing is stays whole.
    fn place(
        &mut self,
        node: &'a Node,
        target: &[u8],
        take_metadata: bool,
    ) -> Result<(), FileError> {
        match (&node.kind, self.plan.standing(target)?) {
            (Kind::Directory(children), Standing::Directory) => {
                if node.passed {
                    self.plan.open(target)?.metadata.mode = node.metadata.mode;
                } else if take_metadata {
                    self.plan.put_copied_directory(target, node)?;
                } else {
                    self.plan.open(target)?;
                }
                children
                    .iter()
                    .try_for_each(|(name, child)| self.place(child, &join(target, name), true))
            }
            (Kind::Directory(_), Standing::Symlink(_) | Standing::Other) => {
                Err(FileError::DirectoryOverFile(display(target)))
            }
            (_, Standing::Directory) => Err(FileError::FileOverDirectory(display(target))),
            (_, Standing::Nothing | Standing::Symlink(_) | Standing::Other) => {
                self.plan.put(target, node)
            }
        }
    }

    /// Unpacks an archive's tree at `dest`, as `tar` does: an entry replaces what stands in its place, a directory is
    /// merged with a directory. Directories that the archive only implies are followed where they are links.
    pub(crate) fn unpack(
        &mut self,
        tree: &'a Node,
        dest: &[u8],
        implied: &HashSet<Vec<u8>>,
    ) -> Result<(), FileError> {
        self.plan.begin_copy(self.owner);
        let target = self.resolve(dest)?;
        self.make_directories(&target)?;
        if let Kind::Directory(children) = &tree.kind {
            if !target.is_empty() && !implied.contains(&b""[..]) {
                self.plan.put_copied_directory(&target, tree)?;
            }
            for (name, child) in children {
                self.unpack_entry(child, name, join(&target, name), implied)?;
            }
        }
        Ok(())
    }

    fn unpack_entry(
        &mut self,
        node: &'a Node,
        path: &[u8],
        target: Vec<u8>,
        implied: &HashSet<Vec<u8>>,
    ) -> Result<(), FileError> {
        let Kind::Directory(children) = &node.kind else {
            return self.plan.put(&target, node);
        };
        let target = if implied.contains(path) {
            let target = self.resolve(&target)?;
            self.make_directories(&target)?;
            target
        } else {
            self.plan.put_copied_directory(&target, node)?;
            target
        };
        for (name, child) in children {
            self.unpack_entry(child, &join(path, name), join(&target, name), implied)?;
        }
        Ok(())
    }

    fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, FileError> {
        resolve(path, |path| self.plan.standing(path))
    }

    /// The digest of everything that decides the layer's content.
    pub(crate) fn content(&self) -> ContentDigest {
        let mut key = KeyWriter::new("rbuild layer plan", 2);
        let mut groups: HashMap<(usize, LinkId), Vec<u8>> = HashMap::new();
        let mut walk = self.plan.walk();
        while let Some((path, metadata, what)) = walk.next() {
            key.bytes(path);
            encode_metadata(&metadata, &mut key);
            let What::Other(kind, copy) = what else {
                key.number(0);
                continue;
            };
            match kind {
                Kind::File(file) => {
                    key.number(1)
                        .number(file.size)
                        .bytes(file.digest.as_bytes());
                    match &file.link {
                        Some(link) => {
                            let first = groups.entry((copy, **link));
                            key.bytes(first.or_insert_with(|| path.to_vec()))
                        }
                        None => key.bytes(path),
                    }
                }
                Kind::Symlink(to) => key.number(3).bytes(to),
                Kind::Character(major, minor) => key
                    .number(4)
                    .number(u64::from(*major))
                    .number(u64::from(*minor)),
                Kind::Block(major, minor) => key
                    .number(5)
                    .number(u64::from(*major))
                    .number(u64::from(*minor)),
                Kind::Fifo => key.number(6),
                Kind::Directory(_) => key.number(0),
            };
        }
        ContentDigest::from_bytes(key.finish())
    }

    /// The layer's entries, in their order, for the writer.
    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries {
            walk: self.plan.walk(),
            groups: HashMap::new(),
        }
    }
}

/// The entries of a planned layer, made one by one.
pub(crate) struct Entries<'p> {
    walk: Walk<'p>,
    /// The first names of files that have several.
    groups: HashMap<(usize, LinkId), LayerPath>,
}

impl Iterator for Entries<'_> {
    type Item = Result<PlannedEntry, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (path, metadata, what) = self.walk.next()?;
        let path = match layer_path(path) {
            Ok(path) => path,
            Err(error) => return Some(Err(error)),
        };
        let node = match what {
            What::Directory | What::Other(Kind::Directory(_), _) => {
                PlannedNode::Directory { opaque: false }
            }
            What::Other(Kind::File(file), copy) => {
                let link = file.link.as_ref();
                match link.map(|link| self.groups.entry((copy, **link))) {
                    Some(Entry::Occupied(first)) => PlannedNode::HardLink(first.get().clone()),
                    group => {
                        if let Some(Entry::Vacant(group)) = group {
                            group.insert(path.clone());
                        }
                        PlannedNode::File(PlannedFile {
                            source: file.source(),
                            expected: Some(file.digest),
                        })
                    }
                }
            }
            What::Other(Kind::Symlink(to), _) => PlannedNode::Symlink(to.to_vec()),
            What::Other(&Kind::Character(major, minor), _) => PlannedNode::Char { major, minor },
            What::Other(&Kind::Block(major, minor), _) => PlannedNode::Block { major, minor },
            What::Other(Kind::Fifo, _) => PlannedNode::Fifo,
        };
        Some(Ok(PlannedEntry {
            path,
            metadata,
            node,
        }))
    }
}

#[cfg(test)]
mod tests;
