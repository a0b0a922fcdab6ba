//! Plans of layers, of any content.

use std::collections::BTreeSet;
use std::sync::Arc;

use arbitrary::Arbitrary;
use layer::{FileSource, LayerPath, Metadata, PlannedEntry, PlannedNode, Timestamp};

#[derive(Arbitrary, Debug)]
/// An entry of a plan, of any content.
pub struct Entry {
    path: Vec<u8>,
    mode: u16,
    owner: (u32, u32),
    time: (i64, u32),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    node: Node,
}

#[derive(Arbitrary, Debug)]
enum Node {
    Directory { opaque: bool },
    File(Vec<u8>),
    Repeated(u16, u8),
    Symlink(Vec<u8>),
    HardLink(u8),
    Device { block: bool, major: u32, minor: u32 },
    Fifo,
    Whiteout,
}

/// The plan that these entries make, without those that cannot be in one.
#[must_use]
pub fn plan(entries: Vec<Entry>) -> Vec<PlannedEntry> {
    let mut seen = BTreeSet::new();
    let mut planned: Vec<PlannedEntry> = Vec::new();
    for entry in entries {
        let Ok(path) = LayerPath::new(&entry.path) else {
            continue;
        };
        if !seen.insert(path.clone()) {
            continue;
        }
        let node = node(entry.node, &planned);
        planned.push(PlannedEntry {
            path,
            metadata: Metadata {
                mode: u32::from(entry.mode) & 0o7777,
                uid: entry.owner.0,
                gid: entry.owner.1,
                mtime: Timestamp {
                    seconds: entry.time.0,
                    nanos: entry.time.1 % 1_000_000_000,
                },
                xattrs: entry.xattrs,
            },
            node,
        });
    }
    planned
}

fn node(node: Node, before: &[PlannedEntry]) -> PlannedNode {
    match node {
        Node::Directory { opaque } => PlannedNode::Directory { opaque },
        Node::File(bytes) => PlannedNode::file(FileSource::Bytes(bytes.into())),
        Node::Repeated(count, byte) => {
            let bytes: Arc<[u8]> = vec![byte; usize::from(count)].into();
            PlannedNode::file(FileSource::Bytes(bytes))
        }
        Node::Symlink(target) => PlannedNode::Symlink(target),
        Node::HardLink(number) => match before.get(usize::from(number) % before.len().max(1)) {
            Some(first) => PlannedNode::HardLink(first.path.clone()),
            None => PlannedNode::Fifo,
        },
        Node::Device {
            block: true,
            major,
            minor,
        } => PlannedNode::Block { major, minor },
        Node::Device { major, minor, .. } => PlannedNode::Char { major, minor },
        Node::Fifo => PlannedNode::Fifo,
        Node::Whiteout => PlannedNode::Whiteout,
    }
}
