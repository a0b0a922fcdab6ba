//! Takes a tar from outside: keeps its bytes as they are, and hashes and indexes them on the way, in one pass.

use std::fs::File;
use std::io::{BufReader, Read};

use crate::digest::DiffId;
use crate::erofs::{Chunking, Identity, MAX_CHUNKS, write_index};
use crate::error::{Error, Result, TarProblem};
use crate::extract::Extraction;
use crate::sink::{Sink, Target, for_zeros};
use crate::source::Extent;
use crate::summary::Summary;
use crate::tar::BLOCK;
use crate::tar::header::Block;
use crate::tar::read::{Blocks, Member, MemberKind, MemberReader};
use crate::tree::{Data, Extents};

/// What a tar from outside may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries, implied directories among them.
    pub entries: u64,
    /// Bytes of all names, link targets and extended attributes.
    pub metadata: u64,
    /// Bytes of all holes of sparse files.
    pub holes: u64,
    /// Bytes of the tar itself; the index cannot address more than 2 TiB.
    pub tar: u64,
}

impl Default for Limits {
    /// Some times what the largest images have; a tar that goes to them all takes 2 GiB of memory.
    fn default() -> Self {
        Self {
            entries: 4_000_000,
            metadata: 512 << 20,
            holes: 64 << 30,
            tar: (u64::from(u32::MAX) - 1) * BLOCK,
        }
    }
}

/// What names that begin with `.wh.` mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// Deletions, as in a layer of an image.
    Interpret,
    /// Files of that name, as in any archive.
    Keep,
}

/// Takes a layer from `reader`: an uncompressed tar. Its bytes, all of them to the end of the stream, go to `tar` and
/// its index to `index`, both empty files.
///
/// Later entries replace earlier ones, a directory is merged with one that is there, links in the tar are followed
/// beneath its root, as extracting it would. Whatever the stream holds, memory is bounded by `limits`.
pub fn index_tar(reader: impl Read, tar: &File, index: &File, limits: &Limits) -> Result<Summary> {
    index_with(reader, tar, index, limits, Whiteouts::Interpret)
}

/// As [`index_tar`], for an archive that is no layer: names that begin with `.wh.` are names like others.
pub fn index_archive(reader: impl Read, tar: &File, index: &File) -> Result<Summary> {
    index_with(reader, tar, index, &Limits::default(), Whiteouts::Keep)
}

fn index_with(
    reader: impl Read,
    tar: &File,
    index: &File,
    limits: &Limits,
    whiteouts: Whiteouts,
) -> Result<Summary> {
    let mut extraction = Extraction::new(*limits, whiteouts);
    let (digest, tar_size, file_bytes) = std::thread::scope(|scope| {
        let mut stream = Stream {
            reader: BufReader::with_capacity(1 << 17, reader),
            sink: Sink::new(scope, Target::File(tar), true),
            failure: None,
            limits: *limits,
            holes: 0,
            file_bytes: 0,
        };
        stream.run(&mut extraction)?;
        let (digest, size) = stream.sink.finish()?;
        Ok::<_, Error>((digest, size, stream.file_bytes))
    })?;
    // A sink that was asked to hash gives a digest.
    let diff_id = DiffId::new(digest.unwrap_or_else(|| crate::Digest::of(b"")));
    let (tree, entries) = extraction.finish();
    let identity = Identity { diff_id, tar_size };
    let content = write_index(&tree, identity, index)?;
    Ok(Summary {
        diff_id,
        tar_size,
        content,
        entries,
        file_bytes,
        implied_dirs: tree.implied_directories(),
        changed: Vec::new(),
    })
}

/// The stream with all that is counted on the way.
struct Stream<'scope, 'env, R> {
    reader: BufReader<R>,
    sink: Sink<'scope, 'env>,
    /// Why the sink takes no more.
    failure: Option<Error>,
    limits: Limits,
    holes: u64,
    file_bytes: u64,
}

impl<R: Read> Stream<'_, '_, R> {
    fn run(&mut self, extraction: &mut Extraction) -> Result<()> {
        let mut members = MemberReader::default();
        let mut name = Vec::new();
        loop {
            let offset = self.sink.position();
            match self.step(&mut members, &mut name, extraction) {
                Ok(true) => {}
                Ok(false) => break,
                Err(problem) => {
                    return Err(self.failure.take().unwrap_or_else(|| Error::Tar {
                        entry: String::from_utf8_lossy(&name).into_owned(),
                        offset,
                        source: problem,
                    }));
                }
            }
        }
        self.drain()
    }

    /// Takes one member; `false` at the archive's end.
    fn step(
        &mut self,
        members: &mut MemberReader,
        name: &mut Vec<u8>,
        extraction: &mut Extraction,
    ) -> Result<bool, TarProblem> {
        let Some(member) = members.next(self, name)? else {
            return Ok(false);
        };
        match member.kind {
            MemberKind::File => {
                let data = self.file(&member)?;
                extraction.add(member, Some(data))?;
            }
            MemberKind::Ignored => self.skip(member.size)?,
            _ => extraction.add(member, None)?,
        }
        Ok(true)
    }

    /// Takes a file's data and hashes it, holes as the zeros they stand for.
    fn file(&mut self, member: &Member) -> Result<Data, TarProblem> {
        let position = self.sink.position();
        let mut hasher = blake3::Hasher::new();
        let data = match &member.sparse {
            None => {
                self.take(member.size, |bytes| {
                    hasher.update(bytes);
                })?;
                Data {
                    size: member.size,
                    digest: hasher.finalize().into(),
                    extents: Extents::Contiguous(position),
                }
            }
            Some(map) => {
                let extents = map.extents(position, member.size)?;
                self.check_holes(map.size, member.size)?;
                self.take_extents(&extents, map.size, &mut hasher)?;
                Data {
                    size: map.size,
                    digest: hasher.finalize().into(),
                    extents: Extents::Sparse(extents.into()),
                }
            }
        };
        if Chunking::of(&data).count > MAX_CHUNKS {
            return Err(TarProblem::Limit {
                what: "parts of a sparse file",
                limit: MAX_CHUNKS,
            });
        }
        self.file_bytes = self.file_bytes.saturating_add(data.size);
        self.skip(member.size.next_multiple_of(BLOCK) - member.size)?;
        Ok(data)
    }

    fn check_holes(&mut self, size: u64, archived: u64) -> Result<(), TarProblem> {
        self.holes = self.holes.saturating_add(size.saturating_sub(archived));
        if self.holes > self.limits.holes {
            return Err(TarProblem::Limit {
                what: "bytes of holes",
                limit: self.limits.holes,
            });
        }
        Ok(())
    }

    fn take_extents(
        &mut self,
        extents: &[Extent],
        size: u64,
        hasher: &mut blake3::Hasher,
    ) -> Result<(), TarProblem> {
        let mut at = 0;
        let hole = |hasher: &mut blake3::Hasher, length| {
            for_zeros(length, |zeros| {
                hasher.update(zeros);
                Ok::<_, TarProblem>(())
            })
        };
        for extent in extents {
            hole(hasher, extent.offset - at)?;
            self.take(extent.length, |bytes| {
                hasher.update(bytes);
            })?;
            at = extent.offset + extent.length;
        }
        hole(hasher, size - at)
    }

    fn skip(&mut self, size: u64) -> Result<(), TarProblem> {
        self.take(size, |_| ())
    }

    /// Passes exactly `left` bytes on.
    fn take(&mut self, mut left: u64, mut see: impl FnMut(&[u8])) -> Result<(), TarProblem> {
        while left > 0 {
            let bytes = self.pass(left)?;
            if bytes.is_empty() {
                return Err(TarProblem::Truncated);
            }
            see(bytes);
            left -= bytes.len() as u64;
        }
        Ok(())
    }

    /// Passes at most `limit` bytes on; none at the end of the stream.
    fn pass(&mut self, limit: u64) -> Result<&[u8], TarProblem> {
        if self.sink.position() >= self.limits.tar {
            return Err(TarProblem::Limit {
                what: "bytes",
                limit: self.limits.tar,
            });
        }
        let reader = &mut self.reader;
        let mut failed = None;
        let passed = self.sink.fill(limit, |space| {
            loop {
                match reader.read(space) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        failed = Some(error);
                        return Ok(0);
                    }
                    read => return read,
                }
            }
        });
        match (passed, failed) {
            (_, Some(error)) => Err(TarProblem::Read(error)),
            (Ok(bytes), None) => Ok(bytes),
            (Err(error), None) => {
                self.failure = Some(error);
                Err(TarProblem::Truncated)
            }
        }
    }

    /// Passes on whatever follows the archive: it belongs to the layer's bytes.
    fn drain(&mut self) -> Result<()> {
        loop {
            match self.pass(u64::MAX) {
                Ok([]) => return Ok(()),
                Ok(_) => {}
                Err(problem) => {
                    let offset = self.sink.position();
                    return Err(self.failure.take().unwrap_or_else(|| Error::Tar {
                        entry: String::new(),
                        offset,
                        source: problem,
                    }));
                }
            }
        }
    }
}

impl<R: Read> Blocks for Stream<'_, '_, R> {
    fn next_block(&mut self) -> Result<Option<Block>, TarProblem> {
        let mut block = [0; BLOCK as usize];
        let mut filled = 0;
        while filled < block.len() {
            let bytes = self.pass((block.len() - filled) as u64)?;
            if bytes.is_empty() {
                break;
            }
            block[filled..filled + bytes.len()].copy_from_slice(bytes);
            filled += bytes.len();
        }
        match filled {
            0 => Ok(None),
            512 => Ok(Some(block)),
            _ => Err(TarProblem::Truncated),
        }
    }
}
