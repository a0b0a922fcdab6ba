//! The on-disk format of EROFS (Linux: `fs/erofs/erofs_fs.h`), as far as an index uses it, and of what follows it.
//!
//! ```text
//! 0      zeros
//! 1024   superblock, 128 bytes
//! 1152   device slot of the tar, 128 bytes
//! 1536   inodes: the root first; in 32-byte slots, each with its attributes and chunks or link target
//! …      blocks of directories and of long link targets
//!        records, 40 bytes for each inode, in the order of `i_ino` from 1
//!        first paths of files with several names, each behind its length as u32
//!        footer
//! ```
//! All numbers are little-endian. Every inode is of the extended form, every regular file that is not empty is
//! chunk-based with block indexes.

use crate::digest::{ContentDigest, DiffId, Digest};
use crate::entry::EntryKind;

/// Size of a block: that of a tar, so that a file's data always begins at one.
pub(crate) const BLOCK: u64 = 512;
pub(crate) const BLOCK_BITS: u8 = 9;
/// Where the superblock is.
pub(crate) const SUPERBLOCK: u64 = 1024;
pub(crate) const SUPERBLOCK_SIZE: usize = 128;
pub(crate) const MAGIC: u32 = 0xe0f5_e1e2;
/// Files made of chunks; a table of devices.
pub(crate) const FEATURES: u32 = 0x4 | 0x8;
/// `devt_slotoff`: the device slot follows the superblock.
pub(crate) const DEVICE_SLOT: u16 = 9;
pub(crate) const DEVICE_SLOT_SIZE: usize = 128;
/// Where the first inode is.
pub(crate) const INODES: u64 = 1536;
/// Inodes are addressed in these.
pub(crate) const SLOT: u64 = 32;
/// Size of an extended inode.
pub(crate) const INODE_SIZE: usize = 64;
/// The number by which chunks name the tar.
pub(crate) const TAR_DEVICE: u16 = 1;
/// The block address of a hole.
pub(crate) const NULL_BLOCK: u32 = u32::MAX;
pub(crate) const CHUNK_INDEX_SIZE: u64 = 8;
/// `i_u.c.format`: block indexes are present; the low five bits are the chunk's size in blocks as a power of 2.
pub(crate) const CHUNK_INDEXES: u16 = 0x20;
pub(crate) const CHUNK_BITS: u16 = 0x1f;
pub(crate) const DIRENT_SIZE: usize = 12;

/// How an inode's data is stored (`i_format`, bits 1 to 3; bit 0 is set for extended inodes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataLayout {
    /// In blocks of the image.
    Plain = 0,
    /// Right behind the inode.
    Inline = 2,
    /// In chunks, each anywhere.
    Chunks = 4,
}

impl DataLayout {
    pub(crate) const fn format(self) -> u16 {
        (self as u16) << 1 | 1
    }

    pub(crate) const fn of(format: u16) -> Option<Self> {
        match format {
            0b0001 => Some(Self::Plain),
            0b0101 => Some(Self::Inline),
            0b1001 => Some(Self::Chunks),
            _ => None,
        }
    }
}

/// File type bits of `i_mode`. A whiteout is the character device 0:0, as overlayfs has it.
pub(crate) const fn mode_type(kind: EntryKind) -> u16 {
    match kind {
        EntryKind::Directory => 0o040_000,
        EntryKind::File => 0o100_000,
        EntryKind::Symlink => 0o120_000,
        EntryKind::Char | EntryKind::Whiteout => 0o020_000,
        EntryKind::Block => 0o060_000,
        EntryKind::Fifo => 0o010_000,
    }
}

/// `file_type` of a directory entry.
pub(crate) const fn dirent_type(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::File => 1,
        EntryKind::Directory => 2,
        EntryKind::Char | EntryKind::Whiteout => 3,
        EntryKind::Block => 4,
        EntryKind::Fifo => 5,
        EntryKind::Symlink => 7,
    }
}

/// A device number as the kernel's `new_encode_dev` makes it.
pub(crate) const fn encode_device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12
}

/// Major and minor number of [`encode_device`].
pub(crate) const fn decode_device(device: u32) -> (u32, u32) {
    (
        (device >> 8) & 0xfff,
        (device & 0xff) | (device >> 12) & 0xf_ff00,
    )
}

/// What rbuild knows of an inode beside what EROFS holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    /// Of a file's bytes or a directory's entries; zero for others.
    pub(crate) digest: ContentDigest,
    pub(crate) flags: u32,
    /// Where its first path begins in the section of paths, plus 1; 0 for what has one name.
    pub(crate) first_path: u32,
}

/// Flag of a record: the directory hides what lower layers have in it.
pub(crate) const OPAQUE: u32 = 1;
/// Flag of a record: nothing describes the directory.
pub(crate) const IMPLIED: u32 = 2;
/// Flag of a record: nothing in or below the directory is a whiteout, opaque or implied.
pub(crate) const PLAIN: u32 = 4;

pub(crate) const RECORD_SIZE: usize = 40;

impl Record {
    pub(crate) fn encode(&self) -> [u8; RECORD_SIZE] {
        let mut bytes = [0; RECORD_SIZE];
        bytes[..32].copy_from_slice(self.digest.as_bytes());
        bytes[32..36].copy_from_slice(&self.flags.to_le_bytes());
        bytes[36..].copy_from_slice(&self.first_path.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            digest: ContentDigest::from_bytes(bytes.get(..32)?.try_into().ok()?),
            flags: u32_at(bytes, 32)?,
            first_path: u32_at(bytes, 36)?,
        })
    }
}

/// The end of the file: what the layer is, and where the other parts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) records: u64,
    pub(crate) inodes: u64,
    pub(crate) paths: u64,
    pub(crate) paths_size: u64,
    pub(crate) tar_size: u64,
    pub(crate) implied: u64,
    pub(crate) diff_id: DiffId,
    pub(crate) content: ContentDigest,
}

/// Names the format and its version; changes with every change of either this format or the digests.
const FOOTER_MAGIC: &[u8; 8] = b"rbldidx1";
const FOOTER_BODY: usize = 8 + 6 * 8 + 2 * 32;
pub(crate) const FOOTER_SIZE: usize = FOOTER_BODY + 32;

impl Footer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FOOTER_SIZE);
        bytes.extend_from_slice(FOOTER_MAGIC);
        for number in [
            self.records,
            self.inodes,
            self.paths,
            self.paths_size,
            self.tar_size,
            self.implied,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(self.diff_id.digest().as_bytes());
        bytes.extend_from_slice(self.content.as_bytes());
        let check = blake3::hash(&bytes);
        bytes.extend_from_slice(check.as_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, check) = bytes.split_at_checked(FOOTER_BODY)?;
        if !body.starts_with(FOOTER_MAGIC) || blake3::hash(body).as_bytes() != check {
            return None;
        }
        let digest = |at: usize| body.get(at..at + 32)?.try_into().ok();
        Some(Self {
            records: u64_at(body, 8)?,
            inodes: u64_at(body, 16)?,
            paths: u64_at(body, 24)?,
            paths_size: u64_at(body, 32)?,
            tar_size: u64_at(body, 40)?,
            implied: u64_at(body, 48)?,
            diff_id: DiffId::new(Digest::from_bytes(digest(56)?)),
            content: ContentDigest::from_bytes(digest(88)?),
        })
    }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_survive() {
        for device in [(0, 0), (1, 3), (8, 255), (259, 1_048_575), (4095, 256)] {
            assert_eq!(decode_device(encode_device(device.0, device.1)), device);
        }
    }

    #[test]
    fn a_footer_is_read_only_whole() {
        let footer = Footer {
            records: 1,
            inodes: 2,
            paths: 3,
            paths_size: 4,
            tar_size: 5,
            implied: 6,
            diff_id: DiffId::new(Digest::of(b"")),
            content: ContentDigest::of(b""),
        };
        let bytes = footer.encode();
        assert_eq!(bytes.len(), FOOTER_SIZE);
        assert_eq!(Footer::decode(&bytes), Some(footer));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Footer::decode(&damaged), None, "{at}");
            assert_eq!(Footer::decode(&bytes[..at]), None, "{at}");
        }
    }
}
