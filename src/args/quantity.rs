//! Sizes, times and limits on the command line, as Docker's commands read them.

use std::time::Duration;

use engine::retention::Limits;

use super::BadValue;

/// A size: `512`, `10kb`, `1.5GB`, `2GiB`. As with Docker's flags for memory, a kilobyte has 1024 bytes.
pub(crate) fn size(text: &str) -> Result<u64, BadValue> {
    let bad = || BadValue(format!("`{text}` is not a size such as `512MB` or `10GB`"));
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = lower[digits.len()..]
        .trim_end_matches('b')
        .trim_end_matches('i');
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(bad()),
    };
    let number: f64 = digits.trim().parse().map_err(|_| bad())?;
    if !number.is_finite() || number < 0.0 {
        return Err(bad());
    }
    Ok((number * 1024_f64.powi(power)) as u64)
}

/// A time: `90s`, `24h`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, BadValue> {
    let bad = || BadValue(format!("`{text}` is not a time such as `90s` or `24h`"));
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                .len();
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        let after = &rest[digits..];
        let unit = after.len()
            - after
                .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let seconds = match &after[..unit] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(bad()),
        };
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| bad())?;
        total = total.checked_add(part).ok_or_else(bad)?;
        rest = &after[unit..];
    }
    if text.trim().is_empty() {
        Err(bad())
    } else {
        Ok(total)
    }
}

/// `max-used-space=50GB,reserved-space=10GB,min-free-space=20GB`: some of these, not all of them 0.
pub(crate) fn limits(text: &str) -> Result<Limits, BadValue> {
    let mut limits = Limits::default();
    for part in text.split(',') {
        let bad = || {
            BadValue(format!(
                "`{part}` is not a limit such as `max-used-space=50GB`"
            ))
        };
        let (name, value) = part.split_once('=').ok_or_else(bad)?;
        let limit = match name.trim() {
            "max-used-space" => &mut limits.max_used,
            "reserved-space" => &mut limits.reserved,
            "min-free-space" => &mut limits.min_free,
            _ => return Err(bad()),
        };
        *limit = size(value)?;
    }
    if limits == Limits::default() {
        return Err(BadValue("limits of 0 are none: say `off`".to_owned()));
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("512", Some(512)),
            ("1k", Some(1024)),
            ("10kb", Some(10_240)),
            ("1.5GB", Some(1_610_612_736)),
            ("2GiB", Some(2_147_483_648)),
            ("", None),
            ("GB", None),
            ("-1", None),
            ("1x", None),
        ] {
            assert_eq!(size(text).ok(), bytes, "{text}");
        }
    }

    #[test]
    fn times_are_read_as_docker_reads_them() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("1h30m", Some(5400)),
            ("24h", Some(86400)),
            ("0s", Some(0)),
            ("", None),
            ("24", None),
            ("h", None),
            ("1y", None),
        ] {
            assert_eq!(
                duration(text).ok(),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
    }

    #[test]
    fn limits_are_read_whole() {
        let read = limits("max-used-space=1k,min-free-space=2k").expect("two limits");
        assert_eq!(
            (read.max_used, read.reserved, read.min_free),
            (1024, 0, 2048)
        );
        for text in [
            "",
            "max-used-space",
            "max=1",
            "max-used-space=x",
            "reserved-space=0",
        ] {
            assert!(limits(text).is_err(), "{text}");
        }
    }
}
