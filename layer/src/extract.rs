//! What the members of a tar make of a tree, one after another, by the rules of extraction.

use crate::entry::EntryKind;
use crate::erofs::xattr;
use crate::error::TarProblem;
use crate::metadata::{Metadata, Xattrs};
use crate::path::{LayerPath, MAX_PATH};
use crate::stream::{Limits, Whiteouts};
use crate::tar::read::{Member, MemberKind};
use crate::tar::{OPAQUE_MARK, WHITEOUT_META_PREFIX, WHITEOUT_PREFIX};
use crate::tree::{Data, Inode, InodeId, Node, Tree};

/// Symbolic links followed in one path before it counts as a loop (Linux: 40).
const MAX_LINKS: usize = 40;

/// A tree that takes members.
#[derive(Debug)]
pub(crate) struct Extraction {
    tree: Tree,
    limits: Limits,
    whiteouts: Whiteouts,
    /// Bytes of names, targets and attributes so far.
    metadata: u64,
    members: u64,
}

/// Where a member goes.
enum Place {
    Root,
    In(InodeId, Box<[u8]>),
    /// Nowhere: it is a mark, or belongs to a union file system.
    Nowhere,
}

impl Extraction {
    pub(crate) fn new(limits: Limits, whiteouts: Whiteouts) -> Self {
        Self {
            tree: Tree::new(),
            limits,
            whiteouts,
            metadata: 0,
            members: 0,
        }
    }

    /// The tree, whiteouts settled, and how many members it was made of.
    pub(crate) fn finish(mut self) -> (Tree, u64) {
        self.tree.settle_whiteouts();
        (self.tree, self.members)
    }

    /// Takes a member; `data` is that of a regular file.
    pub(crate) fn add(&mut self, member: Member, data: Option<Data>) -> Result<(), TarProblem> {
        self.members += 1;
        self.check_limits(&member)?;
        let path = LayerPath::new(&member.name)?;
        let place = self.place(&path)?;
        let (directory, name) = match place {
            Place::Nowhere => return Ok(()),
            Place::Root => return self.describe_root(member),
            Place::In(directory, name) => (directory, name),
        };
        if member.kind == MemberKind::HardLink {
            let target = self.link_target(&member.link)?;
            self.tree.link(directory, &name, target);
            return Ok(());
        }
        let inode = inode(member, data)?;
        let existing = self.tree.child(directory, &name);
        match existing {
            Some(existing) if is_directory(&inode) && self.tree.directory(existing).is_some() => {
                self.describe(existing, inode.metadata);
            }
            _ => {
                let id = self.tree.add(inode);
                self.tree.link(directory, &name, id);
            }
        }
        Ok(())
    }

    fn check_limits(&mut self, member: &Member) -> Result<(), TarProblem> {
        let xattrs = member.metadata.xattrs.iter();
        let xattrs: usize = xattrs.map(|(name, value)| name.len() + value.len()).sum();
        self.metadata += (member.name.len() + member.link.len() + xattrs) as u64;
        for (what, count, limit) in [
            ("entries", self.members, self.limits.entries),
            ("entries", self.tree.len() as u64, self.limits.entries),
            (
                "bytes of names and attributes",
                self.metadata,
                self.limits.metadata,
            ),
        ] {
            if count > limit {
                return Err(TarProblem::Limit { what, limit });
            }
        }
        Ok(())
    }

    fn place(&mut self, path: &LayerPath) -> Result<Place, TarProblem> {
        let Some(name) = path.name() else {
            return Ok(Place::Root);
        };
        let parent = path.parent().unwrap_or_default();
        if self.whiteouts == Whiteouts::Keep {
            let directory = self.make_directory(&parent)?;
            return Ok(Place::In(directory, name.into()));
        }
        let meta = |name: &[u8]| name.starts_with(WHITEOUT_META_PREFIX);
        if parent.components().any(meta) || (meta(name) && name != OPAQUE_MARK) {
            return Ok(Place::Nowhere);
        }
        if parent
            .components()
            .any(|name| name.starts_with(WHITEOUT_PREFIX))
        {
            return Err(TarProblem::Whiteout);
        }
        let directory = self.make_directory(&parent)?;
        let Some(hidden) = name.strip_prefix(WHITEOUT_PREFIX) else {
            return Ok(Place::In(directory, name.into()));
        };
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(TarProblem::Whiteout);
        }
        if let Some(directory) = self.tree.directory_mut(directory) {
            if name == OPAQUE_MARK {
                directory.opaque = true;
            } else {
                directory.whiteouts.insert(hidden.into());
            }
        }
        Ok(Place::Nowhere)
    }

    fn describe_root(&mut self, member: Member) -> Result<(), TarProblem> {
        if member.kind != MemberKind::Directory {
            return Err(TarProblem::Root);
        }
        let inode = inode(member, None)?;
        self.describe(Tree::root(), inode.metadata);
        Ok(())
    }

    /// Gives a directory that is there the metadata that a member has for it.
    fn describe(&mut self, directory: InodeId, metadata: Metadata) {
        self.tree.get_mut(directory).metadata = metadata;
        if let Some(directory) = self.tree.directory_mut(directory) {
            directory.implied = false;
        }
    }

    /// The directory at a path, with what is missing on the way made; links of this tar are followed beneath its
    /// root, as extraction would.
    fn make_directory(&mut self, path: &LayerPath) -> Result<InodeId, TarProblem> {
        let found = self.walk(path, true)?;
        found.ok_or(TarProblem::NotADirectory)
    }

    fn walk(&mut self, path: &LayerPath, make: bool) -> Result<Option<InodeId>, TarProblem> {
        let mut stack = vec![(Tree::root(), 0)];
        let mut pending: Vec<Box<[u8]>> = path.components().rev().map(Into::into).collect();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            let (top, length) = stack.last().copied().unwrap_or((Tree::root(), 0));
            match &name[..] {
                b"" | b"." => continue,
                b".." => {
                    stack.truncate((stack.len() - 1).max(1));
                    continue;
                }
                _ => {}
            }
            let child = match self.tree.child(top, &name) {
                None if make => self.tree.subdirectory(top, &name),
                child => child,
            };
            let Some(child) = child else {
                return Ok(None);
            };
            match &self.tree.get(child).node {
                Node::Directory(_) => {
                    let length = length + name.len() + 1;
                    if length > MAX_PATH {
                        return Err(crate::PathError::Long.into());
                    }
                    stack.push((child, length));
                }
                Node::Symlink(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(TarProblem::TooManyLinks);
                    }
                    if target.starts_with(b"/") {
                        stack.truncate(1);
                    }
                    let components = target.split(|byte| *byte == b'/');
                    pending.extend(components.rev().map(Into::into));
                }
                _ => return Err(TarProblem::NotADirectory),
            }
        }
        Ok(stack.last().map(|(id, _)| *id))
    }

    /// The inode that a hard link names.
    fn link_target(&mut self, link: &[u8]) -> Result<InodeId, TarProblem> {
        let missing = || TarProblem::LinkTarget(String::from_utf8_lossy(link).into_owned());
        let path = LayerPath::new(link)?;
        let parent = path.parent().ok_or_else(missing)?;
        let directory = self.walk(&parent, false)?.ok_or_else(missing)?;
        let target = path
            .name()
            .and_then(|name| self.tree.child(directory, name));
        let target = target.ok_or_else(missing)?;
        match self.tree.directory(target) {
            Some(_) => Err(missing()),
            None => Ok(target),
        }
    }
}

fn is_directory(inode: &Inode) -> bool {
    matches!(inode.node, Node::Directory(_))
}

fn inode(member: Member, data: Option<Data>) -> Result<Inode, TarProblem> {
    let node = match member.kind {
        MemberKind::Directory => Node::Directory(Box::default()),
        MemberKind::File => Node::File(data.ok_or(TarProblem::Truncated)?),
        MemberKind::Symlink => Node::Symlink(checked_target(member.link)?),
        MemberKind::Char(0, 0) => return Err(TarProblem::WhiteoutDevice),
        MemberKind::Char(major, minor) => Node::Char(major, minor),
        MemberKind::Block(major, minor) => Node::Block(major, minor),
        MemberKind::Fifo => Node::Fifo,
        MemberKind::HardLink | MemberKind::Ignored => return Err(TarProblem::Type(0)),
    };
    let mut inode = Inode::new(member.metadata, node);
    let kind = inode.kind();
    keep_xattrs(kind, &mut inode.metadata.xattrs)?;
    Ok(inode)
}

fn checked_target(target: Vec<u8>) -> Result<Box<[u8]>, TarProblem> {
    if is_link_target(&target) {
        Ok(target.into())
    } else {
        Err(TarProblem::SymlinkTarget)
    }
}

/// Whether Linux takes it as the target of a symbolic link.
pub(crate) fn is_link_target(target: &[u8]) -> bool {
    !target.is_empty() && target.len() <= MAX_PATH && !target.contains(&0)
}

/// Drops attributes that the file system would not take, and those by which a tar would pretend to be overlayfs.
fn keep_xattrs(kind: EntryKind, xattrs: &mut Xattrs) -> Result<(), TarProblem> {
    let too_large = |(_, value): &(Vec<u8>, Vec<u8>)| value.len() > usize::from(u16::MAX);
    if xattrs.iter().any(too_large) {
        return Err(TarProblem::Xattrs);
    }
    xattrs.retain(|(name, value)| {
        xattr::is_storable(name, value)
            && xattr::is_allowed_on(kind, name)
            && !xattr::is_overlay(name)
    });
    if xattr::fit(xattrs) {
        Ok(())
    } else {
        Err(TarProblem::Xattrs)
    }
}
