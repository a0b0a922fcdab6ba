//! Files with holes as GNU tar writes them: the old form (type `S`) and the PAX forms 0.0, 0.1 and 1.0.
//!
//! All say the same: the file's real size, and which runs of it the archived data holds, one after another.

use super::header::Block;
use super::{BLOCK, header, pax};
use crate::error::TarProblem;
use crate::source::Extent;

/// Runs of one file that a map may have.
const MAX_RUNS: usize = 1 << 20;

/// A run of bytes that is not a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// The map of a file with holes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SparseMap {
    pub(crate) size: u64,
    pub(crate) runs: Vec<Run>,
}

impl SparseMap {
    /// Where the runs are in the tar when the archived data, `archived` bytes, begins at `position`. Checks that the
    /// map makes sense and that an index can hold it.
    pub(crate) fn extents(&self, position: u64, archived: u64) -> Result<Vec<Extent>, TarProblem> {
        let mut extents: Vec<Extent> = Vec::new();
        let mut end = 0;
        let mut used = 0;
        for run in &self.runs {
            let run_end = run.offset.checked_add(run.length);
            let run_end = run_end.filter(|end| *end <= self.size);
            if run.offset < end {
                return Err(TarProblem::SparseMap);
            }
            end = run_end.ok_or(TarProblem::SparseMap)?;
            if run.length == 0 {
                continue;
            }
            if run.offset % BLOCK != 0 || used % BLOCK != 0 {
                return Err(TarProblem::UnalignedSparse);
            }
            let extent = Extent {
                offset: run.offset,
                position: position + used,
                length: run.length,
            };
            used += run.length;
            match extents.last_mut() {
                Some(last) if last.is_followed_by(&extent) => last.length += extent.length,
                _ => extents.push(extent),
            }
        }
        if used != archived {
            return Err(TarProblem::SparseMap);
        }
        let ends_in_block = extents
            .last()
            .is_some_and(|last| !end_of(last).is_multiple_of(BLOCK) && end_of(last) != self.size);
        if ends_in_block {
            return Err(TarProblem::UnalignedSparse);
        }
        Ok(extents)
    }

    pub(crate) fn push(&mut self, offset: u64, length: u64) -> Result<(), TarProblem> {
        if self.runs.len() == MAX_RUNS {
            return Err(TarProblem::SparseMap);
        }
        self.runs.push(Run { offset, length });
        Ok(())
    }

    /// Takes the runs that an old header (at 386, four of them) or a block that continues one (at 0, 21) lists. The
    /// answer is whether another block follows.
    pub(crate) fn push_old(&mut self, block: &Block, first: bool) -> Result<bool, TarProblem> {
        let (start, count, more) = if first { (386, 4, 482) } else { (0, 21, 504) };
        for entry in block[start..start + count * 24].chunks_exact(24) {
            if entry[0] == 0 {
                break;
            }
            let number = |field| {
                let number = header::number(field).ok_or(TarProblem::SparseMap)?;
                u64::try_from(number).map_err(|_| TarProblem::SparseMap)
            };
            self.push(number(&entry[..12])?, number(&entry[12..])?)?;
        }
        if first {
            let size = header::number(&block[483..495]).ok_or(TarProblem::SparseMap)?;
            self.size = u64::try_from(size).map_err(|_| TarProblem::SparseMap)?;
        }
        Ok(block[more] != 0)
    }

    /// Takes the runs of form 0.1: `offset,length,offset,length,…`.
    pub(crate) fn push_list(&mut self, text: &[u8]) -> Result<(), TarProblem> {
        if text.is_empty() {
            return Ok(());
        }
        let mut numbers = text.split(|byte| *byte == b',').map(pax::decimal);
        while let Some(offset) = numbers.next() {
            let length = numbers.next().flatten();
            let run = offset.zip(length).ok_or(TarProblem::SparseMap)?;
            self.push(run.0, run.1)?;
        }
        Ok(())
    }
}

/// Reads the map of form 1.0, which stands in front of the data: the number of runs, then offset and length of each,
/// every number on a line of its own, filled up to a block.
#[derive(Debug, Default)]
pub(crate) struct MapReader {
    map: SparseMap,
    line: Vec<u8>,
    runs: Option<u64>,
    offset: Option<u64>,
}

impl MapReader {
    /// A map of a file of this size.
    pub(crate) fn new(size: u64) -> Self {
        let mut reader = Self::default();
        reader.map.size = size;
        reader
    }

    /// Takes the next block; the map when it was the last.
    pub(crate) fn push(&mut self, block: &Block) -> Result<Option<SparseMap>, TarProblem> {
        for byte in block {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > 20 {
                    return Err(TarProblem::SparseMap);
                }
                continue;
            }
            let number = pax::decimal(&self.line).ok_or(TarProblem::SparseMap)?;
            self.line.clear();
            self.take(number)?;
            if self.runs == Some(self.map.runs.len() as u64) {
                return Ok(Some(std::mem::take(&mut self.map)));
            }
        }
        Ok(None)
    }

    fn take(&mut self, number: u64) -> Result<(), TarProblem> {
        if self.runs.is_none() {
            self.runs = Some(number);
        } else if let Some(offset) = self.offset.take() {
            self.map.push(offset, number)?;
        } else {
            self.offset = Some(number);
        }
        Ok(())
    }
}

const fn end_of(extent: &Extent) -> u64 {
    extent.offset + extent.length
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn map(size: u64, runs: &[(u64, u64)]) -> SparseMap {
        let runs = runs.iter().map(|(offset, length)| Run {
            offset: *offset,
            length: *length,
        });
        SparseMap {
            size,
            runs: runs.collect(),
        }
    }

    #[test]
    fn maps_become_extents() {
        let extents = map(
            10_000,
            &[
                (512, 1024),
                (4096, 512),
                (4608, 512),
                (9728, 272),
                (10_000, 0),
            ],
        )
        .extents(2048, 2320)
        .unwrap();
        let expected = [(512, 2048, 1024), (4096, 3072, 1024), (9728, 4096, 272)];
        let expected = expected.map(|(offset, position, length)| Extent {
            offset,
            position,
            length,
        });
        assert_eq!(extents, expected);
        assert_eq!(map(1 << 40, &[]).extents(0, 0).unwrap(), []);
    }

    #[test]
    fn maps_that_lie_are_refused() {
        for (size, runs, archived) in [
            (1024, &[(512, 1024)][..], 1024),
            (4096, &[(1024, 512), (512, 512)], 1024),
            (4096, &[(0, 1024), (512, 512)], 1536),
            (4096, &[(0, 512)], 1024),
            (4096, &[(0, 512)], 511),
            (4096, &[(u64::MAX, 2)], 2),
            (4096, &[(100, 512)], 512),
            (4096, &[(0, 100), (512, 512)], 612),
            (4096, &[(0, 100)], 100),
        ] {
            assert!(map(size, runs).extents(0, archived).is_err(), "{runs:?}");
        }
    }

    #[test]
    fn a_map_in_front_of_the_data_is_read_block_by_block() {
        let mut text = b"60\n".to_vec();
        for run in 0..60 {
            text.extend(format!("{}\n512\n", run * 1024).bytes());
        }
        text.resize(text.len().next_multiple_of(512), 0);
        let mut reader = MapReader::new(61_440);
        let mut blocks = text
            .chunks_exact(512)
            .map(|block| block.try_into().unwrap());
        let map = blocks
            .find_map(|block| reader.push(block).unwrap())
            .unwrap();
        assert_eq!(map.runs.len(), 60);
        assert_eq!(
            map.runs[59],
            Run {
                offset: 59 * 1024,
                length: 512
            }
        );
        assert!(blocks.next().is_none());
        assert!(MapReader::new(1).push(&[b'x'; 512]).is_err());
        assert!(MapReader::new(1).push(&[b'1'; 512]).is_err());
    }

    #[test]
    fn a_list_has_pairs() {
        let mut map = SparseMap::default();
        map.push_list(b"0,512,1024,5").unwrap();
        assert_eq!(
            map.runs,
            [
                Run {
                    offset: 0,
                    length: 512
                },
                Run {
                    offset: 1024,
                    length: 5
                }
            ]
        );
        for text in [&b"1"[..], b"1,", b"a,1", b"1,2,3"] {
            assert!(SparseMap::default().push_list(text).is_err());
        }
    }
}
