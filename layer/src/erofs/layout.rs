//! Where each inode and each directory's blocks go in the image.

use std::collections::HashMap;

use super::format::{BLOCK, CHUNK_INDEX_SIZE, DIRENT_SIZE, DataLayout, INODE_SIZE, INODES, SLOT};
use super::xattr;
use crate::source::Extent;
use crate::tree::{Data, Directory, Extents, Inode, InodeId, Node, Survey, Tree};

/// The largest table of chunks that one file may have: 64 MiB.
pub(crate) const MAX_CHUNKS: u64 = 1 << 23;
/// Targets up to this length stand behind their inode; longer ones in blocks.
const MAX_INLINE: usize = 256;
/// The largest chunk is 2^31 blocks.
const MAX_CHUNK_BITS: u32 = 31;

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Layout {
    /// By inode: the number of its slot.
    pub(crate) nids: Vec<u64>,
    /// The blocks of directories and long targets.
    blocks: HashMap<InodeId, Blocks>,
    /// Where the blocks of data begin, in bytes.
    pub(crate) data: u64,
    /// How large the part is that Linux knows, in bytes.
    pub(crate) end: u64,
}

/// Data of an inode that is in blocks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Blocks {
    /// The number of the first.
    pub(crate) first: u64,
    /// Size of the data in bytes.
    pub(crate) size: u64,
}

/// How a file is cut into chunks of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunking {
    /// Size of a chunk in blocks, as a power of 2.
    pub(crate) bits: u32,
    /// How many there are.
    pub(crate) count: u64,
}

impl Chunking {
    /// The largest chunks that have no boundary between data and hole inside. Boundaries are multiples of a block.
    pub(crate) fn of(data: &Data) -> Self {
        let blocks = data.size.div_ceil(BLOCK);
        let whole = blocks.next_power_of_two().trailing_zeros();
        let extents: &[Extent] = match &data.extents {
            Extents::Contiguous(_) => &[],
            Extents::Sparse(extents) => extents,
        };
        let ends = extents.iter().map(|extent| extent.offset + extent.length);
        let bits = extents
            .iter()
            .map(|extent| extent.offset)
            .chain(ends.filter(|end| *end < data.size))
            .map(|boundary| (boundary / BLOCK).trailing_zeros())
            .fold(whole.min(MAX_CHUNK_BITS), u32::min);
        Self {
            bits,
            count: blocks.div_ceil(1 << bits),
        }
    }
}

impl Layout {
    pub(crate) fn of(tree: &Tree, survey: &Survey) -> Self {
        let mut nids = vec![0; tree.len()];
        let mut end = INODES;
        for &id in &survey.order {
            let (offset, size) = inode_space(tree.get(id), end);
            nids[id.index()] = offset / SLOT;
            end = offset + size;
        }
        let data = end.next_multiple_of(BLOCK);
        let mut block = data / BLOCK;
        let mut blocks = HashMap::new();
        for &id in &survey.order {
            let size = match &tree.get(id).node {
                Node::Directory(directory) => directory_size(directory),
                Node::Symlink(target) if target.len() > MAX_INLINE => target.len() as u64,
                _ => continue,
            };
            blocks.insert(id, Blocks { first: block, size });
            block += size.div_ceil(BLOCK);
        }
        Self {
            nids,
            blocks,
            data,
            end: block * BLOCK,
        }
    }

    /// The blocks of an inode; none of one that has no data in blocks.
    pub(crate) fn blocks(&self, id: InodeId) -> Blocks {
        self.blocks.get(&id).copied().unwrap_or_default()
    }
}

/// How the data of an inode is stored.
pub(crate) fn data_layout(node: &Node) -> DataLayout {
    match node {
        Node::File(data) if data.size > 0 => DataLayout::Chunks,
        Node::Symlink(target) if target.len() <= MAX_INLINE => DataLayout::Inline,
        _ => DataLayout::Plain,
    }
}

/// Bytes of an inode and its attributes, before what comes behind them.
pub(crate) fn head_size(inode: &Inode) -> u64 {
    let opaque = matches!(&inode.node, Node::Directory(directory) if directory.opaque);
    (INODE_SIZE + xattr::area_size(&inode.metadata.xattrs, opaque)) as u64
}

/// The first place from `end` on where an inode can be, and its size with all that stands behind it.
fn inode_space(inode: &Inode, end: u64) -> (u64, u64) {
    let head = head_size(inode);
    let mut offset = end.next_multiple_of(SLOT);
    match &inode.node {
        Node::File(data) if data.size > 0 => {
            let table = CHUNK_INDEX_SIZE * Chunking::of(data).count;
            (offset, head.next_multiple_of(CHUNK_INDEX_SIZE) + table)
        }
        Node::Symlink(target) if target.len() <= MAX_INLINE => {
            // What stands behind an inode must not cross into another block.
            let length = target.len() as u64;
            while (offset + head) % BLOCK + length > BLOCK {
                offset += SLOT;
            }
            (offset, head + length)
        }
        _ => (offset, head),
    }
}

/// A name in a directory: `None` is `.`, the directory itself; `Some(None)` its parent; else an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Itself,
    Parent,
    Entry(InodeId),
}

/// All names of a directory in the order of their bytes.
pub(crate) fn names(directory: &Directory) -> Vec<(&[u8], Target)> {
    let mut names: Vec<(&[u8], Target)> = Vec::with_capacity(directory.children.len() + 2);
    let children = directory.children.iter();
    names.extend(children.map(|(name, id)| (&name[..], Target::Entry(*id))));
    for dots in [(&b".."[..], Target::Parent), (&b"."[..], Target::Itself)] {
        let at = names.partition_point(|(name, _)| *name < dots.0);
        names.insert(at, dots);
    }
    names
}

/// Cuts names into runs that each fit a block.
pub(crate) fn blocks<'a>(
    names: &'a [(&'a [u8], Target)],
) -> impl Iterator<Item = &'a [(&'a [u8], Target)]> {
    let mut rest = names;
    std::iter::from_fn(move || {
        let mut used = 0;
        let fits = |(name, _): &&(&[u8], Target)| {
            used += DIRENT_SIZE + name.len();
            used <= BLOCK as usize
        };
        let count = rest.iter().take_while(fits).count();
        let block;
        (block, rest) = rest.split_at(count);
        (!block.is_empty()).then_some(block)
    })
}

fn directory_size(directory: &Directory) -> u64 {
    let names = names(directory);
    let mut full = 0;
    let mut last = 0;
    for block in blocks(&names) {
        full += 1;
        last = block
            .iter()
            .map(|(name, _)| DIRENT_SIZE + name.len())
            .sum::<usize>() as u64;
    }
    (full - 1) * BLOCK + last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::ContentDigest;

    fn chunking(size: u64, extents: &[(u64, u64)]) -> (u32, u64) {
        let extents = extents
            .iter()
            .map(|(offset, length)| Extent {
                offset: *offset,
                position: 0,
                length: *length,
            })
            .collect();
        let chunking = Chunking::of(&Data {
            size,
            digest: ContentDigest::of(b""),
            extents: Extents::Sparse(extents),
        });
        (chunking.bits, chunking.count)
    }

    #[test]
    fn chunks_never_mix_data_and_holes() {
        let gib = 1 << 30;
        for (size, extents, expected) in [
            (1, &[(0, 1)][..], (0, 1)),
            (513, &[(0, 513)], (1, 1)),
            (gib, &[(0, gib)], (21, 1)),
            (gib, &[], (21, 1)),
            (gib, &[(4096, 4096)], (3, 1 << 18)),
            (8192, &[(4096, 4096)], (3, 2)),
            (8000, &[(4096, 3904)], (3, 2)),
            (gib, &[(512, 512)], (0, 1 << 21)),
            (1 << 42, &[(0, 1 << 42)], (31, 4)),
        ] {
            assert_eq!(chunking(size, extents), expected, "{size} {extents:?}");
        }
    }

    #[test]
    fn names_are_sorted_with_the_dots_among_them() {
        let mut directory = Directory::default();
        for name in ["-", "a", "..a", ".a", "!"] {
            directory
                .children
                .insert(name.as_bytes().into(), Tree::root());
        }
        let listed = names(&directory);
        let listed: Vec<&[u8]> = listed.iter().map(|(name, _)| *name).collect();
        let expected: [&[u8]; 7] = [b"!", b"-", b".", b"..", b"..a", b".a", b"a"];
        assert_eq!(listed, expected);
    }

    #[test]
    fn a_block_holds_what_fits() {
        let long = [b'n'; 255];
        let names: Vec<(&[u8], Target)> = vec![(&long[..], Target::Itself); 3];
        let sizes: Vec<usize> = blocks(&names).map(<[_]>::len).collect();
        assert_eq!(sizes, [1, 1, 1]);
        let short: Vec<(&[u8], Target)> = vec![(&long[..20], Target::Itself); 33];
        let sizes: Vec<usize> = blocks(&short).map(<[_]>::len).collect();
        assert_eq!(sizes, [16, 16, 1]);
    }
}
