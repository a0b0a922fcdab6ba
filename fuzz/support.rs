//! What the targets share: files in memory, a store that keeps nothing, and a walk over all that an index says.

pub mod plan;

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use image::StoreError;
use image::transfer::{LayerDraft, LayerFiles, LayerSink, PartialBlob, ReceivedLayer};
use layer::{DiffId, Digest, EntryKind, Index, View};

/// Files larger than this are not read to their end: a hole of terabytes costs no memory, but time.
const READ_MAX: u64 = 1 << 20;

/// An empty file in memory.
///
/// # Panics
/// Without memory.
#[must_use]
pub fn memory() -> File {
    let file = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC);
    file.expect("the kernel gives memory").into()
}

/// A file in memory that holds these bytes.
///
/// # Panics
/// Without memory.
#[must_use]
pub fn memory_of(bytes: &[u8]) -> File {
    let file = memory();
    file.write_all_at(bytes, 0).expect("memory can be written");
    file
}

/// All bytes of a file.
///
/// # Panics
/// On a file that cannot be read.
#[must_use]
pub fn bytes_of(file: &File) -> Vec<u8> {
    let size = file.metadata().expect("the file is open").len();
    let mut bytes = vec![0; usize::try_from(size).expect("the file is in memory")];
    file.read_exact_at(&mut bytes, 0)
        .expect("memory can be read");
    bytes
}

/// Asks an index for everything it has: it may refuse anything, but must come to an end. Gives the number of entries
/// that could be read whole.
#[must_use]
pub fn walk(index: Index) -> u64 {
    let entries_max = index.inodes().saturating_mul(2).min(1 << 16);
    let view = View::new(vec![Arc::new(index)]);
    let Ok(root) = view.root() else {
        return 0;
    };
    let mut pending = vec![(root, 0)];
    let mut whole = 0;
    while let Some((node, depth)) = pending.pop() {
        if node.metadata().is_err() || node.link_id().is_err() || node.planned().is_err() {
            continue;
        }
        whole += 1;
        match node.kind() {
            EntryKind::Directory if depth < 64 && whole < entries_max => {
                let entries = node.entries().unwrap_or_default();
                pending.extend(entries.into_iter().map(|(_, node)| (node, depth + 1)));
            }
            EntryKind::File => {
                if let Ok(source) = node.file()
                    && let Ok(reader) = source.open()
                {
                    let _ = std::io::copy(&mut reader.take(READ_MAX), &mut std::io::sink());
                }
            }
            _ => {}
        }
    }
    whole
}

/// A store that forgets what it is given.
#[derive(Debug)]
pub struct Forgetful;

impl LayerSink for Forgetful {
    fn contains(&self, _: &DiffId) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn begin(&self) -> Result<Box<dyn LayerDraft>, StoreError> {
        Ok(Box::new(Self))
    }

    fn partial(&self, _: &Digest, _: u64) -> Result<Option<Box<dyn PartialBlob>>, StoreError> {
        Ok(None)
    }
}

impl LayerDraft for Forgetful {
    fn files(&self) -> Result<LayerFiles, StoreError> {
        Ok(LayerFiles {
            tar: memory(),
            index: memory(),
        })
    }

    fn commit(self: Box<Self>, _: &ReceivedLayer) -> Result<(), StoreError> {
        Ok(())
    }
}
