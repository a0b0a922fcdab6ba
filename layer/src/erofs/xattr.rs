//! Extended attributes as an inode carries them: a header, then entries in 4-byte steps.

use super::format::u16_at;
use crate::entry::EntryKind;
use crate::error::IndexProblem;
use crate::metadata::Xattrs;

/// Name prefixes and the numbers that stand for them (Linux: `EROFS_XATTR_INDEX_*`). The two of access control lists
/// are whole names.
const PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];

/// By what overlayfs knows an opaque directory.
pub(crate) const OPAQUE_XATTR: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");

const HEADER_SIZE: usize = 12;
const ENTRY_SIZE: usize = 4;
/// What an inode's count of 4-byte steps can say.
const MAX_AREA: usize = HEADER_SIZE + 4 * (u16::MAX as usize - 1);

/// Whether the index, and the kernel, can hold the attribute.
pub(crate) fn is_storable(name: &[u8], value: &[u8]) -> bool {
    split(name).is_some() && u16::try_from(value.len()).is_ok()
}

/// Whether the index can hold all of them in one inode.
pub(crate) fn fit(xattrs: &Xattrs) -> bool {
    // An opaque directory has one more.
    area_size(xattrs, true) <= MAX_AREA
}

/// Whether the attribute is one by which overlayfs keeps its own state.
pub(crate) fn is_overlay(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

/// Whether an entry of this kind can have the attribute: `user.` ones are for files and directories only (xattr(7)).
pub(crate) fn is_allowed_on(kind: EntryKind, name: &[u8]) -> bool {
    match kind {
        EntryKind::File | EntryKind::Directory => true,
        EntryKind::Whiteout => false,
        _ => !name.starts_with(b"user."),
    }
}

fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    let (number, prefix) = PREFIXES
        .iter()
        .find(|(_, prefix)| name.starts_with(prefix))?;
    let rest = &name[prefix.len()..];
    let whole_name = !prefix.ends_with(b".");
    (rest.is_empty() == whole_name && name.len() <= 255 && !rest.contains(&0))
        .then_some((*number, rest))
}

fn all(xattrs: &Xattrs, opaque: bool) -> impl Iterator<Item = (&[u8], &[u8])> {
    let own = xattrs.iter().map(|(name, value)| (&name[..], &value[..]));
    own.chain(opaque.then_some(OPAQUE_XATTR))
}

/// Bytes that the attributes take behind an inode.
pub(crate) fn area_size(xattrs: &Xattrs, opaque: bool) -> usize {
    let entries: usize = all(xattrs, opaque)
        .filter_map(|(name, value)| {
            let (_, rest) = split(name)?;
            Some((ENTRY_SIZE + rest.len() + value.len()).next_multiple_of(4))
        })
        .sum();
    if entries == 0 {
        0
    } else {
        HEADER_SIZE + entries
    }
}

/// `i_xattr_icount` for an area of this size.
pub(crate) fn area_count(size: usize) -> u16 {
    if size == 0 {
        0
    } else {
        // Areas are bounded by `fit`.
        ((size - HEADER_SIZE) / 4 + 1) as u16
    }
}

/// Bytes of the area that an `i_xattr_icount` stands for.
pub(crate) fn area_of_count(count: u16) -> usize {
    match count {
        0 => 0,
        count => HEADER_SIZE + (usize::from(count) - 1) * 4,
    }
}

/// Writes the area.
pub(crate) fn encode(xattrs: &Xattrs, opaque: bool, out: &mut Vec<u8>) {
    if area_size(xattrs, opaque) == 0 {
        return;
    }
    out.extend_from_slice(&[0; HEADER_SIZE]);
    for (name, value) in all(xattrs, opaque) {
        let Some((number, rest)) = split(name) else {
            continue;
        };
        out.push(rest.len() as u8);
        out.push(number);
        out.extend_from_slice(&(value.len() as u16).to_le_bytes());
        out.extend_from_slice(rest);
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
}

/// Reads an area; the mark of an opaque directory is not among the result.
pub(crate) fn decode(area: &[u8]) -> Result<Xattrs, IndexProblem> {
    let mut xattrs = Xattrs::new();
    if area.is_empty() {
        return Ok(xattrs);
    }
    let mut rest = area.get(HEADER_SIZE..).ok_or(IndexProblem::Xattr)?;
    while !rest.is_empty() {
        let (name, value, size) = decode_entry(rest).ok_or(IndexProblem::Xattr)?;
        if (name.as_slice(), value) != OPAQUE_XATTR {
            xattrs.push((name, value.to_vec()));
        }
        rest = rest.get(size..).unwrap_or_default();
    }
    Ok(xattrs)
}

fn decode_entry(bytes: &[u8]) -> Option<(Vec<u8>, &[u8], usize)> {
    let name_size = usize::from(*bytes.first()?);
    let number = *bytes.get(1)?;
    let value_size = usize::from(u16_at(bytes, 2)?);
    let (_, prefix) = PREFIXES.iter().find(|(known, _)| *known == number)?;
    let mut name = prefix.to_vec();
    name.extend_from_slice(bytes.get(ENTRY_SIZE..ENTRY_SIZE + name_size)?);
    let start = ENTRY_SIZE + name_size;
    let value = bytes.get(start..start + value_size)?;
    Some((name, value, (start + value_size).next_multiple_of(4)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn attributes_survive() {
        let xattrs: Xattrs = vec![
            (b"security.capability".to_vec(), vec![1; 20]),
            (b"system.posix_acl_access".to_vec(), vec![2; 28]),
            (b"user.a".to_vec(), Vec::new()),
            (b"user.b".to_vec(), vec![3; 65535]),
        ];
        for opaque in [false, true] {
            let mut area = Vec::new();
            encode(&xattrs, opaque, &mut area);
            assert_eq!(area.len(), area_size(&xattrs, opaque));
            assert_eq!(area_of_count(area_count(area.len())), area.len());
            assert_eq!(decode(&area).unwrap(), xattrs);
            for at in 1..area.len().min(200) {
                decode(&area[..at]).ok();
            }
        }
        assert_eq!(area_size(&Vec::new(), false), 0);
    }

    #[test]
    fn what_the_kernel_cannot_hold_is_refused() {
        let long = [b"user.".as_slice(), &[b'n'; 251]].concat();
        for name in [
            b"user.".as_slice(),
            b"system.nfs4_acl",
            b"system.posix_acl_accessory",
            b"other.a",
            b"",
            b"user.a\0b",
            &long,
        ] {
            assert!(!is_storable(name, b""), "{name:?}");
        }
        assert!(is_storable(&long[..255], b""));
        assert!(!is_storable(b"user.a", &vec![0; 65536]));
        assert!(is_overlay(b"trusted.overlay.opaque") && !is_overlay(b"trusted.overlays"));
    }
}
