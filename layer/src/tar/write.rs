//! Headers of entries: POSIX ustar, with an extended header in front where that has no room.
//!
//! The bytes depend on nothing but the entry, and are in the form that Go's `archive/tar` writes as `FormatPAX`, which
//! every reader of images takes.

use super::header::{
    Block, DEV_MAJOR, DEV_MINOR, GID, LINK, MAGIC, MODE, MTIME, NAME, PREFIX, SIZE, TYPE, UID,
    USTAR, put_checksum, put_octal,
};
use super::{BLOCK, pax};
use crate::metadata::Metadata;

/// What a header says an entry is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Member<'a> {
    /// A regular file of this many bytes.
    File(u64),
    /// One more name of the entry with this name.
    HardLink(&'a [u8]),
    /// A symbolic link with this target.
    Symlink(&'a [u8]),
    /// A character device.
    Char(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

impl Member<'_> {
    const fn type_flag(&self) -> u8 {
        match self {
            Self::File(_) => b'0',
            Self::HardLink(_) => b'1',
            Self::Symlink(_) => b'2',
            Self::Char(..) => b'3',
            Self::Block(..) => b'4',
            Self::Directory => b'5',
            Self::Fifo => b'6',
        }
    }
}

/// Writes headers one after another, with memory of its own to do so.
#[derive(Debug, Default)]
pub(crate) struct HeaderWriter {
    records: Vec<u8>,
}

impl HeaderWriter {
    /// Appends the headers of an entry called `name` to `out`; its data, if any, follows.
    pub(crate) fn push(
        &mut self,
        name: &[u8],
        metadata: &Metadata,
        member: Member<'_>,
        out: &mut Vec<u8>,
    ) {
        self.records.clear();
        let block = self.header(name, metadata, member);
        if !self.records.is_empty() {
            out.extend_from_slice(&extended_header(name, self.records.len() as u64));
            out.extend_from_slice(&self.records);
            out.resize(out.len().next_multiple_of(BLOCK as usize), 0);
        }
        out.extend_from_slice(&block);
    }

    /// Makes the header and collects records, in the order of their keys, for what it has no room for.
    fn header(&mut self, name: &[u8], metadata: &Metadata, member: Member<'_>) -> Block {
        let mut block: Block = [0; 512];
        block[MAGIC].copy_from_slice(USTAR);
        block[TYPE] = member.type_flag();
        let (link, size, (major, minor)) = match member {
            Member::File(size) => (None, size, (0, 0)),
            Member::HardLink(link) | Member::Symlink(link) => (Some(link), 0, (0, 0)),
            Member::Char(major, minor) | Member::Block(major, minor) => (None, 0, (major, minor)),
            Member::Directory | Member::Fifo => (None, 0, (0, 0)),
        };
        for (name, value) in &metadata.xattrs {
            pax::push_record(&mut self.records, &[pax::XATTR_PREFIX, name], value);
        }
        self.put_number(b"gid", &mut block[GID], u64::from(metadata.gid));
        if let Some(link) = link
            && !put_text(&mut block[LINK], link)
        {
            pax::push_record(&mut self.records, &[b"linkpath"], link);
        }
        self.put_time(metadata, &mut block[MTIME]);
        if !put_name(&mut block, name) {
            pax::push_record(&mut self.records, &[b"path"], name);
        }
        self.put_number(b"size", &mut block[SIZE], size);
        self.put_number(b"uid", &mut block[UID], u64::from(metadata.uid));
        // Modes have 12 bits, major numbers 12 and minor numbers 20; these fields have 21.
        put_octal(&mut block[MODE], u64::from(metadata.mode & 0o7777));
        put_octal(&mut block[DEV_MAJOR], u64::from(major & 0xfff));
        put_octal(&mut block[DEV_MINOR], u64::from(minor & 0xf_ffff));
        put_checksum(&mut block);
        block
    }

    fn put_time(&mut self, metadata: &Metadata, field: &mut [u8]) {
        let time = metadata.mtime;
        let fits = u64::try_from(time.seconds)
            .ok()
            .and_then(|seconds| put_octal(field, seconds))
            .is_some();
        if !fits {
            put_octal(field, 0);
        }
        if !fits || time.nanos != 0 {
            let text = pax::format_time(time);
            pax::push_record(&mut self.records, &[b"mtime"], text.as_bytes());
        }
    }

    fn put_number(&mut self, key: &[u8], field: &mut [u8], number: u64) {
        if put_octal(field, number).is_none() {
            put_octal(field, 0);
            pax::push_record(&mut self.records, &[key], number.to_string().as_bytes());
        }
    }
}

/// Whether the text stands as it is in a header: readers take bytes above 127 there for those of some locale, so
/// UTF-8 goes in a record; what is not UTF-8 cannot.
fn is_plain(text: &[u8]) -> bool {
    text.is_ascii() || std::str::from_utf8(text).is_err()
}

/// Puts a text in a field. Where it has no room as a whole, what begins it is put there for readers that know no
/// records, and the answer is false.
fn put_text(field: &mut [u8], text: &[u8]) -> bool {
    if text.len() <= field.len() && is_plain(text) {
        field[..text.len()].copy_from_slice(text);
        return true;
    }
    let ascii = text.iter().filter(|byte| byte.is_ascii());
    for (to, from) in field.iter_mut().zip(ascii) {
        *to = *from;
    }
    false
}

/// Puts a name in the name field, or parted at a `/` in the prefix and name fields.
fn put_name(block: &mut Block, name: &[u8]) -> bool {
    if name.len() > NAME.len()
        && is_plain(name)
        && let Some(slash) = split_point(name)
    {
        block[PREFIX][..slash].copy_from_slice(&name[..slash]);
        let rest = &name[slash + 1..];
        block[NAME][..rest.len()].copy_from_slice(rest);
        return true;
    }
    put_text(&mut block[NAME], name)
}

/// The last `/` that leaves both parts room, and neither empty.
fn split_point(name: &[u8]) -> Option<usize> {
    let end = name.len().min(PREFIX.len() + 1);
    let end = if name[..end].ends_with(b"/") && end == name.len() {
        end - 1
    } else {
        end
    };
    let slash = name[..end].iter().rposition(|byte| *byte == b'/')?;
    let rest = name.len() - slash - 1;
    (slash > 0 && slash <= PREFIX.len() && rest > 0 && rest <= NAME.len()).then_some(slash)
}

/// The header in front of records.
fn extended_header(name: &[u8], size: u64) -> Block {
    let mut block: Block = [0; 512];
    let base = name
        .split(|byte| *byte == b'/')
        .rfind(|part| !part.is_empty())
        .unwrap_or(b".");
    let full = [b"PaxHeaders.0/", base].concat();
    put_text(&mut block[NAME], &full);
    block[MAGIC].copy_from_slice(USTAR);
    block[TYPE] = b'x';
    // Records are bounded far below 8 GiB by the limits on names and attributes.
    for (field, number) in [(MODE, 0o644), (UID, 0), (GID, 0), (SIZE, size), (MTIME, 0)] {
        put_octal(&mut block[field], number);
    }
    for field in [DEV_MAJOR, DEV_MINOR] {
        put_octal(&mut block[field], 0);
    }
    put_checksum(&mut block);
    block
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::metadata::Timestamp;

    fn headers(name: &[u8], metadata: &Metadata, member: Member<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        HeaderWriter::default().push(name, metadata, member, &mut out);
        out
    }

    #[test]
    fn a_small_entry_is_one_block() {
        let metadata = Metadata {
            mode: 0o4755,
            uid: 1000,
            gid: 2_097_151,
            mtime: Timestamp::from_seconds(8_589_934_591),
            xattrs: Vec::new(),
        };
        let bytes = headers(b"usr/bin/su", &metadata, Member::File(8_589_934_591));
        assert_eq!(bytes.len(), 512);
        let header = ::tar::Header::from_byte_slice(&bytes);
        assert_eq!(header.path_bytes().as_ref(), b"usr/bin/su");
        assert_eq!(header.mode().unwrap(), 0o4755);
        assert_eq!(header.size().unwrap(), 8_589_934_591);
        assert_eq!(header.mtime().unwrap(), 8_589_934_591);
        assert_eq!(header.gid().unwrap(), 2_097_151);
    }

    #[test]
    fn names_go_where_they_fit() {
        let metadata = Metadata::default();
        let deep = [vec![b'd'; 100], b"/".to_vec(), vec![b'f'; 100]].concat();
        let deeper = [vec![b'd'; 156], b"/".to_vec(), vec![b'f'; 10]].concat();
        let directory = [vec![b'd'; 100], b"/".to_vec()].concat();
        for (name, blocks) in [
            (&[b'n'; 100][..], 1),
            (&[b'n'; 101], 3),
            (&deep, 1),
            (&deeper, 3),
            (&directory, 3),
            ("é".as_bytes(), 3),
            (b"\xff", 1),
        ] {
            let bytes = headers(name, &metadata, Member::File(0));
            assert_eq!(bytes.len(), blocks * 512, "{}", name.escape_ascii());
            let mut archive = ::tar::Archive::new(&bytes[..]);
            let entry = archive.entries().unwrap().next().unwrap().unwrap();
            assert_eq!(entry.path_bytes().as_ref(), name);
        }
    }

    #[test]
    fn records_are_sorted_and_hold_what_does_not_fit() {
        let metadata = Metadata {
            mode: 0o644,
            uid: u32::MAX,
            gid: 3_000_000,
            mtime: Timestamp {
                seconds: -2,
                nanos: 500_000_000,
            },
            xattrs: vec![(b"user.a".to_vec(), b"\0=\n".to_vec())],
        };
        let target = [b't'; 200];
        let name = [b'n'; 200];
        let bytes = headers(&name, &metadata, Member::Symlink(&target));
        let records: Vec<_> = pax::records(&bytes[512..])
            .take(6)
            .map(Option::unwrap)
            .collect();
        let expected: [(&[u8], &[u8]); 6] = [
            (b"SCHILY.xattr.user.a", b"\0=\n"),
            (b"gid", b"3000000"),
            (b"linkpath", &target),
            (b"mtime", b"-1.5"),
            (b"path", &name),
            (b"uid", b"4294967295"),
        ];
        assert_eq!(records, expected);
        let big = headers(b"big", &Metadata::default(), Member::File(1 << 33));
        let size = pax::records(&big[512..]).next().unwrap().unwrap();
        assert_eq!(size, (&b"size"[..], &b"8589934592"[..]));
    }
}
