//! One header block: its fields, numbers and checksum.

use std::ops::Range;

pub(crate) const NAME: Range<usize> = 0..100;
pub(crate) const MODE: Range<usize> = 100..108;
pub(crate) const UID: Range<usize> = 108..116;
pub(crate) const GID: Range<usize> = 116..124;
pub(crate) const SIZE: Range<usize> = 124..136;
pub(crate) const MTIME: Range<usize> = 136..148;
pub(crate) const CHECKSUM: Range<usize> = 148..156;
pub(crate) const TYPE: usize = 156;
pub(crate) const LINK: Range<usize> = 157..257;
pub(crate) const MAGIC: Range<usize> = 257..265;
pub(crate) const DEV_MAJOR: Range<usize> = 329..337;
pub(crate) const DEV_MINOR: Range<usize> = 337..345;
pub(crate) const PREFIX: Range<usize> = 345..500;

/// Magic and version of POSIX headers.
pub(crate) const USTAR: &[u8; 8] = b"ustar\x0000";

/// A header block.
pub(crate) type Block = [u8; 512];

/// Writes an octal number that ends with a NUL; `None` when it has too many digits.
pub(crate) fn put_octal(field: &mut [u8], number: u64) -> Option<()> {
    let digits = field.len() - 1;
    if number >> (3 * digits) != 0 {
        return None;
    }
    for (at, digit) in field[..digits].iter_mut().rev().enumerate() {
        *digit = b'0' + (number >> (3 * at) & 7) as u8;
    }
    Some(())
}

/// Fills the checksum in: six octal digits, a NUL and a space.
pub(crate) fn put_checksum(block: &mut Block) {
    let sum = checksum(block).0;
    let field = &mut block[CHECKSUM];
    // The sum of 512 bytes has at most six octal digits.
    put_octal(&mut field[..7], sum);
    field[7] = b' ';
}

/// The sum of all bytes, the checksum's own taken as spaces: of unsigned bytes, and of signed ones as some old
/// programs made it.
fn checksum(block: &Block) -> (u64, i64) {
    let mut unsigned = 8 * u64::from(b' ');
    let mut signed = 8 * i64::from(b' ');
    for (at, byte) in block.iter().enumerate() {
        if !CHECKSUM.contains(&at) {
            unsigned += u64::from(*byte);
            signed += i64::from(byte.cast_signed());
        }
    }
    (unsigned, signed)
}

/// Whether the block has the checksum that it says.
pub(crate) fn has_valid_checksum(block: &Block) -> bool {
    let (unsigned, signed) = checksum(block);
    let stated = octal(&block[CHECKSUM]);
    stated == Some(unsigned) || stated.is_some_and(|stated| stated as i64 == signed)
}

/// An octal number between spaces and NULs; nothing at all counts as 0.
pub(crate) fn octal(field: &[u8]) -> Option<u64> {
    let filler = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !filler(byte));
    let Some(start) = start else {
        return Some(0);
    };
    let digits = &field[start..];
    let end = digits.iter().position(filler).unwrap_or(digits.len());
    digits[..end].iter().try_fold(0_u64, |number, byte| {
        let digit = matches!(byte, b'0'..=b'7').then(|| u64::from(byte - b'0'))?;
        (number >> 61 == 0).then_some(number << 3 | digit)
    })
}

/// A number as GNU tar writes it: octal, or behind a byte with its high bit set as a big-endian two's complement.
pub(crate) fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 == 0 {
        return octal(field).and_then(|number| i64::try_from(number).ok());
    }
    // The high bit only marks the form; the next one is the sign. Fields are of at most 12 bytes.
    let (head, fill) = match first & 0x40 {
        0 => (first & 0x7f, 0_i128),
        _ => (first, -1),
    };
    let rest = field[1..].iter();
    let number = std::iter::once(&head)
        .chain(rest)
        .fold(fill, |number, byte| number << 8 | i128::from(*byte));
    i64::try_from(number).ok()
}

/// A text field: up to its first NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0);
    &field[..end.unwrap_or(field.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_form() {
        let base256 = |bytes: &[u8]| number(bytes);
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777", Some(0o7777_7777)),
            (b"00009\0\0\0", None),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(0x2_0000_0000)),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                Some(-1),
            ),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\0\xff\0\0\0\0\0\0\0", None),
        ] {
            assert_eq!(base256(field), expected, "{field:?}");
        }
    }

    #[test]
    fn octal_numbers_are_bounded() {
        let mut field = [0; 8];
        assert_eq!(put_octal(&mut field, 0o777_7777), Some(()));
        assert_eq!(&field, b"7777777\0");
        assert_eq!(put_octal(&mut field, 0o1000_0000), None);
        assert_eq!(octal(&[b'7'; 22]), None);
    }

    #[test]
    fn a_checksum_fits_its_block() {
        let mut block: Block = [0; 512];
        block[0] = 0xff;
        put_checksum(&mut block);
        assert!(has_valid_checksum(&block));
        block[1] = 1;
        assert!(!has_valid_checksum(&block));
    }
}
