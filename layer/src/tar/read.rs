//! Reads the members of a tar: headers of every form, extended ones applied.

use std::collections::BTreeMap;

use super::header::{self, Block};
use super::sparse::{MapReader, SparseMap};
use super::{BLOCK, is_device, pax};
use crate::error::TarProblem;
use crate::metadata::{Metadata, Timestamp, Xattrs};

/// The largest extended header, or long name.
const MAX_EXTENDED: u64 = 1 << 20;
/// The most that attributes of one entry may have together, names and values.
const MAX_XATTRS: usize = 128 << 10;

/// Where a tar's blocks come from.
pub(crate) trait Blocks {
    /// The next block; `None` at the end of the stream.
    fn next_block(&mut self) -> Result<Option<Block>, TarProblem>;

    /// The next block, which must be there.
    fn block(&mut self) -> Result<Block, TarProblem> {
        self.next_block()?.ok_or(TarProblem::Truncated)
    }
}

/// A member: its data, if any, follows in the stream.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: Vec<u8>,
    /// Target of a link.
    pub(crate) link: Vec<u8>,
    pub(crate) kind: MemberKind,
    pub(crate) metadata: Metadata,
    /// Bytes of archived data.
    pub(crate) size: u64,
    /// The map of a file with holes.
    pub(crate) sparse: Option<SparseMap>,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberKind {
    File,
    HardLink,
    Symlink,
    Char(u32, u32),
    Block(u32, u32),
    Directory,
    Fifo,
    /// A label or the like, which is no file.
    Ignored,
}

/// Reads headers; keeps what global ones said.
#[derive(Debug, Default)]
pub(crate) struct MemberReader {
    global: Records,
}

/// Extended headers of the next member.
#[derive(Debug, Default)]
struct Extended {
    records: Records,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

#[derive(Debug, Default, Clone)]
struct Records {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Form 0.0 of sparse maps repeats its keys: offsets and lengths in turn.
    sparse_runs: Vec<(bool, Vec<u8>)>,
}

impl MemberReader {
    /// The next member, `name` set as soon as it is known; `None` at the end of the archive. The stream is then at
    /// the member's data.
    pub(crate) fn next(
        &mut self,
        blocks: &mut impl Blocks,
        name: &mut Vec<u8>,
    ) -> Result<Option<Member>, TarProblem> {
        let mut extended = Extended::default();
        loop {
            let Some(block) = blocks.next_block()? else {
                return Ok(None);
            };
            if block.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            name.clear();
            name.extend_from_slice(header::text(&block[header::NAME]));
            if !header::has_valid_checksum(&block) {
                return Err(TarProblem::Checksum);
            }
            let size = field(&block, header::SIZE, "size")?;
            match block[header::TYPE] {
                b'x' => extended.records.push(&read_extended(blocks, size)?)?,
                b'g' => self.global.push(&read_extended(blocks, size)?)?,
                b'L' => extended.name = Some(read_long(blocks, size)?),
                b'K' => extended.link = Some(read_long(blocks, size)?),
                _ => return self.member(blocks, &block, extended, name).map(Some),
            }
        }
    }

    fn member(
        &self,
        blocks: &mut impl Blocks,
        block: &Block,
        mut extended: Extended,
        name: &mut Vec<u8>,
    ) -> Result<Member, TarProblem> {
        let records = Merged {
            local: &extended.records,
            global: &self.global,
        };
        let sparse_name = records.get(b"GNU.sparse.name");
        let path = sparse_name.or_else(|| records.get(b"path"));
        *name = match (path, extended.name.take()) {
            (Some(path), _) => path.to_vec(),
            (None, Some(name)) => name,
            (None, None) => header_name(block),
        };
        let link = match (records.get(b"linkpath"), extended.link.take()) {
            (Some(link), _) => link.to_vec(),
            (None, Some(link)) => link,
            (None, None) => header::text(&block[header::LINK]).to_vec(),
        };
        let kind = kind(block, name)?;
        let size = match records.get(b"size") {
            Some(size) => pax::decimal(size).ok_or(TarProblem::Number("size"))?,
            None => field(block, header::SIZE, "size")?,
        };
        let mut member = Member {
            name: name.clone(),
            link,
            kind,
            metadata: records.metadata(block)?,
            // Only files and what is ignored have data, whatever a header says.
            size: match kind {
                MemberKind::File | MemberKind::Ignored => size,
                _ => 0,
            },
            sparse: None,
        };
        if kind == MemberKind::File {
            records.read_sparse(blocks, block, &mut member)?;
        }
        Ok(member)
    }
}

/// Local records, which hide global ones.
struct Merged<'a> {
    local: &'a Records,
    global: &'a Records,
}

impl<'a> Merged<'a> {
    /// A value that is not empty; an empty local one says that the header's field counts.
    fn get(&self, key: &[u8]) -> Option<&'a [u8]> {
        let value = self.local.values.get(key);
        let value = value.or_else(|| self.global.values.get(key))?;
        (!value.is_empty()).then_some(value)
    }

    fn metadata(&self, block: &Block) -> Result<Metadata, TarProblem> {
        let id = |key: &'static str, range| match self.get(key.as_bytes()) {
            Some(text) => pax::decimal(text)
                .and_then(|number| u32::try_from(number).ok())
                .ok_or(TarProblem::Number(key)),
            None => header::number(&block[range])
                .and_then(wrap_id)
                .ok_or(TarProblem::Number(key)),
        };
        let mtime = match self.get(b"mtime") {
            Some(text) => pax::parse_time(text),
            None => header::number(&block[header::MTIME]).map(Timestamp::from_seconds),
        };
        Ok(Metadata {
            mode: header::octal(&block[header::MODE]).map_or(0, |mode| mode as u32 & 0o7777),
            uid: id("uid", header::UID)?,
            gid: id("gid", header::GID)?,
            mtime: mtime.ok_or(TarProblem::Number("mtime"))?,
            xattrs: self.xattrs()?,
        })
    }

    fn xattrs(&self) -> Result<Xattrs, TarProblem> {
        let mut xattrs = BTreeMap::new();
        for records in [self.global, self.local] {
            let after = records.values.range(pax::XATTR_PREFIX.to_vec()..);
            for (key, value) in after {
                let Some(name) = key.strip_prefix(pax::XATTR_PREFIX) else {
                    break;
                };
                xattrs.insert(name, value);
            }
        }
        let size: usize = xattrs
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if size > MAX_XATTRS {
            return Err(TarProblem::Xattrs);
        }
        let owned = |(name, value): (&[u8], &Vec<u8>)| (name.to_vec(), value.clone());
        Ok(xattrs.into_iter().map(owned).collect())
    }

    /// Finds out whether the member has holes, and reads its map from wherever it is.
    fn read_sparse(
        &self,
        blocks: &mut impl Blocks,
        block: &Block,
        member: &mut Member,
    ) -> Result<(), TarProblem> {
        if block[header::TYPE] == b'S' {
            let mut map = SparseMap::default();
            let mut more = map.push_old(block, true)?;
            while more {
                more = map.push_old(&blocks.block()?, false)?;
            }
            member.sparse = Some(map);
            return Ok(());
        }
        let number = |key| {
            let text = self.get(key)?;
            Some(pax::decimal(text).ok_or(TarProblem::SparseMap))
        };
        if let Some(size) = number(b"GNU.sparse.realsize") {
            let mut reader = MapReader::new(size?);
            let map = loop {
                member.size = member
                    .size
                    .checked_sub(BLOCK)
                    .ok_or(TarProblem::SparseMap)?;
                if let Some(map) = reader.push(&blocks.block()?)? {
                    break map;
                }
            };
            member.sparse = Some(map);
        } else if let Some(size) = number(b"GNU.sparse.size") {
            let mut map = SparseMap {
                size: size?,
                runs: Vec::new(),
            };
            match self.get(b"GNU.sparse.map") {
                Some(list) => map.push_list(list)?,
                None => self.local.push_runs(&mut map)?,
            }
            member.sparse = Some(map);
        }
        Ok(())
    }
}

impl Records {
    fn push(&mut self, bytes: &[u8]) -> Result<(), TarProblem> {
        for record in pax::records(bytes) {
            let (key, value) = record.ok_or(TarProblem::Pax)?;
            match key {
                b"GNU.sparse.offset" => self.sparse_runs.push((false, value.to_vec())),
                b"GNU.sparse.numbytes" => self.sparse_runs.push((true, value.to_vec())),
                _ => {
                    let is_text = matches!(key, b"path" | b"linkpath");
                    if is_text && value.contains(&0) {
                        return Err(TarProblem::Pax);
                    }
                    self.values.insert(key.to_vec(), value.to_vec());
                }
            }
        }
        if self
            .values
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum::<usize>()
            > MAX_EXTENDED as usize
        {
            return Err(TarProblem::LargeHeader(MAX_EXTENDED));
        }
        Ok(())
    }

    fn push_runs(&self, map: &mut SparseMap) -> Result<(), TarProblem> {
        for pair in self.sparse_runs.chunks(2) {
            let [(false, offset), (true, length)] = pair else {
                return Err(TarProblem::SparseMap);
            };
            let run = pax::decimal(offset).zip(pax::decimal(length));
            let (offset, length) = run.ok_or(TarProblem::SparseMap)?;
            map.push(offset, length)?;
        }
        Ok(())
    }
}

/// Reads the data of a header that is about the next one.
fn read_extended(blocks: &mut impl Blocks, size: u64) -> Result<Vec<u8>, TarProblem> {
    if size > MAX_EXTENDED {
        return Err(TarProblem::LargeHeader(MAX_EXTENDED));
    }
    let mut data = Vec::new();
    while (data.len() as u64) < size {
        data.extend_from_slice(&blocks.block()?);
    }
    data.truncate(size as usize);
    Ok(data)
}

fn read_long(blocks: &mut impl Blocks, size: u64) -> Result<Vec<u8>, TarProblem> {
    let data = read_extended(blocks, size)?;
    Ok(header::text(&data).to_vec())
}

fn header_name(block: &Block) -> Vec<u8> {
    let name = header::text(&block[header::NAME]);
    if !block[header::MAGIC].starts_with(b"ustar\0") {
        return name.to_vec();
    }
    // Programs of the `star` family have times in the last bytes of the prefix.
    let prefix = if &block[508..] == b"tar\0" {
        &block[345..476]
    } else {
        &block[header::PREFIX]
    };
    match header::text(prefix) {
        b"" => name.to_vec(),
        prefix => [prefix, b"/", name].concat(),
    }
}

fn kind(block: &Block, name: &[u8]) -> Result<MemberKind, TarProblem> {
    let device = || {
        let number = |range, what| {
            header::number(&block[range])
                .and_then(|number| u32::try_from(number).ok())
                .ok_or(TarProblem::Number(what))
        };
        let major = number(header::DEV_MAJOR, "devmajor")?;
        let minor = number(header::DEV_MINOR, "devminor")?;
        if is_device(major, minor) {
            Ok((major, minor))
        } else {
            Err(TarProblem::Number("devmajor"))
        }
    };
    Ok(match block[header::TYPE] {
        0 if name.ends_with(b"/") => MemberKind::Directory,
        0 | b'0' | b'7' | b'S' => MemberKind::File,
        b'1' => MemberKind::HardLink,
        b'2' => MemberKind::Symlink,
        b'3' => device().map(|(major, minor)| MemberKind::Char(major, minor))?,
        b'4' => device().map(|(major, minor)| MemberKind::Block(major, minor))?,
        b'5' => MemberKind::Directory,
        b'6' => MemberKind::Fifo,
        b'V' => MemberKind::Ignored,
        other => return Err(TarProblem::Type(other)),
    })
}

fn field(
    block: &Block,
    range: std::ops::Range<usize>,
    what: &'static str,
) -> Result<u64, TarProblem> {
    header::number(&block[range])
        .and_then(|number| u64::try_from(number).ok())
        .ok_or(TarProblem::Number(what))
}

/// Some programs write ids above 2^31 as negative numbers.
fn wrap_id(number: i64) -> Option<u32> {
    match u32::try_from(number) {
        Ok(id) => Some(id),
        Err(_) => i32::try_from(number).ok().map(i32::cast_unsigned),
    }
}
