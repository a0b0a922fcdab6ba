//! Reads an index where it lies, mapped: nothing is parsed before it is asked for, and every offset is checked.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use super::directory::{self, DirEntry};
use super::format::{
    BLOCK, BLOCK_BITS, CHUNK_BITS, CHUNK_INDEX_SIZE, CHUNK_INDEXES, DataLayout, FEATURES,
    FOOTER_SIZE, Footer, IMPLIED, INODE_SIZE, MAGIC, NULL_BLOCK, OPAQUE, PLAIN, RECORD_SIZE,
    Record, SLOT, SUPERBLOCK, TAR_DEVICE, decode_device, u16_at, u32_at, u64_at,
};
use super::xattr;
use crate::digest::{ContentDigest, DiffId};
use crate::entry::EntryKind;
use crate::error::{Error, IndexProblem, Result};
use crate::metadata::{Metadata, Timestamp, Xattrs};
use crate::path::LayerPath;
use crate::source::{Extent, FileRange};

/// A layer's index, mapped, with its tar.
#[derive(Debug)]
pub struct Index {
    map: Mmap,
    tar: Arc<File>,
    footer: Footer,
    root: Nid,
}

/// Names an inode of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nid(pub(super) u64);

impl Nid {
    /// The number that the kernel shows as the file's inode number.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// A file, directory or the like in an index.
#[derive(Debug, Clone, Copy)]
pub struct Inode<'a> {
    index: &'a Index,
    nid: Nid,
    kind: EntryKind,
    layout: DataLayout,
    /// The extended form's 64 bytes.
    head: &'a [u8],
    /// Size of the attributes behind them.
    xattrs: usize,
    record: Record,
}

impl Index {
    /// Opens the index at `index` of the tar at `tar`.
    pub fn open(index: &Path, tar: &Path) -> Result<Self> {
        let open = |path| File::open(path).map_err(|error| Error::io("open", path, error));
        Self::new(open(tar)?, &open(index)?)
    }

    /// As [`Index::open`], of files that are already open for reading.
    pub fn open_files(index: &File, tar: &File) -> Result<Self> {
        let tar = tar
            .try_clone()
            .map_err(Error::storage("open the tar once more"))?;
        Self::new(tar, index)
    }

    fn new(tar: File, index: &File) -> Result<Self> {
        let map = map(index).map_err(Error::storage("map the index"))?;
        let footer = map
            .len()
            .checked_sub(FOOTER_SIZE)
            .and_then(|start| Footer::decode(&map[start..]))
            .ok_or(IndexProblem::Format)?;
        check_superblock(&map).ok_or(IndexProblem::Format)?;
        let records = footer
            .inodes
            .checked_mul(RECORD_SIZE as u64)
            .and_then(|size| footer.records.checked_add(size));
        let end = footer.paths.checked_add(footer.paths_size);
        if records != Some(footer.paths) || end != Some((map.len() - FOOTER_SIZE) as u64) {
            return Err(IndexProblem::Truncated.into());
        }
        let size = tar
            .metadata()
            .map_err(Error::storage("read the tar"))?
            .len();
        if size < footer.tar_size {
            return Err(IndexProblem::Tar.into());
        }
        let root = u16_at(&map, SUPERBLOCK as usize + 14).ok_or(IndexProblem::Format)?;
        let index = Self {
            map,
            tar: Arc::new(tar),
            footer,
            root: Nid(u64::from(root)),
        };
        index.inode(index.root)?.expect(EntryKind::Directory)?;
        Ok(index)
    }

    /// The layer's name.
    pub fn diff_id(&self) -> DiffId {
        self.footer.diff_id
    }

    /// The digest of everything in the layer but times: deletions count, how it came to be does not.
    pub fn content_digest(&self) -> ContentDigest {
        self.footer.content
    }

    /// Size of the tar in bytes.
    pub fn tar_size(&self) -> u64 {
        self.footer.tar_size
    }

    /// The tar, open for reading.
    pub fn tar(&self) -> &Arc<File> {
        &self.tar
    }

    /// How many inodes the layer has, the root and whiteouts among them.
    pub fn inodes(&self) -> u64 {
        self.footer.inodes
    }

    /// How many directories the layer does not describe although it has something in them; see
    /// [`reindex`](crate::reindex()).
    pub fn implied_count(&self) -> u64 {
        self.footer.implied
    }

    /// The root directory.
    pub fn root(&self) -> Nid {
        self.root
    }

    /// Reads an inode.
    pub fn inode(&self, nid: Nid) -> Result<Inode<'_>> {
        let inode = nid
            .0
            .checked_mul(SLOT)
            .and_then(|offset| self.image(offset, INODE_SIZE as u64))
            .and_then(|head| self.decode_inode(nid, head));
        Ok(inode.ok_or(IndexProblem::Inode)?)
    }

    /// What is called `name` in a directory.
    pub fn child(&self, directory: Nid, name: &[u8]) -> Result<Option<Nid>> {
        let directory = self.inode(directory)?;
        directory.expect(EntryKind::Directory)?;
        directory.child(name)
    }

    /// All names of a directory but `.` and `..`, in the order of their bytes.
    pub fn read_dir(&self, directory: Nid) -> Result<Vec<DirEntry<'_>>> {
        let directory = self.inode(directory)?;
        directory.expect(EntryKind::Directory)?;
        directory.entries()
    }

    /// What is at a path of this layer; no link is followed.
    pub fn lookup(&self, path: &LayerPath) -> Result<Option<Nid>> {
        let mut at = self.root;
        for name in path.components() {
            let inode = self.inode(at)?;
            if inode.kind() != EntryKind::Directory {
                return Ok(None);
            }
            match inode.child(name)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// A part of the image.
    fn image(&self, offset: u64, size: u64) -> Option<&[u8]> {
        let end = offset.checked_add(size)?;
        if end > self.footer.records {
            return None;
        }
        // The image is mapped, so its offsets are sizes in memory.
        self.map.get(offset as usize..end as usize)
    }

    fn record(&self, number: u32) -> Option<Record> {
        let index = u64::from(number).checked_sub(1)?;
        if index >= self.footer.inodes {
            return None;
        }
        let offset = (self.footer.records + index * RECORD_SIZE as u64) as usize;
        Record::decode(self.map.get(offset..offset + RECORD_SIZE)?)
    }

    fn decode_inode<'a>(&'a self, nid: Nid, head: &'a [u8]) -> Option<Inode<'a>> {
        let mode = u16_at(head, 4)?;
        let kind = match mode & 0o170_000 {
            0o040_000 => EntryKind::Directory,
            0o100_000 => EntryKind::File,
            0o120_000 => EntryKind::Symlink,
            0o020_000 if u32_at(head, 16)? == 0 => EntryKind::Whiteout,
            0o020_000 => EntryKind::Char,
            0o060_000 => EntryKind::Block,
            0o010_000 => EntryKind::Fifo,
            _ => return None,
        };
        Some(Inode {
            index: self,
            nid,
            kind,
            layout: DataLayout::of(u16_at(head, 0)?)?,
            head,
            xattrs: xattr::area_of_count(u16_at(head, 2)?),
            record: self.record(u32_at(head, 20)?)?,
        })
    }
}

impl<'a> Inode<'a> {
    /// Its own name in the index.
    pub fn nid(&self) -> Nid {
        self.nid
    }

    /// What it is.
    pub fn kind(&self) -> EntryKind {
        self.kind
    }

    /// Its size in bytes; of a directory that of its table.
    pub fn size(&self) -> u64 {
        u64_at(self.head, 8).unwrap_or(0)
    }

    /// How many names it has (a directory: as Linux counts them).
    pub fn links(&self) -> u32 {
        self.u32(44)
    }

    /// Mode, owner, time and attributes. The mark of an opaque directory is not among the attributes.
    pub fn metadata(&self) -> Result<Metadata> {
        Ok(Metadata {
            mode: u32::from(u16_at(self.head, 4).unwrap_or(0)) & 0o7777,
            uid: self.u32(24),
            gid: self.u32(28),
            mtime: Timestamp {
                seconds: u64_at(self.head, 32).unwrap_or(0).cast_signed(),
                nanos: self.u32(40),
            },
            xattrs: self.xattrs()?,
        })
    }

    /// Major and minor number of a device.
    pub fn device(&self) -> (u32, u32) {
        decode_device(self.u32(16))
    }

    /// The digest of a file's bytes or of a directory's entries; `None` for what has none.
    pub fn digest(&self) -> Option<ContentDigest> {
        matches!(self.kind, EntryKind::Directory | EntryKind::File).then_some(self.record.digest)
    }

    /// Whether a directory hides what lower layers have in it.
    pub fn is_opaque(&self) -> bool {
        self.record.flags & OPAQUE != 0
    }

    /// Whether nothing describes the directory, so that its metadata is that of a lower layer.
    pub fn is_implied(&self) -> bool {
        self.record.flags & IMPLIED != 0
    }

    /// Whether a directory, with all below it, means the same on top of any layer that has nothing there.
    pub fn is_plain(&self) -> bool {
        self.record.flags & PLAIN != 0
    }

    /// The first path in the layer of a file with several names; `None` for one with one name.
    pub fn first_path(&self) -> Result<Option<LayerPath>> {
        let Some(offset) = self.record.first_path.checked_sub(1) else {
            return Ok(None);
        };
        let paths = &self.index.map[self.index.footer.paths as usize..];
        let offset = offset as usize;
        let bytes = u32_at(paths, offset)
            .and_then(|size| paths.get(offset + 4..offset + 4 + size as usize))
            .ok_or(IndexProblem::Truncated)?;
        Ok(Some(
            LayerPath::new(bytes).map_err(|_| IndexProblem::Inode)?,
        ))
    }

    /// The target of a symbolic link.
    pub fn link_target(&self) -> Result<&'a [u8]> {
        self.expect(EntryKind::Symlink)?;
        self.data()
    }

    /// Which bytes of the tar are the file's: runs that are not holes, in order.
    pub fn extents(&self) -> Result<Vec<Extent>> {
        self.expect(EntryKind::File)?;
        if self.size() == 0 {
            return Ok(Vec::new());
        }
        Ok(self.chunks().ok_or(IndexProblem::Inode)?)
    }

    /// The file as a source of bytes.
    pub fn range(&self) -> Result<FileRange> {
        Ok(FileRange {
            tar: Arc::clone(&self.index.tar),
            extents: self.extents()?,
            size: self.size(),
            digest: self.record.digest,
        })
    }

    pub(crate) fn expect(&self, kind: EntryKind) -> Result<()> {
        if self.kind == kind {
            Ok(())
        } else {
            Err(IndexProblem::Kind.into())
        }
    }

    fn u32(&self, at: usize) -> u32 {
        // The head always has its 64 bytes.
        u32_at(self.head, at).unwrap_or(0)
    }

    fn offset(&self) -> u64 {
        self.nid.0 * SLOT
    }

    /// Where what stands behind the inode begins.
    fn tail(&self) -> u64 {
        self.offset() + (INODE_SIZE + self.xattrs) as u64
    }

    fn xattrs(&self) -> Result<Xattrs> {
        if self.xattrs == 0 {
            return Ok(Xattrs::new());
        }
        let area = self
            .index
            .image(self.offset() + INODE_SIZE as u64, self.xattrs as u64)
            .ok_or(IndexProblem::Truncated)?;
        Ok(xattr::decode(area)?)
    }

    /// The data that the image itself holds.
    fn data(&self) -> Result<&'a [u8]> {
        let start = match self.layout {
            DataLayout::Plain => u64::from(self.u32(16)) * BLOCK,
            DataLayout::Inline => self.tail(),
            DataLayout::Chunks => return Err(IndexProblem::Inode.into()),
        };
        let data = self.index.image(start, self.size());
        Ok(data.ok_or(IndexProblem::Truncated)?)
    }

    fn chunks(&self) -> Option<Vec<Extent>> {
        let format = u16_at(self.head, 16)?;
        if self.layout != DataLayout::Chunks || format & !CHUNK_BITS != CHUNK_INDEXES {
            return None;
        }
        let size = self.size();
        let chunk = BLOCK << (format & CHUNK_BITS);
        let count = size.div_ceil(chunk);
        let start = self.tail().next_multiple_of(CHUNK_INDEX_SIZE);
        let table = self
            .index
            .image(start, count.checked_mul(CHUNK_INDEX_SIZE)?)?;
        let mut extents: Vec<Extent> = Vec::new();
        for (number, index) in table.chunks_exact(CHUNK_INDEX_SIZE as usize).enumerate() {
            let block = u32_at(index, 4)?;
            if block == NULL_BLOCK {
                continue;
            }
            let offset = number as u64 * chunk;
            let extent = Extent {
                offset,
                position: u64::from(block) * BLOCK,
                length: chunk.min(size - offset),
            };
            let in_tar = extent.position + extent.length <= self.index.footer.tar_size;
            if u16_at(index, 2)? != TAR_DEVICE || !in_tar {
                return None;
            }
            match extents.last_mut() {
                Some(last) if last.is_followed_by(&extent) => last.length += extent.length,
                _ => extents.push(extent),
            }
        }
        Some(extents)
    }

    fn entries(&self) -> Result<Vec<DirEntry<'a>>> {
        let entries = directory::entries(self.data()?)?;
        for entry in &entries {
            self.check_child(entry.nid)?;
        }
        Ok(entries)
    }

    fn child(&self, name: &[u8]) -> Result<Option<Nid>> {
        let found = directory::find(self.data()?, name)?;
        if let Some(nid) = found {
            self.check_child(nid)?;
        }
        Ok(found)
    }

    /// Directories stand before what is in them, so that no damage makes a walk endless. Only a name of a file that
    /// has several can lead back.
    fn check_child(&self, nid: Nid) -> Result<()> {
        if nid > self.nid || self.index.inode(nid)?.kind() != EntryKind::Directory {
            return Ok(());
        }
        Err(IndexProblem::Directory.into())
    }
}

fn check_superblock(map: &[u8]) -> Option<()> {
    let block = map.get(SUPERBLOCK as usize..)?;
    let valid = u32_at(block, 0)? == MAGIC
        && block.get(12) == Some(&BLOCK_BITS)
        && u32_at(block, 80)? == FEATURES
        && u32_at(block, 40)? == 0;
    valid.then_some(())
}

fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: an index is written once, under a temporary name, and never changed afterwards.
    #[expect(unsafe_code, reason = "there is no safe way to map a file")]
    unsafe {
        Mmap::map(file)
    }
}
