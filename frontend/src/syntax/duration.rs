//! Durations as Go writes them: `1h30m`, `2.5s`, `300ms`.

use crate::decimal;

/// Units and their nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3600 * 1_000_000_000),
];

/// Units that Go does not have.
const LONG_UNITS: [(&str, u64); 2] = [
    ("d", 24 * 3600 * 1_000_000_000),
    ("w", 7 * 24 * 3600 * 1_000_000_000),
];

/// Nanoseconds of a duration that is not negative; `None` for anything else (Go, `time.ParseDuration`).
pub(super) fn parse(text: &str) -> Option<u64> {
    in_units(text, &[])
}

/// The same, with days and weeks.
pub(crate) fn parse_long(text: &str) -> Option<u64> {
    in_units(text, &LONG_UNITS)
}

fn in_units(text: &str, more: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|next: char| !next.is_ascii_digit() && next != '.')?;
        let (number, tail) = rest.split_at(end);
        let length = tail
            .find(|next: char| next.is_ascii_digit() || next == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(length);
        let mut units = UNITS.iter().chain(more);
        let (_, scale) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(decimal::scaled(number, *scale)?)?;
        rest = tail;
    }
    (!text.is_empty() && i64::try_from(total).is_ok()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_long};

    #[test]
    fn days_and_weeks_are_long_durations() {
        let day = 86_400_000_000_000;
        let cases = [
            ("1d", Some(day)),
            ("1w", Some(7 * day)),
            ("1d12h", Some(day + day / 2)),
            ("0.5d", Some(day / 2)),
            ("1", None),
            ("1y", None),
            ("99999w", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_long(text), expected, "{text}");
        }
        assert_eq!(parse("1d"), None);
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let cases = [
            ("0", Some(0)),
            ("30s", Some(30_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("1.25ms", Some(1_250_000)),
            ("+5m", Some(300_000_000_000)),
            ("100us", Some(100_000)),
            ("7ns", Some(7)),
            ("", None),
            ("5", None),
            ("s", None),
            (".s", None),
            ("-5s", None),
            ("5 s", None),
            ("1x", None),
            ("1.2.3s", None),
            ("99999999999999999999h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
