//! A file system as plain data, flattened from an image's layers by the rules of the OCI image specification.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};

use crate::tar::{self, Header};

/// What kind of file a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file: its size and a hash of its content.
    File {
        /// Bytes.
        size: u64,
        /// A hash that is only good for comparing.
        content: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A character device: major and minor number.
    CharDevice(u64, u64),
    /// A block device: major and minor number.
    BlockDevice(u64, u64),
    /// A named pipe.
    Fifo,
}

/// What a name stands for. Names of one hard-linked file share the number of their node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its kind and content.
    pub kind: Kind,
    /// Permission, set-id and sticky bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u64,
    /// Numeric group.
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A file system: names (no slash at either end) and the nodes that they stand for.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    names: BTreeMap<Vec<u8>, usize>,
    nodes: Vec<Node>,
}

impl Tree {
    /// Lays a layer over the tree.
    pub fn apply(&mut self, layer: impl Read) -> io::Result<()> {
        // Whiteouts concern the layers below, wherever in the stream they stand.
        let mut whiteouts = Vec::new();
        let mut entries = Vec::new();
        tar::entries(layer, |header, content| {
            let name = clean(&header.name);
            let (parent, base) = split(&name);
            match base.strip_prefix(b".wh.") {
                Some(b".wh..opq") => whiteouts.push((parent.to_vec(), true)),
                Some(hidden) => whiteouts.push((join(parent, hidden), false)),
                None => entries.push((name, node(&header, content), header)),
            }
        })?;
        for (name, opaque) in whiteouts {
            self.remove(&name, opaque);
        }
        for (name, node, header) in entries {
            self.add(name, node?, &header)?;
        }
        Ok(())
    }

    /// Every name with its node, in the order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.names
            .iter()
            .map(|(name, number)| (name.as_slice(), &self.nodes[*number]))
    }

    /// What a name stands for.
    pub fn get(&self, name: &[u8]) -> Option<&Node> {
        self.names.get(name).map(|number| &self.nodes[*number])
    }

    /// For tests of the comparison: the node behind a name, to be changed.
    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut Node> {
        self.names.get(name).map(|number| &mut self.nodes[*number])
    }

    /// The names that share a hard-linked file with others, each with the first name of its group.
    pub fn links(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut groups: BTreeMap<usize, Vec<&[u8]>> = BTreeMap::new();
        for (name, number) in &self.names {
            groups.entry(*number).or_default().push(name);
        }
        let shared = groups.into_values().filter(|group| group.len() > 1);
        shared
            .flat_map(|group| {
                group
                    .clone()
                    .into_iter()
                    .map(move |name| (name.to_vec(), group[0].to_vec()))
            })
            .collect()
    }

    /// Removes a name and what is below it; the name itself stays when only its content is to go.
    pub fn remove(&mut self, name: &[u8], only_content: bool) {
        let below = join(name, b"");
        self.names
            .retain(|other, _| !(other.starts_with(&below) || (!only_content && other == name)));
    }

    fn add(&mut self, name: Vec<u8>, node: Option<Node>, header: &Header) -> io::Result<()> {
        let Some(node) = node else {
            let target = clean(&header.link);
            let number = *self.names.get(&target).ok_or_else(|| {
                let text = format!("`{}` is a hard link to nothing", name.escape_ascii());
                io::Error::new(io::ErrorKind::InvalidData, text)
            })?;
            self.remove(&name, false);
            self.names.insert(name, number);
            return Ok(());
        };
        if node.kind != Kind::Directory
            || self
                .get(&name)
                .is_some_and(|old| old.kind != Kind::Directory)
        {
            self.remove(&name, false);
        }
        self.nodes.push(node);
        self.names.insert(name, self.nodes.len() - 1);
        Ok(())
    }
}

/// The node of an entry; `None` for a hard link.
fn node(header: &Header, content: &mut dyn Read) -> io::Result<Option<Node>> {
    let kind = match header.kind {
        b'0' | 0 | b'7' => file(content)?,
        b'1' => return Ok(None),
        b'2' => Kind::Symlink(header.link.clone()),
        b'3' => Kind::CharDevice(header.device.0, header.device.1),
        b'4' => Kind::BlockDevice(header.device.0, header.device.1),
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("an entry of type {other}"),
            ));
        }
    };
    let Header {
        mode,
        uid,
        gid,
        mtime,
        xattrs,
        ..
    } = header.clone();
    Ok(Some(Node {
        kind,
        mode,
        uid,
        gid,
        mtime,
        xattrs,
    }))
}

fn file(content: &mut dyn Read) -> io::Result<Kind> {
    let mut hasher = DefaultHasher::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        let count = content.read(&mut buffer)?;
        if count == 0 {
            return Ok(Kind::File {
                size,
                content: hasher.finish(),
            });
        }
        hasher.write(&buffer[..count]);
        size += count as u64;
    }
}

/// A stored name without `.`, empty parts and slashes at its ends.
fn clean(name: &[u8]) -> Vec<u8> {
    let parts = name
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".");
    parts.collect::<Vec<_>>().join(&b'/')
}

fn split(name: &[u8]) -> (&[u8], &[u8]) {
    name.iter()
        .rposition(|byte| *byte == b'/')
        .map_or((b"", name), |at| (&name[..at], &name[at + 1..]))
}

fn join(parent: &[u8], base: &[u8]) -> Vec<u8> {
    if parent.is_empty() {
        base.to_vec()
    } else {
        [parent, base].join(&b'/')
    }
}
