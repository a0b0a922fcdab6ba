//! Archives that `ADD` unpacks: found by their content, decompressed once, and read like any other layer.

use std::io::{BufReader, Read, Seek, SeekFrom};

use layer::{SourceReader, View};

use super::node::{Kind, Node};
use super::select::Tree;
use super::view::ViewTree;
use crate::build::Implied;
use crate::error::FileError;

/// How much of a file is read to see what it is: a tar's first block.
const HEAD: usize = 512;
/// Where a tar's header says `ustar`.
const USTAR: std::ops::Range<usize> = 257..262;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Compression {
    /// By the first bytes (the magic numbers of RFC 1952, bzip2, xz and RFC 8878).
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    fn reader<'a>(self, file: impl Read + 'a) -> std::io::Result<Box<dyn Read + 'a>> {
        let file = BufReader::with_capacity(1 << 18, file);
        Ok(match self {
            Self::None => Box::new(file),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
            Self::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(file)),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(file)?),
        })
    }
}

/// An archive's contents.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) tree: Node,
    /// Directories that the archive only implies.
    pub(crate) implied: Implied,
}

/// Opens what is an archive; `None` for any other file.
pub(crate) fn open(node: &Node, store: &cache::Store) -> Result<Option<Archive>, FileError> {
    let Kind::File(file) = &node.kind else {
        return Ok(None);
    };
    let mut source = file.source.open()?;
    let Some(compression) = recognise(&mut source) else {
        return Ok(None);
    };
    unpack(source, compression, store).map(Some)
}

/// Whether the file is a tar, as it is or compressed, and how.
fn recognise(file: &mut SourceReader) -> Option<Compression> {
    let head = read_head(&mut *file)?;
    let compression = Compression::of(&head);
    file.seek(SeekFrom::Start(0)).ok()?;
    let head = match compression {
        Compression::None => head,
        _ => read_head(compression.reader(&mut *file).ok()?)?,
    };
    file.seek(SeekFrom::Start(0)).ok()?;
    is_tar(&head).then_some(compression)
}

fn read_head(reader: impl Read) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    reader.take(HEAD as u64).read_to_end(&mut head).ok()?;
    Some(head)
}

/// Whether the block is a tar header: the magic of POSIX tars, or the checksum of those that have none.
fn is_tar(block: &[u8]) -> bool {
    if block.len() < HEAD || block.iter().all(|byte| *byte == 0) {
        return false;
    }
    let field = &block[148..156];
    let digits: String = field
        .iter()
        .map(|byte| char::from(*byte))
        .filter(char::is_ascii_digit)
        .collect();
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            u64::from(if (148..156).contains(&at) {
                b' '
            } else {
                *byte
            })
        })
        .sum();
    let valid = u64::from_str_radix(&digits, 8).is_ok_and(|stated| stated == sum);
    valid && (&block[USTAR] == b"ustar" || block[USTAR].iter().all(|byte| *byte == 0))
}

fn unpack(
    source: SourceReader,
    compression: Compression,
    store: &cache::Store,
) -> Result<Archive, FileError> {
    let reader = compression.reader(source);
    let reader = reader.map_err(|source| FileError::Archive { source })?;
    let draft = store.layers().begin()?;
    let (tar, index) =
        crate::engine::create_files(&draft).map_err(|source| FileError::Archive { source })?;
    let summary = layer::index_archive(reader, &tar, &index)?;
    let index = layer::Index::open_files(&index, &tar)?;
    let tree = ViewTree::new(View::new(vec![std::sync::Arc::new(index)]));
    let tree = tree.node_at(b"")?.ok_or(FileError::BadPath("/".into()))?;
    let implied = summary.implied_dirs.into_iter();
    Ok(Archive {
        tree,
        implied: implied.map(|path| path.as_bytes().to_vec()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions_are_told_by_their_first_bytes() {
        let cases: [(&[u8], Compression); 6] = [
            (b"\x1f\x8b\x08\0", Compression::Gzip),
            (b"BZh91AY", Compression::Bzip2),
            (b"\xfd7zXZ\0\0", Compression::Xz),
            (b"\x28\xb5\x2f\xfd", Compression::Zstd),
            (b"", Compression::None),
            (b"#!/bin/sh", Compression::None),
        ];
        for (head, expected) in cases {
            assert_eq!(Compression::of(head), expected, "{head:?}");
        }
    }

    #[test]
    fn a_tar_is_known_by_its_header() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o644);
        header.set_cksum();
        builder
            .append_data(&mut header, "file", std::io::empty())
            .expect("writes to memory");
        let bytes = builder.into_inner().expect("writes to memory");
        assert!(is_tar(&bytes[..HEAD]));
        assert!(!is_tar(&[0; HEAD]));
        assert!(!is_tar(&bytes[..100]));
        let mut damaged = bytes[..HEAD].to_vec();
        damaged[0] ^= 1;
        assert!(!is_tar(&damaged));
    }
}
