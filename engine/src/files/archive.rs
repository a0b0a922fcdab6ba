//! Archives that `ADD` unpacks: found by their content, decompressed once, and read like any other layer.

use std::io::{BufReader, Read, Seek, SeekFrom};

use image::compression::{Format, decoder};
use layer::{SourceReader, View};

use super::filter::Filter;
use super::node::{Kind, Node};
use super::select::Tree;
use super::view::ViewTree;
use crate::build::Implied;
use crate::error::FileError;

/// How much of a file is read to see what it is: a tar's first block.
const HEAD: usize = 512;
/// How much of it is read at once when it is unpacked.
const BUFFER: usize = 256 << 10;
/// Where a tar's header says `ustar`.
const USTAR: std::ops::Range<usize> = 257..262;

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
    let mut source = file.source().open()?;
    if !recognise(&mut source) {
        return Ok(None);
    }
    unpack(source, store).map(Some)
}

/// Whether what begins with these bytes is an archive rather than text: compressed, or a tar.
pub fn is_archive(head: &[u8]) -> bool {
    let format = decoder(head).map(|(format, _)| format);
    let compressed = format.is_ok_and(|format| format != Format::Plain);
    compressed || is_tar(head.get(..HEAD).unwrap_or_default())
}

/// Whether the file is a tar, as it is or compressed.
fn recognise(file: &mut SourceReader) -> bool {
    let head = decoder(BufReader::new(&mut *file)).ok();
    let head = head.and_then(|(_, decoded)| read_head(decoded));
    file.seek(SeekFrom::Start(0)).is_ok() && head.is_some_and(|head| is_tar(&head))
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

/// Reads an archive, as it is or compressed.
pub(crate) fn unpack(source: impl Read + Send, store: &cache::Store) -> Result<Archive, FileError> {
    let reader = decoder(BufReader::with_capacity(BUFFER, source));
    let (_, reader) = reader.map_err(|source| FileError::Archive { source })?;
    let draft = store.layers().begin()?;
    let (tar, index) =
        crate::engine::create_files(&draft).map_err(|source| FileError::Archive { source })?;
    let summary = layer::index_archive(reader, &tar, &index)?;
    let index = layer::Index::open_files(&index, &tar)?;
    let tree = ViewTree::new(View::new(vec![std::sync::Arc::new(index)]));
    let tree = tree
        .node_at(b"", &Filter::default())?
        .ok_or(FileError::BadPath("/".into()))?;
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
