//! What a step depends on, apart from the steps before it: named parts and files, kept to be compared with what an
//! earlier result of the same step depended on.
//!
//! The encoding, all numbers little endian; paths are in the order of their directories, and say how much of the one
//! before they repeat:
//!
//! ```text
//! inputs = count:u32 part* file*
//! part   = length:u32 name length:u32 value
//! file   = shared:u16 length:u16 rest kind:u8 mode:u32 attributes:u32 digest:[u8; 16]
//! ```

use std::collections::BTreeMap;

use layer::ContentDigest;

use crate::files::node::{Kind, Node};

/// More than this is not kept: a list of some hundred thousand files.
const LIMIT: usize = 64 << 20;
/// The bytes of a file behind its path.
const FIXED: usize = 25;

/// What a step depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Inputs {
    /// Names as people read them, each with its value: (`variable PATH`, `/bin`).
    pub(crate) parts: Vec<(String, String)>,
    /// Files that it reads of the build context or of other steps.
    pub(crate) files: Listing,
}

/// Files, encoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Listing {
    bytes: Vec<u8>,
    last: Vec<u8>,
}

/// What is kept of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What it is.
    pub(crate) kind: EntryKind,
    /// Permissions.
    pub(crate) mode: u32,
    /// A hash of its owner and its extended attributes.
    pub(crate) attributes: u32,
    /// The beginning of the digest of its bytes, or of a link's target.
    pub(crate) digest: [u8; 16],
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A device or a pipe.
    Special,
}

impl Inputs {
    /// Adds a part.
    pub(crate) fn part(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.parts.push((name.into(), value.into()));
    }

    /// Adds a part if it has a value.
    pub(crate) fn optional(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.part(name, value);
        }
    }

    /// Its bytes. Of too many files none are kept.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = (self.parts.len() as u32).to_le_bytes().to_vec();
        for (name, value) in &self.parts {
            for text in [name, value] {
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
        }
        if self.files.bytes.len() <= LIMIT {
            bytes.extend_from_slice(&self.files.bytes);
        }
        bytes
    }

    /// What bytes stand for: the parts and the files. `None` for others than [`Inputs::encode`] makes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Decoded> {
        let mut from = Reader(bytes);
        let count = from.number(4)?;
        let mut decoded = Decoded::default();
        for _ in 0..count {
            let name = from.text()?;
            decoded.parts.insert(name, from.text()?);
        }
        let mut path = Vec::new();
        while !from.0.is_empty() {
            let shared = from.number(2)? as usize;
            let length = from.number(2)? as usize;
            path.truncate(shared);
            path.extend_from_slice(from.take(length)?);
            let entry = Entry {
                kind: match from.number(1)? {
                    0 => EntryKind::Directory,
                    1 => EntryKind::File,
                    2 => EntryKind::Symlink,
                    3 => EntryKind::Special,
                    _ => return None,
                },
                mode: from.number(4)? as u32,
                attributes: from.number(4)? as u32,
                digest: from.take(16)?.try_into().ok()?,
            };
            let path = String::from_utf8_lossy(&path).into_owned();
            decoded.files.insert(path, entry);
        }
        Some(decoded)
    }
}

/// What was kept of a step's inputs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Decoded {
    /// Parts by name.
    pub(crate) parts: BTreeMap<String, String>,
    /// Files by path.
    pub(crate) files: BTreeMap<String, Entry>,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, length: usize) -> Option<u64> {
        let of = |(place, byte): (usize, &u8)| u64::from(*byte) << (8 * place);
        Some(self.take(length)?.iter().enumerate().map(of).sum())
    }

    fn text(&mut self) -> Option<String> {
        let length = self.number(4)? as usize;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }
}

impl Listing {
    /// Adds a file, or a directory with all below it.
    pub(crate) fn tree(&mut self, path: &[u8], node: &Node) {
        let mut path = path.to_vec();
        self.node(&mut path, node);
    }

    fn node(&mut self, path: &mut Vec<u8>, node: &Node) {
        let (kind, digest) = match &node.kind {
            Kind::Directory(_) => (EntryKind::Directory, None),
            Kind::File(file) => (EntryKind::File, Some(file.digest)),
            Kind::Symlink(target) => (EntryKind::Symlink, Some(ContentDigest::of(target))),
            Kind::Character(major, minor) | Kind::Block(major, minor) => {
                let numbers = [major.to_le_bytes(), minor.to_le_bytes()].concat();
                (EntryKind::Special, Some(ContentDigest::of(&numbers)))
            }
            Kind::Fifo => (EntryKind::Special, None),
        };
        let digest = digest.map_or([0; 16], |digest| beginning(digest.as_bytes()));
        let entry = Entry {
            kind,
            mode: node.metadata.mode,
            attributes: attributes(&node.metadata),
            digest,
        };
        self.entry(path, &entry);
        if let Kind::Directory(children) = &node.kind {
            let length = path.len();
            for (name, child) in children {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(name);
                self.node(path, child);
                path.truncate(length);
            }
        }
    }

    fn entry(&mut self, path: &[u8], entry: &Entry) {
        let shared = path
            .iter()
            .zip(&self.last)
            .take_while(|(one, other)| one == other);
        // Paths in a context or layer are shorter by far.
        let shared = shared.count().min(u16::MAX.into());
        let rest = &path[shared..];
        let Ok(length) = u16::try_from(rest.len()) else {
            return;
        };
        self.bytes.reserve(4 + rest.len() + FIXED);
        self.bytes.extend_from_slice(&(shared as u16).to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(rest);
        self.bytes.push(entry.kind as u8);
        self.bytes.extend_from_slice(&entry.mode.to_le_bytes());
        self.bytes
            .extend_from_slice(&entry.attributes.to_le_bytes());
        self.bytes.extend_from_slice(&entry.digest);
        self.last.truncate(shared);
        self.last.extend_from_slice(rest);
    }
}

/// A hash of owner and extended attributes, 0 for root's without any.
fn attributes(metadata: &layer::Metadata) -> u32 {
    if metadata.uid == 0 && metadata.gid == 0 && metadata.xattrs.is_empty() {
        return 0;
    }
    let mut key = solver::KeyWriter::new("rbuild file attributes", 1);
    crate::files::node::encode_attributes(metadata, &mut key);
    let [a, b, c, d, ..] = key.finish();
    u32::from_le_bytes([a, b, c, d])
}

fn beginning(digest: &[u8; 32]) -> [u8; 16] {
    let mut beginning = [0; 16];
    beginning.copy_from_slice(&digest[..16]);
    beginning
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(mode: u32) -> Entry {
        Entry {
            kind: EntryKind::File,
            mode,
            attributes: 7,
            digest: [9; 16],
        }
    }

    fn sample() -> Inputs {
        let mut inputs = Inputs::default();
        inputs.part("command", "make");
        inputs.part("variable A", "ä");
        for (path, mode) in [("src", 1), ("src/a", 2), ("src/ab", 3), ("z", 4)] {
            inputs.files.entry(path.as_bytes(), &entry(mode));
        }
        inputs
    }

    #[test]
    fn what_was_encoded_comes_back() {
        let decoded = Inputs::decode(&sample().encode()).expect("whole");
        assert_eq!(decoded.parts["variable A"], "ä");
        let files: Vec<_> = decoded.files.into_iter().collect();
        let expected = [("src", 1), ("src/a", 2), ("src/ab", 3), ("z", 4)];
        let expected = expected.map(|(path, mode)| (path.to_owned(), entry(mode)));
        assert_eq!(files, expected);
    }

    #[test]
    fn other_bytes_are_refused_or_are_others() {
        let whole = sample().encode();
        for length in 0..whole.len() {
            // Cut between two files it is a shorter list.
            let decoded = Inputs::decode(&whole[..length]);
            assert_ne!(decoded, Inputs::decode(&whole), "cut at {length}");
        }
        for bytes in [
            &[0xff; 64][..],
            &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            b"abc",
        ] {
            assert_eq!(Inputs::decode(bytes), None);
        }
    }
}
