//! Digests of directories and layers: everything that makes up their content, and no time.
//!
//! A directory's digest is the BLAKE3 (in its key derivation mode, with [`DIRECTORY`] as context) of its entries in
//! the order of their names' bytes; a layer's that (with [`TREE`]) of its root as a nameless entry. An entry is, with
//! numbers little-endian and texts behind their length as `u32`:
//!
//! | part | as |
//! | --- | --- |
//! | name | text |
//! | kind | `u8`: directory 1, file 2, symbolic link 3, character device 4, block device 5, pipe 6, whiteout 7 |
//! | flags | `u8`: 1 opaque, 2 implied |
//! | mode, owner, group | `u32` each |
//! | attributes | their number as `u32`, then name and value of each as texts |
//! | content | directory and file: digest, 32 bytes; link: target as text; device: major, minor as `u32`s |
//! | link group | the first path, as text, of a file with several names; an empty text otherwise |
//!
//! An implied directory counts as one of mode 0755 that belongs to root, whatever metadata its index has for it.

use crate::digest::ContentDigest;
use crate::entry::EntryKind;
use crate::metadata::Metadata;

const DIRECTORY: &str = "rbuild 2026 layer directory v1";
const TREE: &str = "rbuild 2026 layer tree v1";

/// What an entry consists of.
#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    Directory {
        digest: ContentDigest,
        opaque: bool,
        implied: bool,
    },
    File(ContentDigest),
    Symlink(&'a [u8]),
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
    Whiteout,
}

/// An entry of a directory.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) metadata: &'a Metadata,
    pub(crate) content: Content<'a>,
    /// The first path of the file, where it has several; empty where it has one.
    pub(crate) link: &'a [u8],
}

/// Takes a directory's entries, in the order of their names.
pub(crate) struct DirectoryHasher {
    hasher: blake3::Hasher,
    scratch: Vec<u8>,
}

impl DirectoryHasher {
    pub(crate) fn new() -> Self {
        Self {
            hasher: blake3::Hasher::new_derive_key(DIRECTORY),
            scratch: Vec::with_capacity(256),
        }
    }

    pub(crate) fn add(&mut self, entry: &Entry<'_>) {
        self.scratch.clear();
        entry.encode(&mut self.scratch);
        self.hasher.update(&self.scratch);
    }

    pub(crate) fn finish(&self) -> ContentDigest {
        self.hasher.finalize().into()
    }
}

/// The digest of an entry and everything below it; its name does not matter.
pub(crate) fn tree_digest(entry: &Entry<'_>) -> ContentDigest {
    let mut bytes = Vec::new();
    Entry {
        name: b"",
        ..*entry
    }
    .encode(&mut bytes);
    blake3::Hasher::new_derive_key(TREE)
        .update(&bytes)
        .finalize()
        .into()
}

impl Entry<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        text(out, self.name);
        let (opaque, implied) = match self.content {
            Content::Directory {
                opaque, implied, ..
            } => (opaque, implied),
            _ => (false, false),
        };
        let nothing = Metadata::implied();
        let metadata = if implied { &nothing } else { self.metadata };
        out.push(kind_number(self.content.kind()));
        out.push(u8::from(opaque) | u8::from(implied) << 1);
        for number in [metadata.mode, metadata.uid, metadata.gid] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let xattrs = &metadata.xattrs;
        out.extend_from_slice(&(xattrs.len() as u32).to_le_bytes());
        for (name, value) in xattrs {
            text(out, name);
            text(out, value);
        }
        match &self.content {
            Content::Directory { digest, .. } | Content::File(digest) => {
                out.extend_from_slice(digest.as_bytes());
            }
            Content::Symlink(target) => text(out, target),
            Content::Char(major, minor) | Content::Block(major, minor) => {
                out.extend_from_slice(&major.to_le_bytes());
                out.extend_from_slice(&minor.to_le_bytes());
            }
            Content::Fifo | Content::Whiteout => {}
        }
        text(out, self.link);
    }
}

impl Content<'_> {
    fn kind(&self) -> EntryKind {
        match self {
            Self::Directory { .. } => EntryKind::Directory,
            Self::File(_) => EntryKind::File,
            Self::Symlink(_) => EntryKind::Symlink,
            Self::Char(..) => EntryKind::Char,
            Self::Block(..) => EntryKind::Block,
            Self::Fifo => EntryKind::Fifo,
            Self::Whiteout => EntryKind::Whiteout,
        }
    }
}

const fn kind_number(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::Directory => 1,
        EntryKind::File => 2,
        EntryKind::Symlink => 3,
        EntryKind::Char => 4,
        EntryKind::Block => 5,
        EntryKind::Fifo => 6,
        EntryKind::Whiteout => 7,
    }
}

/// Lengths are those of names, targets and attributes, all below 4 GiB by the rules of a tree.
fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(entries: &[Entry<'_>]) -> ContentDigest {
        let mut hasher = DirectoryHasher::new();
        for entry in entries {
            hasher.add(entry);
        }
        hasher.finish()
    }

    fn file<'a>(name: &'a [u8], metadata: &'a Metadata, bytes: &[u8]) -> Entry<'a> {
        Entry {
            name,
            metadata,
            content: Content::File(ContentDigest::of(bytes)),
            link: b"",
        }
    }

    #[test]
    fn digests_are_those_of_version_1() {
        let metadata = Metadata {
            mode: 0o644,
            xattrs: vec![(b"user.a".to_vec(), b"1".to_vec())],
            ..Metadata::default()
        };
        assert_eq!(
            directory(&[file(b"a", &metadata, b"x"), file(b"b", &metadata, b"")]).to_string(),
            "7ba3704c09a71e86b44d662783f65e7d2ffd22e483cafc0fe8eec5e733e75399"
        );
    }

    #[test]
    fn all_but_the_time_counts() {
        let metadata = Metadata::default();
        let base = directory(&[file(b"a", &metadata, b"x")]);
        let mut later = metadata.clone();
        later.mtime.seconds = 7;
        assert_eq!(directory(&[file(b"a", &later, b"x")]), base);
        let mut owned = metadata.clone();
        owned.gid = 1;
        let mut linked = file(b"a", &metadata, b"x");
        linked.link = b"a";
        let others = [
            directory(&[file(b"b", &metadata, b"x")]),
            directory(&[file(b"a", &metadata, b"y")]),
            directory(&[file(b"a", &owned, b"x")]),
            directory(&[linked]),
            directory(&[]),
        ];
        for (at, other) in others.iter().enumerate() {
            assert_ne!(*other, base, "{at}");
        }
    }
}
