//! The blocks of a directory: entries, then the names that they point to.

use super::format::{BLOCK, DIRENT_SIZE, u16_at, u64_at};
use super::read::Nid;
use crate::error::{IndexProblem, Result};

/// A name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// The name's bytes.
    pub name: &'a [u8],
    /// What it names.
    pub nid: Nid,
}

/// All entries of a directory's data but `.` and `..`, in their order.
pub(super) fn entries(data: &[u8]) -> Result<Vec<DirEntry<'_>>> {
    let mut entries = Vec::new();
    for block in data.chunks(BLOCK as usize) {
        let block = DirBlock::new(block)?;
        for at in 0..block.count {
            let entry = block.entry(at)?;
            if !matches!(entry.name, b"." | b"..") {
                entries.push(entry);
            }
        }
    }
    Ok(entries)
}

/// What a name stands for, by two binary searches: for its block, then in it.
pub(super) fn find(data: &[u8], name: &[u8]) -> Result<Option<Nid>> {
    if matches!(name, b"." | b"..") {
        return Ok(None);
    }
    let block_at = |at: usize| {
        let start = at * BLOCK as usize;
        DirBlock::new(&data[start..data.len().min(start + BLOCK as usize)])
    };
    let count = data.len().div_ceil(BLOCK as usize);
    let after = partition(count, |at| Ok(block_at(at)?.entry(0)?.name <= name))?;
    let Some(block) = after.checked_sub(1) else {
        return Ok(None);
    };
    let block = block_at(block)?;
    let at = partition(block.count, |at| Ok(block.entry(at)?.name < name))?;
    if at == block.count {
        return Ok(None);
    }
    let entry = block.entry(at)?;
    Ok((entry.name == name).then_some(entry.nid))
}

/// A block of a directory: entries, then their names.
struct DirBlock<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> DirBlock<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self> {
        let first = u16_at(bytes, 8).map_or(0, usize::from);
        if first == 0 || !first.is_multiple_of(DIRENT_SIZE) || first > bytes.len() {
            return Err(IndexProblem::Directory.into());
        }
        Ok(Self {
            bytes,
            count: first / DIRENT_SIZE,
        })
    }

    fn entry(&self, at: usize) -> Result<DirEntry<'a>> {
        self.decode(at)
            .ok_or_else(|| IndexProblem::Directory.into())
    }

    fn decode(&self, at: usize) -> Option<DirEntry<'a>> {
        let start = at * DIRENT_SIZE;
        let name_start = usize::from(u16_at(self.bytes, start + 8)?);
        let name = if at + 1 < self.count {
            let end = usize::from(u16_at(self.bytes, start + DIRENT_SIZE + 8)?);
            self.bytes.get(name_start..end)?
        } else {
            let rest = self.bytes.get(name_start..)?;
            // The last name ends with the block, or where zeros fill it up.
            rest.split(|byte| *byte == 0).next()?
        };
        let valid = !name.is_empty() && !name.contains(&b'/');
        valid.then_some(DirEntry {
            name,
            nid: Nid(u64_at(self.bytes, start)?),
        })
    }
}

/// The first of `count` places for which `before` no longer holds.
fn partition(count: usize, before: impl Fn(usize) -> Result<bool>) -> Result<usize> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if before(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
