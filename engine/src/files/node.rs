//! A file or a tree of files as a copy sees it, wherever it comes from.
//!
//! A context may have hundreds of thousands of files, so what a node takes counts.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use layer::{ContentDigest, FileSource, FileVersion, Metadata};
use solver::KeyWriter;

use super::select::join;

/// A file, a directory with all below it, or another kind of entry.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) metadata: Metadata,
    pub(crate) kind: Kind,
    /// A directory that is only on the way to what is taken: where it exists already, only its mode is taken over.
    pub(crate) passed: bool,
}

/// An entry of a directory, under its name.
pub(crate) type Child = (Arc<[u8]>, Node);

/// What an entry is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A directory and its entries, sorted by name.
    Directory(Vec<Child>),
    /// A regular file.
    File(File),
    /// A symbolic link and its target.
    Symlink(Box<[u8]>),
    /// A character device, by its major and minor numbers.
    Character(u32, u32),
    /// A block device, by its major and minor numbers.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// A regular file's bytes.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) size: u64,
    pub(crate) digest: ContentDigest,
    pub(crate) origin: Origin,
    /// The same for all names of a file that has several.
    pub(crate) link: Option<Box<LinkId>>,
}

/// Where a file's bytes come from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// A file of the host.
    Host {
        directory: Arc<HostDirectory>,
        name: Arc<[u8]>,
        /// See [`FileSource::Host`].
        version: Option<FileVersion>,
    },
    /// Anything else.
    Source(Box<FileSource>),
}

/// A directory of the host, shared by its files.
#[derive(Debug)]
pub(crate) struct HostDirectory {
    pub(crate) root: Arc<OwnedFd>,
    /// Its path below the root.
    pub(crate) path: Box<[u8]>,
}

impl File {
    /// A file with what `source` has.
    pub(crate) fn new(source: FileSource, digest: ContentDigest) -> Self {
        Self {
            size: source.size(),
            digest,
            origin: Origin::Source(Box::new(source)),
            link: None,
        }
    }

    /// Where its bytes come from.
    pub(crate) fn source(&self) -> FileSource {
        match &self.origin {
            Origin::Host {
                directory,
                name,
                version,
            } => FileSource::Host {
                root: Arc::clone(&directory.root),
                path: join(&directory.path, name),
                size: self.size,
                version: *version,
            },
            Origin::Source(source) => FileSource::clone(source),
        }
    }
}

/// Names a file with several hard links within its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u64, pub(crate) u64);

impl Node {
    /// Whether it is a directory.
    pub(crate) fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    /// Bytes of all regular files in it.
    pub(crate) fn total_size(&self) -> u64 {
        match &self.kind {
            Kind::Directory(children) => children.iter().map(|(_, child)| child.total_size()).sum(),
            Kind::File(file) => file.size,
            _ => 0,
        }
    }

    /// Writes everything of it that a cache key depends on: all but times. Names of one hard-linked file are told by
    /// the order in which their groups first appear, so that inode numbers stay out of the key.
    pub(crate) fn encode(&self, key: &mut KeyWriter, links: &mut LinkNumbers) {
        encode_metadata(&self.metadata, key);
        match &self.kind {
            Kind::Directory(children) => {
                key.number(if self.passed { 6 } else { 0 })
                    .number(children.len() as u64);
                for (name, child) in children {
                    key.bytes(name);
                    child.encode(key, links);
                }
            }
            Kind::File(file) => {
                key.number(1)
                    .number(file.size)
                    .bytes(file.digest.as_bytes());
                key.number(file.link.as_ref().map_or(0, |link| links.number(**link)));
            }
            Kind::Symlink(target) => {
                key.number(2).bytes(target);
            }
            Kind::Character(major, minor) => {
                key.number(3)
                    .number(u64::from(*major))
                    .number(u64::from(*minor));
            }
            Kind::Block(major, minor) => {
                key.number(4)
                    .number(u64::from(*major))
                    .number(u64::from(*minor));
            }
            Kind::Fifo => {
                key.number(5);
            }
        }
    }
}

/// Writes mode, owner and extended attributes.
pub(crate) fn encode_metadata(metadata: &Metadata, key: &mut KeyWriter) {
    key.number(u64::from(metadata.mode));
    encode_attributes(metadata, key);
}

/// Writes owner and extended attributes.
pub(crate) fn encode_attributes(metadata: &Metadata, key: &mut KeyWriter) {
    key.number(u64::from(metadata.uid))
        .number(u64::from(metadata.gid))
        .number(metadata.xattrs.len() as u64);
    for (name, value) in &metadata.xattrs {
        key.bytes(name).bytes(value);
    }
}

/// Numbers groups of hard links by first appearance, from 1.
#[derive(Debug, Default)]
pub(crate) struct LinkNumbers(std::collections::HashMap<LinkId, u64>);

impl LinkNumbers {
    fn number(&mut self, link: LinkId) -> u64 {
        let next = self.0.len() as u64 + 1;
        *self.0.entry(link).or_insert(next)
    }
}
