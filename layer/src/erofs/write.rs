//! Writes an index from a tree.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::format::{
    BLOCK, BLOCK_BITS, CHUNK_INDEXES, DEVICE_SLOT, DEVICE_SLOT_SIZE, DIRENT_SIZE, FEATURES, Footer,
    IMPLIED, INODES, MAGIC, NULL_BLOCK, OPAQUE, PLAIN, Record, SLOT, SUPERBLOCK, SUPERBLOCK_SIZE,
    TAR_DEVICE, dirent_type, encode_device, mode_type,
};
use super::layout::{Chunking, Layout, Target, blocks, data_layout, head_size, names};
use super::xattr;
use crate::digest::{ContentDigest, DiffId};
use crate::error::{Error, Result};
use crate::merkle::{Content, DirectoryHasher, Entry, tree_digest};
use crate::tree::{Data, Extents, Inode, InodeId, Node, Survey, Tree};

/// Which tar an index belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) diff_id: DiffId,
    /// Size of the tar in bytes.
    pub(crate) tar_size: u64,
}

/// Writes the index of a tree, with its whiteouts settled, to an empty file. Gives the layer's content digest.
pub(crate) fn write_index(tree: &Tree, identity: Identity, file: &File) -> Result<ContentDigest> {
    let survey = tree.survey();
    let digests = Digests::of(tree, &survey);
    let layout = Layout::of(tree, &survey);
    let writer = IndexWriter {
        tree,
        survey: &survey,
        digests: &digests,
        layout: &layout,
        identity,
    };
    let mut out = Counted::new(file);
    writer
        .write(&mut out)
        .and_then(|()| out.inner.flush())
        .map_err(Error::storage("write the index"))?;
    Ok(digests.layer)
}

/// Digests of directories and of the layer.
struct Digests {
    directories: HashMap<InodeId, ContentDigest>,
    /// By inode: whether nothing in or below a directory depends on lower layers.
    plain: Vec<bool>,
    layer: ContentDigest,
}

const NO_DIGEST: ContentDigest = ContentDigest::from_bytes([0; 32]);

impl Digests {
    fn of(tree: &Tree, survey: &Survey) -> Self {
        let mut digests = Self {
            directories: HashMap::new(),
            plain: vec![true; tree.len()],
            layer: NO_DIGEST,
        };
        // Directories stand before what is in them; files with several names may stand before all of these.
        for &id in &survey.order {
            if matches!(tree.get(id).node, Node::Whiteout) {
                digests.plain[id.index()] = false;
            }
        }
        for &id in survey.order.iter().rev() {
            let Some(directory) = tree.directory(id) else {
                continue;
            };
            let mut hasher = DirectoryHasher::new();
            let mut plain = !directory.opaque && !directory.implied;
            for (name, &child) in &directory.children {
                hasher.add(&digests.entry(tree, survey, name, child));
                plain &= digests.plain[child.index()];
            }
            digests.directories.insert(id, hasher.finish());
            digests.plain[id.index()] = plain;
        }
        digests.layer = tree_digest(&digests.entry(tree, survey, b"", Tree::root()));
        digests
    }

    /// The digest of an inode; zero where there is none.
    fn content(&self, tree: &Tree, id: InodeId) -> ContentDigest {
        match &tree.get(id).node {
            Node::File(data) => data.digest,
            _ => self.directories.get(&id).copied().unwrap_or(NO_DIGEST),
        }
    }

    fn entry<'a>(
        &self,
        tree: &'a Tree,
        survey: &'a Survey,
        name: &'a [u8],
        id: InodeId,
    ) -> Entry<'a> {
        let inode = tree.get(id);
        let digest = self.content(tree, id);
        Entry {
            name,
            metadata: &inode.metadata,
            content: match &inode.node {
                Node::Directory(directory) => Content::Directory {
                    digest,
                    opaque: directory.opaque,
                    implied: directory.implied,
                },
                Node::File(_) => Content::File(digest),
                Node::Symlink(target) => Content::Symlink(target),
                Node::Char(major, minor) => Content::Char(*major, *minor),
                Node::Block(major, minor) => Content::Block(*major, *minor),
                Node::Fifo => Content::Fifo,
                Node::Whiteout => Content::Whiteout,
            },
            link: survey
                .first_paths
                .get(&id)
                .map_or(b"", |path| path.as_bytes()),
        }
    }
}

/// A file being written in order.
struct Counted<'a> {
    inner: BufWriter<&'a File>,
    position: u64,
}

impl<'a> Counted<'a> {
    fn new(file: &'a File) -> Self {
        Self {
            inner: BufWriter::with_capacity(1 << 18, file),
            position: 0,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.position += bytes.len() as u64;
        self.inner.write_all(bytes)
    }

    /// Zeros up to `position`, which is never far.
    fn pad_to(&mut self, position: u64) -> io::Result<()> {
        const ZEROS: [u8; 2048] = [0; 2048];
        while self.position < position {
            let length = (position - self.position).min(ZEROS.len() as u64);
            self.write(&ZEROS[..length as usize])?;
        }
        Ok(())
    }
}

struct IndexWriter<'a> {
    tree: &'a Tree,
    survey: &'a Survey,
    digests: &'a Digests,
    layout: &'a Layout,
    identity: Identity,
}

impl IndexWriter<'_> {
    fn write(&self, out: &mut Counted<'_>) -> io::Result<()> {
        out.pad_to(SUPERBLOCK)?;
        out.write(&self.superblock())?;
        out.write(&self.device_slot())?;
        out.pad_to(INODES)?;
        let mut scratch = Vec::with_capacity(1024);
        for (number, &id) in self.survey.order.iter().enumerate() {
            out.pad_to(self.layout.nids[id.index()] * SLOT)?;
            scratch.clear();
            self.encode_inode(id, number as u32 + 1, &mut scratch);
            out.write(&scratch)?;
            if let Node::File(data) = &self.tree.get(id).node {
                write_chunks(data, out)?;
            }
        }
        out.pad_to(self.layout.data)?;
        for &id in &self.survey.order {
            self.write_blocks(id, out)?;
        }
        self.write_records(out)
    }

    fn superblock(&self) -> [u8; SUPERBLOCK_SIZE] {
        let mut block = [0; SUPERBLOCK_SIZE];
        let root = self.layout.nids[Tree::root().index()];
        put(&mut block, 0, MAGIC.to_le_bytes());
        put(&mut block, 12, [BLOCK_BITS]);
        put(&mut block, 14, (root as u16).to_le_bytes());
        put(
            &mut block,
            16,
            (self.survey.order.len() as u64).to_le_bytes(),
        );
        put(
            &mut block,
            36,
            ((self.layout.end / BLOCK) as u32).to_le_bytes(),
        );
        put(&mut block, 80, FEATURES.to_le_bytes());
        put(&mut block, 86, 1_u16.to_le_bytes());
        put(&mut block, 88, DEVICE_SLOT.to_le_bytes());
        block
    }

    /// The tar's place in the table of devices: its name and its size in blocks.
    fn device_slot(&self) -> [u8; DEVICE_SLOT_SIZE] {
        let mut slot = [0; DEVICE_SLOT_SIZE];
        let tag = self.identity.diff_id.digest().to_hex();
        slot[..tag.len()].copy_from_slice(tag.as_bytes());
        let blocks = self.identity.tar_size.div_ceil(BLOCK);
        put(&mut slot, 64, (blocks as u32).to_le_bytes());
        slot
    }

    fn encode_inode(&self, id: InodeId, number: u32, out: &mut Vec<u8>) {
        let inode = self.tree.get(id);
        let blocks = self.layout.blocks(id);
        let metadata = &inode.metadata;
        let xattrs = head_size(inode) as usize - super::format::INODE_SIZE;
        let mode = metadata.mode as u16 | mode_type(inode.kind());
        let (size, address) = match &inode.node {
            Node::Directory(_) => (blocks.size, blocks.first as u32),
            Node::File(data) if data.size > 0 => {
                let format = CHUNK_INDEXES | Chunking::of(data).bits as u16;
                (data.size, u32::from(format))
            }
            Node::Symlink(target) => (target.len() as u64, blocks.first as u32),
            Node::Char(major, minor) | Node::Block(major, minor) => {
                (0, encode_device(*major, *minor))
            }
            Node::File(_) | Node::Fifo | Node::Whiteout => (0, 0),
        };
        let links = self.survey.links[id.index()];
        let links = match &inode.node {
            Node::Directory(_) => links + 2,
            _ => links,
        };
        out.extend_from_slice(&data_layout(&inode.node).format().to_le_bytes());
        out.extend_from_slice(&xattr::area_count(xattrs).to_le_bytes());
        out.extend_from_slice(&mode.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&size.to_le_bytes());
        for field in [address, number, metadata.uid, metadata.gid] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&metadata.mtime.seconds.to_le_bytes());
        out.extend_from_slice(&metadata.mtime.nanos.to_le_bytes());
        out.extend_from_slice(&links.to_le_bytes());
        out.extend_from_slice(&[0; 16]);
        xattr::encode(&metadata.xattrs, is_opaque(inode), out);
        if let Node::Symlink(target) = &inode.node
            && data_layout(&inode.node) == super::format::DataLayout::Inline
        {
            out.extend_from_slice(target);
        }
    }

    /// The blocks of a directory or a long target.
    fn write_blocks(&self, id: InodeId, out: &mut Counted<'_>) -> io::Result<()> {
        if self.layout.blocks(id).size == 0 {
            return Ok(());
        }
        match &self.tree.get(id).node {
            Node::Symlink(target) => out.write(target)?,
            Node::Directory(directory) => {
                for block in blocks(&names(directory)) {
                    out.write(&self.directory_block(id, block))?;
                    out.pad_to(out.position.next_multiple_of(BLOCK))?;
                }
            }
            _ => {}
        }
        out.pad_to(out.position.next_multiple_of(BLOCK))
    }

    fn directory_block(&self, id: InodeId, names: &[(&[u8], Target)]) -> Vec<u8> {
        let mut block = Vec::with_capacity(BLOCK as usize);
        let mut offset = names.len() * DIRENT_SIZE;
        for (name, target) in names {
            let inode = match target {
                Target::Itself => id,
                Target::Parent => self.survey.parents[id.index()],
                Target::Entry(inode) => *inode,
            };
            let kind = self.tree.get(inode).kind();
            block.extend_from_slice(&self.layout.nids[inode.index()].to_le_bytes());
            block.extend_from_slice(&(offset as u16).to_le_bytes());
            block.extend_from_slice(&[dirent_type(kind), 0]);
            offset += name.len();
        }
        for (name, _) in names {
            block.extend_from_slice(name);
        }
        block
    }

    fn write_records(&self, out: &mut Counted<'_>) -> io::Result<()> {
        let records = out.position;
        let mut paths = Vec::new();
        let mut implied = 0;
        for &id in &self.survey.order {
            let record = self.record(id, &mut paths);
            implied += u64::from(record.flags & IMPLIED != 0);
            out.write(&record.encode())?;
        }
        let footer = Footer {
            records,
            inodes: self.survey.order.len() as u64,
            paths: out.position,
            paths_size: paths.len() as u64,
            tar_size: self.identity.tar_size,
            implied,
            diff_id: self.identity.diff_id,
            content: self.digests.layer,
        };
        out.write(&paths)?;
        out.write(&footer.encode())
    }

    fn record(&self, id: InodeId, paths: &mut Vec<u8>) -> Record {
        let mut flags = 0;
        if let Node::Directory(directory) = &self.tree.get(id).node {
            for (set, flag) in [
                (directory.opaque, OPAQUE),
                (directory.implied, IMPLIED),
                (self.digests.plain[id.index()], PLAIN),
            ] {
                flags |= if set { flag } else { 0 };
            }
        }
        let mut first_path = 0;
        if let Some(path) = self.survey.first_paths.get(&id) {
            let path = path.as_bytes();
            first_path = paths.len() as u32 + 1;
            paths.extend_from_slice(&(path.len() as u32).to_le_bytes());
            paths.extend_from_slice(path);
        }
        Record {
            digest: self.digests.content(self.tree, id),
            flags,
            first_path,
        }
    }
}

fn is_opaque(inode: &Inode) -> bool {
    matches!(&inode.node, Node::Directory(directory) if directory.opaque)
}

/// The table of a file's chunks.
fn write_chunks(data: &Data, out: &mut Counted<'_>) -> io::Result<()> {
    if data.size == 0 {
        return Ok(());
    }
    out.pad_to(out.position.next_multiple_of(8))?;
    let chunking = Chunking::of(data);
    let chunk = BLOCK << chunking.bits;
    let mut extents = match &data.extents {
        Extents::Contiguous(_) => [].iter(),
        Extents::Sparse(extents) => extents.iter(),
    }
    .peekable();
    for number in 0..chunking.count {
        let offset = number * chunk;
        let position = match &data.extents {
            Extents::Contiguous(position) => Some(position + offset),
            Extents::Sparse(_) => {
                while extents
                    .next_if(|extent| extent.offset + extent.length <= offset)
                    .is_some()
                {}
                extents
                    .peek()
                    .filter(|extent| extent.offset <= offset)
                    .map(|extent| extent.position + (offset - extent.offset))
            }
        };
        let mut index = [0; 8];
        let block = match position {
            Some(position) => {
                put(&mut index, 2, TAR_DEVICE.to_le_bytes());
                (position / BLOCK) as u32
            }
            None => NULL_BLOCK,
        };
        put(&mut index, 4, block.to_le_bytes());
        out.write(&index)?;
    }
    Ok(())
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, field: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&field);
}
