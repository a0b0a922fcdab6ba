//! A reader of tar streams: POSIX (pax), GNU and old ones.
//!
//! It is written for the tests and shares nothing with the program's own reader: the two check each other. Sparse
//! entries are refused, for no layer may hold them.

use std::collections::BTreeMap;
use std::io::{self, Read};

const BLOCK: usize = 512;

/// What the header of an entry says, extensions applied.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// The name as stored, with whatever leads or trails it.
    pub name: Vec<u8>,
    /// The target of a link.
    pub link: Vec<u8>,
    /// The type flag: `0` file, `1` hard link, `2` symbolic link, `3` and `4` devices, `5` directory, `6` FIFO.
    pub kind: u8,
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u64,
    /// Numeric group.
    pub gid: u64,
    /// Bytes of content.
    pub size: u64,
    /// Seconds since 1970, rounded down.
    pub mtime: i64,
    /// Major and minor number of a device.
    pub device: (u64, u64),
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Calls `visit` for each entry with its header and a reader of its content; what is not read is skipped.
pub fn entries(
    mut stream: impl Read,
    mut visit: impl FnMut(Header, &mut dyn Read),
) -> io::Result<()> {
    let mut extensions = Extensions::default();
    while let Some(block) = header_block(&mut stream)? {
        let mut header = parse(&block)?;
        match header.kind {
            b'x' | b'g' => {
                let records = content(&mut stream, header.size)?;
                // Global records say nothing of a file's own in layers (git writes a commit there).
                if header.kind == b'x' {
                    extensions.records = pax_records(&records)?;
                }
            }
            b'L' => extensions.name = Some(terminated(&content(&mut stream, header.size)?)),
            b'K' => extensions.link = Some(terminated(&content(&mut stream, header.size)?)),
            _ => {
                std::mem::take(&mut extensions).apply(&mut header)?;
                let has_content = matches!(header.kind, b'0' | 0 | b'7');
                let size = if has_content { header.size } else { 0 };
                let mut body = (&mut stream).take(size);
                visit(header, &mut body);
                io::copy(&mut body, &mut io::sink())?;
                skip_padding(&mut stream, size)?;
            }
        }
    }
    Ok(())
}

/// What extension headers say of the entry that follows them.
#[derive(Default)]
struct Extensions {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Extensions {
    fn apply(self, header: &mut Header) -> io::Result<()> {
        if let Some(name) = self.name {
            header.name = name;
        }
        if let Some(link) = self.link {
            header.link = link;
        }
        for (key, value) in self.records {
            match key.as_slice() {
                b"path" => header.name = value,
                b"linkpath" => header.link = value,
                b"size" => header.size = number(&value)?,
                b"uid" => header.uid = number(&value)?,
                b"gid" => header.gid = number(&value)?,
                b"mtime" => header.mtime = seconds(&value)?,
                _ if key.starts_with(b"GNU.sparse.") => return Err(invalid("a sparse entry")),
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        header.xattrs.insert(name.to_vec(), value);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The next header; `None` at the end mark or the end of the stream.
fn header_block(stream: &mut impl Read) -> io::Result<Option<[u8; BLOCK]>> {
    let mut block = [0; BLOCK];
    match stream.read_exact(&mut block) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    if block.iter().all(|byte| *byte == 0) {
        io::copy(stream, &mut io::sink())?;
        return Ok(None);
    }
    Ok(Some(block))
}

fn parse(block: &[u8; BLOCK]) -> io::Result<Header> {
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
    if field(&block[148..156])? != sum {
        return Err(invalid("a wrong header checksum"));
    }
    let mut name = terminated(&block[..100]);
    // Only POSIX headers have a prefix; GNU ones keep other things there.
    if &block[257..263] == b"ustar\0" && block[345] != 0 {
        name = [terminated(&block[345..500]), name].join(&b'/');
    }
    if block[156] == b'S' {
        return Err(invalid("a sparse entry"));
    }
    Ok(Header {
        name,
        link: terminated(&block[157..257]),
        kind: block[156],
        mode: field(&block[100..108])? as u32 & 0o7777,
        uid: field(&block[108..116])?,
        gid: field(&block[116..124])?,
        size: field(&block[124..136])?,
        mtime: field(&block[136..148])? as i64,
        device: if &block[257..262] == b"ustar" {
            (field(&block[329..337])?, field(&block[337..345])?)
        } else {
            (0, 0)
        },
        xattrs: BTreeMap::new(),
    })
}

/// A numeric field: octal digits, or base 256 when its top bit is set.
fn field(bytes: &[u8]) -> io::Result<u64> {
    if bytes[0] & 0x80 != 0 {
        let start = u64::from(bytes[0] & 0x3f);
        // A set sign bit makes the field a negative number in two's complement.
        let start = if bytes[0] & 0x40 == 0 {
            start
        } else {
            u64::MAX << 6 | start
        };
        return Ok(bytes[1..]
            .iter()
            .fold(start, |sum, byte| sum << 8 | u64::from(*byte)));
    }
    let digits = String::from_utf8_lossy(bytes);
    let digits = digits.trim_matches([' ', '\0']);
    if digits.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(digits, 8).map_err(|_| invalid("a numeric field that is no number"))
}

/// Splits `LENGTH KEY=VALUE\n` records; a value may hold any byte, newlines too.
fn pax_records(mut bytes: &[u8]) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let broken = || invalid("a broken pax record");
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let space = bytes
            .iter()
            .position(|byte| *byte == b' ')
            .ok_or_else(broken)?;
        let length = number(&bytes[..space])? as usize;
        let record = bytes.get(space + 1..length).ok_or_else(broken)?;
        let equals = record
            .iter()
            .position(|byte| *byte == b'=')
            .ok_or_else(broken)?;
        let value = record[equals + 1..]
            .strip_suffix(b"\n")
            .ok_or_else(broken)?;
        records.insert(record[..equals].to_vec(), value.to_vec());
        bytes = &bytes[length..];
    }
    Ok(records)
}

fn content(stream: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(size).read_to_end(&mut bytes)?;
    skip_padding(stream, size)?;
    Ok(bytes)
}

fn skip_padding(stream: &mut impl Read, size: u64) -> io::Result<()> {
    let mut padding = [0; BLOCK];
    let count = (BLOCK - size as usize % BLOCK) % BLOCK;
    stream.read_exact(&mut padding[..count])
}

fn terminated(bytes: &[u8]) -> Vec<u8> {
    bytes
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default()
        .to_vec()
}

fn number(bytes: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| invalid("a pax number that is none"))
}

/// The whole seconds of a decimal time, rounded down.
fn seconds(bytes: &[u8]) -> io::Result<i64> {
    let text = String::from_utf8_lossy(bytes);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let value: i64 = whole
        .parse()
        .map_err(|_| invalid("a pax time that is none"))?;
    let below = whole.starts_with('-') && fraction.bytes().any(|digit| digit != b'0');
    Ok(value - i64::from(below))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
