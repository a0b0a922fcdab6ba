//! Finds the files of a tar without reading them: names and places, in bounded memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use tar::{EntryType, Header};

use super::ArchiveProblem;

const BLOCK: u64 = 512;
/// The most entries that are taken note of.
const ENTRIES_MAX: usize = 200_000;
/// The longest name, and the largest extended header.
const EXTENSION_MAX: u64 = 1 << 20;
/// All names together.
const NAMES_MAX: usize = 64 << 20;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What an entry is, as far as archives of images have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file: where its bytes are.
    File { offset: u64, size: u64 },
    /// A symbolic link: where it points, from its own place.
    Symlink(String),
    /// A hard link: where it points, from the top.
    Hardlink(String),
}

/// What extended headers say of the entry that follows them.
#[derive(Default)]
struct Extension {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

/// The entries of a tar in a file of `length` bytes, in order.
pub(super) fn scan(file: &File, length: u64) -> Result<Vec<Entry>, ArchiveProblem> {
    let mut entries = Vec::new();
    let mut names = 0;
    let mut at = 0;
    let mut extension = Extension::default();
    while let Some(header) = read_header(file, at, length)? {
        let damaged = || ArchiveProblem::NotATar { offset: at };
        let kind = header.entry_type();
        let own_size = header.entry_size().map_err(|_| damaged())?;
        let size = extension
            .size
            .filter(|_| !is_extension(kind))
            .unwrap_or(own_size);
        let offset = at + BLOCK;
        let next = offset
            .checked_add(size.checked_next_multiple_of(BLOCK).ok_or_else(damaged)?)
            .ok_or_else(damaged)?;
        if offset + size > length {
            return Err(ArchiveProblem::Truncated { offset: length });
        }
        if is_extension(kind) {
            extend(&mut extension, file, kind, offset, size)?;
        } else {
            let extension = std::mem::take(&mut extension);
            if let Some(entry) = entry(&header, extension, kind, offset, size) {
                names += entry.name.len();
                entries.push(entry);
            }
        }
        if entries.len() > ENTRIES_MAX || names > NAMES_MAX {
            return Err(ArchiveProblem::TooLarge);
        }
        at = next;
    }
    Ok(entries)
}

/// The header at a place; `None` at the end, be it marked or just there.
fn read_header(file: &File, at: u64, length: u64) -> Result<Option<Header>, ArchiveProblem> {
    if at >= length {
        return Ok(None);
    }
    if length - at < BLOCK {
        return Err(ArchiveProblem::Truncated { offset: at });
    }
    let mut header = Header::new_old();
    file.read_exact_at(header.as_mut_bytes(), at)
        .map_err(ArchiveProblem::Read)?;
    if header.as_bytes().iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let sum: u32 = header
        .as_bytes()
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            u32::from(if (148..156).contains(&at) {
                b' '
            } else {
                *byte
            })
        })
        .sum();
    if header.cksum().ok() != Some(sum) {
        return Err(ArchiveProblem::NotATar { offset: at });
    }
    Ok(Some(header))
}

fn is_extension(kind: EntryType) -> bool {
    kind.is_gnu_longname()
        || kind.is_gnu_longlink()
        || kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
}

fn extend(
    extension: &mut Extension,
    file: &File,
    kind: EntryType,
    offset: u64,
    size: u64,
) -> Result<(), ArchiveProblem> {
    if size > EXTENSION_MAX {
        return Err(ArchiveProblem::TooLarge);
    }
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| ArchiveProblem::TooLarge)?];
    file.read_exact_at(&mut bytes, offset)
        .map_err(ArchiveProblem::Read)?;
    if kind.is_gnu_longname() {
        extension.name = Some(until_nul(bytes));
    } else if kind.is_gnu_longlink() {
        extension.link = Some(until_nul(bytes));
    } else if kind.is_pax_local_extensions() {
        let damaged = |_: io::Error| ArchiveProblem::NotATar { offset };
        for record in tar::PaxExtensions::new(&bytes) {
            let record = record.map_err(damaged)?;
            match record.key_bytes() {
                b"path" => extension.name = Some(record.value_bytes().to_vec()),
                b"linkpath" => extension.link = Some(record.value_bytes().to_vec()),
                b"size" => {
                    let text = record.value().unwrap_or_default();
                    extension.size = Some(
                        text.parse()
                            .map_err(|_| ArchiveProblem::NotATar { offset })?,
                    );
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()));
    bytes
}

/// The entry, if it is of a kind that archives of images have and its name is text.
fn entry(
    header: &Header,
    extension: Extension,
    kind: EntryType,
    offset: u64,
    size: u64,
) -> Option<Entry> {
    let name = extension
        .name
        .unwrap_or_else(|| header.path_bytes().into_owned());
    let link = || {
        let link = extension
            .link
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))?;
        String::from_utf8(link).ok()
    };
    let kind = match kind {
        EntryType::Regular | EntryType::Continuous => Kind::File { offset, size },
        EntryType::Symlink => Kind::Symlink(link()?),
        EntryType::Link => Kind::Hardlink(link()?),
        _ => return None,
    };
    Some(Entry {
        name: String::from_utf8(name).ok()?,
        kind,
    })
}
