//! Decides what the layer of a `COPY`, `ADD` or `WORKDIR` holds, given the root file system it goes on.
//!
//! The rules are those of BuildKit's copier (`fsutil/copy`): directories are merged and their metadata taken over from
//! the source below the top; a file replaces anything but a directory; a directory replaces nothing but itself; links
//! on the way to the destination are followed beneath the root, links at the end of it are replaced.
//! Directories on the way are part of the layer with the metadata they have, as they are in one made by overlayfs.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use frontend::chmod::Chmod;
use layer::{
    ContentDigest, LayerPath, Metadata, PlannedEntry, PlannedFile, PlannedNode, Timestamp, View,
};
use solver::KeyWriter;

use super::node::{File, Kind, LinkId, Node, encode_metadata};
use super::resolve::{
    Standing, display, ends_of_components, layer_path, parent_of, resolve, standing,
};
use super::select::join;
use crate::error::FileError;

/// Who owns what a copy creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What is planned at a path.
#[derive(Debug, Clone)]
pub(crate) enum Planned {
    Directory,
    /// A file, and the number of the copy that it belongs to: only names of one copy are linked.
    File(File, usize),
    Symlink(Box<[u8]>),
    Character(u32, u32),
    Block(u32, u32),
    Fifo,
}

/// A layer in the making.
pub(crate) struct Planner<'a> {
    base: &'a View,
    entries: BTreeMap<Vec<u8>, (Metadata, Planned)>,
    /// Set on everything copied and made; `None` keeps the source's owner and makes directories for root.
    owner: Option<Owner>,
    /// Mode of everything copied.
    mode: Option<Chmod>,
    /// Time of directories that are made.
    now: Timestamp,
    /// How many copies were made.
    copies: usize,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(
        base: &'a View,
        owner: Option<Owner>,
        mode: Option<Chmod>,
        now: Timestamp,
    ) -> Self {
        Self {
            base,
            entries: BTreeMap::new(),
            owner,
            mode,
            now,
            copies: 0,
        }
    }

    /// Changes who owns what is copied and made from here on.
    pub(crate) fn set_owner(&mut self, owner: Option<Owner>) {
        self.owner = owner;
    }

    /// Copies one selected file or directory to `dest` (absolute; a trailing `/` says that it is a directory).
    /// `name` is the file's own name, for a destination that is a directory.
    pub(crate) fn copy(&mut self, name: &[u8], node: &Node, dest: &[u8]) -> Result<(), FileError> {
        let trailing = dest.ends_with(b"/") || dest.ends_with(b"/.");
        let parent = if trailing { dest } else { parent_of(dest) };
        let parent = self.resolve(parent)?;
        self.make_directories(&parent)?;
        let target = self.resolve(dest)?;
        // A link at the end of the destination may have led elsewhere.
        self.make_directories(parent_of(&target))?;
        let target = self.target_of(name, node, target)?;
        self.copies += 1;
        self.place(node, &target, false)
    }

    /// Where a node goes when `target` is the destination with its links followed.
    fn target_of(
        &mut self,
        name: &[u8],
        node: &Node,
        target: Vec<u8>,
    ) -> Result<Vec<u8>, FileError> {
        let exists = self.standing(&target)?;
        if node.is_dir() {
            if matches!(exists, Standing::Nothing) {
                self.make_directories(&target)?;
            }
            return Ok(target);
        }
        Ok(match exists {
            Standing::Directory => {
                self.keep_directory(&target)?;
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
            match self.standing(path)? {
                Standing::Directory => self.keep_directory(path)?,
                Standing::Nothing => {
                    let owner = self.owner.unwrap_or(Owner { uid: 0, gid: 0 });
                    let metadata = Metadata {
                        mode: 0o755,
                        uid: owner.uid,
                        gid: owner.gid,
                        mtime: self.now,
                        xattrs: Vec::new(),
                    };
                    self.entries
                        .insert(path.to_vec(), (metadata, Planned::Directory));
                }
                Standing::Symlink(_) | Standing::Other => {
                    return Err(FileError::NotADirectory(display(path)));
                }
            }
        }
        Ok(())
    }

    /// Has the directories down to and with `path` in the layer as the base has them.
    fn keep_directory(&mut self, path: &[u8]) -> Result<(), FileError> {
        // The root is no entry of a layer: containers have that of their own directory.
        if path.is_empty() || self.entries.contains_key(path) {
            return Ok(());
        }
        if let Some(found) = self.base.lookup(&layer_path(path)?)? {
            let metadata = found.metadata()?;
            self.entries
                .insert(path.to_vec(), (metadata, Planned::Directory));
        }
        Ok(())
    }

    fn place(&mut self, node: &Node, target: &[u8], take_metadata: bool) -> Result<(), FileError> {
        let standing = self.standing(target)?;
        if let Kind::Directory(children) = &node.kind {
            match standing {
                Standing::Nothing => self.insert(target, &node.metadata, Planned::Directory),
                Standing::Directory if node.passed => {
                    self.keep_directory(target)?;
                    self.take_mode(target, node.metadata.mode);
                }
                Standing::Directory if take_metadata => {
                    self.insert(target, &node.metadata, Planned::Directory);
                }
                Standing::Directory => self.keep_directory(target)?,
                Standing::Symlink(_) | Standing::Other => {
                    return Err(FileError::DirectoryOverFile(display(target)));
                }
            }
            for (name, child) in children {
                self.place(child, &join(target, name), true)?;
            }
            return Ok(());
        }
        if matches!(standing, Standing::Directory) {
            return Err(FileError::FileOverDirectory(display(target)));
        }
        let planned = self.planned(node);
        self.insert(target, &node.metadata, planned);
        Ok(())
    }

    /// Gives a directory of the layer the mode of one that a copy passes through.
    fn take_mode(&mut self, target: &[u8], mode: u32) {
        if let Some((metadata, _)) = self.entries.get_mut(target) {
            metadata.mode = mode;
        }
    }

    /// Puts an entry with the source's metadata under this copy's owner and mode.
    fn insert(&mut self, target: &[u8], metadata: &Metadata, planned: Planned) {
        let mut metadata = metadata.clone();
        if let Some(owner) = self.owner {
            metadata.uid = owner.uid;
            metadata.gid = owner.gid;
        }
        if let Some(chmod) = &self.mode
            && !matches!(planned, Planned::Symlink(_))
        {
            let directory = matches!(planned, Planned::Directory);
            metadata.mode = chmod.apply(metadata.mode, directory);
        }
        self.entries.insert(target.to_vec(), (metadata, planned));
    }

    /// Unpacks an archive's tree at `dest`, as `tar` does: an entry replaces what stands in its place, a directory is
    /// merged with a directory. Directories that the archive only implies are followed where they are links.
    pub(crate) fn unpack(
        &mut self,
        tree: &Node,
        dest: &[u8],
        implied: &HashSet<Vec<u8>>,
    ) -> Result<(), FileError> {
        self.copies += 1;
        let target = self.resolve(dest)?;
        self.make_directories(&target)?;
        if let Kind::Directory(children) = &tree.kind {
            if !target.is_empty() && !implied.contains(&b""[..]) {
                self.insert(&target, &tree.metadata, Planned::Directory);
            }
            for (name, child) in children {
                self.unpack_entry(child, name, join(&target, name), implied)?;
            }
        }
        Ok(())
    }

    fn unpack_entry(
        &mut self,
        node: &Node,
        path: &[u8],
        target: Vec<u8>,
        implied: &HashSet<Vec<u8>>,
    ) -> Result<(), FileError> {
        let Kind::Directory(children) = &node.kind else {
            if matches!(self.standing(&target)?, Standing::Directory) {
                self.remove_below(&target);
            }
            let planned = self.planned(node);
            self.insert(&target, &node.metadata, planned);
            return Ok(());
        };
        let target = if implied.contains(path) {
            let target = self.resolve(&target)?;
            self.make_directories(&target)?;
            target
        } else {
            self.insert(&target, &node.metadata, Planned::Directory);
            target
        };
        for (name, child) in children {
            self.unpack_entry(child, &join(path, name), join(&target, name), implied)?;
        }
        Ok(())
    }

    /// Drops what is planned below a directory that something else replaces.
    fn remove_below(&mut self, path: &[u8]) {
        let prefix = join(path, b"");
        let below: Vec<Vec<u8>> = self
            .entries
            .range(prefix.clone()..)
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(&prefix))
            .cloned()
            .collect();
        for path in below {
            self.entries.remove(&path);
        }
    }

    fn planned(&self, node: &Node) -> Planned {
        match &node.kind {
            Kind::Directory(_) => Planned::Directory,
            Kind::File(file) => Planned::File(file.clone(), self.copies),
            Kind::Symlink(link) => Planned::Symlink(link.clone()),
            Kind::Character(major, minor) => Planned::Character(*major, *minor),
            Kind::Block(major, minor) => Planned::Block(*major, *minor),
            Kind::Fifo => Planned::Fifo,
        }
    }

    fn standing(&self, path: &[u8]) -> Result<Standing, FileError> {
        match self.entries.get(path) {
            Some((_, Planned::Directory)) => Ok(Standing::Directory),
            Some((_, Planned::Symlink(target))) => Ok(Standing::Symlink(target.to_vec())),
            Some(_) => Ok(Standing::Other),
            None => standing(self.base, path),
        }
    }

    fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, FileError> {
        resolve(path, |path| self.standing(path))
    }

    /// The digest of everything that decides the layer's content.
    pub(crate) fn content(&self) -> ContentDigest {
        let mut key = KeyWriter::new("rbuild layer plan", 1);
        let mut groups = HashMap::new();
        key.number(self.entries.len() as u64);
        for (path, (metadata, planned)) in &self.entries {
            key.bytes(path);
            encode_metadata(metadata, &mut key);
            match planned {
                Planned::Directory => key.number(0),
                Planned::File(file, copy) => {
                    let first = file
                        .link
                        .map_or(path, |link| groups.entry((*copy, link)).or_insert(path));
                    key.number(1)
                        .number(file.size)
                        .bytes(file.digest.as_bytes())
                        .bytes(first)
                }
                Planned::Symlink(to) => key.number(3).bytes(to),
                Planned::Character(major, minor) => key
                    .number(4)
                    .number(u64::from(*major))
                    .number(u64::from(*minor)),
                Planned::Block(major, minor) => key
                    .number(5)
                    .number(u64::from(*major))
                    .number(u64::from(*minor)),
                Planned::Fifo => key.number(6),
            };
        }
        ContentDigest::from_bytes(key.finish())
    }

    /// The layer's entries, for the writer.
    pub(crate) fn into_entries(self) -> Result<Vec<PlannedEntry>, FileError> {
        let mut groups: HashMap<(usize, LinkId), LayerPath> = HashMap::new();
        let mut entries = Vec::with_capacity(self.entries.len());
        for (path, (metadata, planned)) in self.entries {
            let path = layer_path(&path)?;
            let node = match planned {
                Planned::Directory => PlannedNode::Directory { opaque: false },
                Planned::Symlink(to) => PlannedNode::Symlink(to.into_vec()),
                Planned::Character(major, minor) => PlannedNode::Char { major, minor },
                Planned::Block(major, minor) => PlannedNode::Block { major, minor },
                Planned::Fifo => PlannedNode::Fifo,
                Planned::File(file, copy) => match file.link.map(|link| groups.entry((copy, link)))
                {
                    Some(Entry::Occupied(first)) => PlannedNode::HardLink(first.get().clone()),
                    group => {
                        if let Some(Entry::Vacant(group)) = group {
                            group.insert(path.clone());
                        }
                        PlannedNode::File(PlannedFile {
                            source: file.source,
                            expected: Some(file.digest),
                        })
                    }
                },
            };
            entries.push(PlannedEntry {
                path,
                metadata,
                node,
            });
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests;
