//! PAX extended headers (POSIX.1-2008, `pax`, "Extended Header"): records of `length key=value\n`.

use crate::metadata::Timestamp;

/// Prefix of keys that hold extended attributes.
pub(crate) const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// Appends a record.
pub(crate) fn push_record(out: &mut Vec<u8>, key: &[&[u8]], value: &[u8]) {
    let key_size: usize = key.iter().map(|part| part.len()).sum();
    // A space, an equals sign and a newline.
    let rest = key_size + value.len() + 3;
    let mut total = rest + digits(rest);
    if digits(total) > digits(rest) {
        total += 1;
    }
    out.extend_from_slice(total.to_string().as_bytes());
    out.push(b' ');
    for part in key {
        out.extend_from_slice(part);
    }
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// The records of an extended header: keys and values. An item is `None` where the header is damaged, and the last.
pub(crate) fn records(mut bytes: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    std::iter::from_fn(move || {
        // Some writers fill the rest of a block up.
        if bytes.iter().all(|byte| *byte == 0) {
            return None;
        }
        let record = split_record(bytes);
        bytes = record.map_or(&[], |(_, rest)| rest);
        Some(record.map(|(record, _)| record))
    })
}

type Record<'a> = (&'a [u8], &'a [u8]);

fn split_record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let key = &record[..equals];
    (!key.is_empty()).then_some(((key, &record[equals + 1..]), rest))
}

/// A number in decimal digits and nothing else.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Seconds with an optional sign and fraction, as text.
pub(crate) fn format_time(time: Timestamp) -> String {
    if time.nanos == 0 {
        return time.seconds.to_string();
    }
    // The fraction counts away from zero in text, but forwards in a timestamp.
    let (sign, seconds, nanos) = if time.seconds < 0 {
        let whole = (time.seconds + 1).unsigned_abs();
        ("-", whole, 1_000_000_000 - time.nanos)
    } else {
        ("", time.seconds.unsigned_abs(), time.nanos)
    };
    let text = format!("{sign}{seconds}.{nanos:09}");
    text.trim_end_matches('0').to_owned()
}

/// Reads what [`format_time`] writes; digits beyond nanoseconds are dropped.
pub(crate) fn parse_time(text: &[u8]) -> Option<Timestamp> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let dot = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match dot {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &[][..]),
    };
    let whole = decimal(whole)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanos = (0..9).fold(0, |nanos, at| {
        nanos * 10 + fraction.get(at).map_or(0, |digit| u32::from(digit - b'0'))
    });
    let before = || 0_i64.checked_sub_unsigned(whole);
    Some(match (negative, nanos) {
        (false, nanos) => Timestamp {
            seconds: i64::try_from(whole).ok()?,
            nanos,
        },
        (true, 0) => Timestamp::from_seconds(before()?),
        (true, nanos) => Timestamp {
            seconds: before()?.checked_sub(1)?,
            nanos: 1_000_000_000 - nanos,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_their_own_length() {
        for size in [0, 1, 80, 88, 89, 90, 91, 986, 987, 988, 989, 990, 99_990] {
            let mut out = Vec::new();
            let value = vec![b'v'; size];
            push_record(&mut out, &[b"SCHILY.", b"key"], &value);
            push_record(&mut out, &[b"b"], b"a=\n");
            let expected = [
                Some((&b"SCHILY.key"[..], &value[..])),
                Some((&b"b"[..], &b"a=\n"[..])),
            ];
            assert!(records(&out).eq(expected), "{size}");
        }
    }

    #[test]
    fn damaged_records_are_told() {
        for bytes in [
            &b"x"[..],
            b"5 a=b\n",
            b"99 a=b\n",
            b"6 a=bx",
            b"5 ab\n",
            b"5 =b\n",
            b"0 a=b\n",
            b"99999999999999999999999 a=b\n",
        ] {
            assert_eq!(records(bytes).last(), Some(None), "{bytes:?}");
        }
        assert_eq!(records(b"6 a=b\n\0\0").count(), 1);
        assert_eq!(records(b"").count(), 0);
    }

    #[test]
    fn times_survive() {
        for (seconds, nanos, text) in [
            (0, 0, "0"),
            (1, 500_000_000, "1.5"),
            (1, 1, "1.000000001"),
            (-1, 0, "-1"),
            (-1, 999_999_999, "-0.000000001"),
            (-2, 500_000_000, "-1.5"),
            (253_402_300_799, 999_999_999, "253402300799.999999999"),
            (i64::MIN, 0, "-9223372036854775808"),
            (i64::MIN, 1, "-9223372036854775807.999999999"),
            (i64::MAX, 999_999_999, "9223372036854775807.999999999"),
        ] {
            let time = Timestamp { seconds, nanos };
            assert_eq!(format_time(time), text);
            assert_eq!(parse_time(text.as_bytes()), Some(time));
        }
        assert_eq!(parse_time(b"1.0000000019"), parse_time(b"1.000000001"));
        for text in [
            "",
            "x",
            "1.x",
            "--1",
            "9223372036854775808",
            "-9223372036854775808.1",
            "99999999999999999999",
        ] {
            assert_eq!(parse_time(text.as_bytes()), None, "{text}");
        }
    }
}
