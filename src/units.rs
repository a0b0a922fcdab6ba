//! Quantities as people read them: bytes, sizes, ages and elapsed times, in the forms of Docker's and BuildKit's own
//! output.

use std::time::Duration;

/// Bytes moved, as the progress of a build shows them: `2B`, `1.20MB` (decimal units, two decimals).
pub(crate) fn bytes(count: u64) -> String {
    let (value, unit) = scaled(count);
    if unit == "B" {
        format!("{count}B")
    } else {
        format!("{value:.2}{unit}")
    }
}

/// The size of an image as Docker's tables show it: decimal units, three significant digits, no trailing zeros
/// (`72.8MB`, `126MB`, `5MB`).
pub(crate) fn size(count: u64) -> String {
    let (value, unit) = scaled(count);
    let decimals = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let mut text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    text + unit
}

/// How long ago something was, as Docker's tables say it, without the ` ago`.
pub(crate) fn age(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// Seconds since a step began, before a line of its output: three decimals below ten seconds, then fewer.
pub(crate) fn log_time(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    match seconds {
        s if s < 10.0 => format!("{s:.3}"),
        s if s < 100.0 => format!("{s:.2}"),
        s => format!("{s:.1}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most four digits are shown")]
fn scaled(count: u64) -> (f64, &'static str) {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    (value, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_two_decimals_above_a_kilobyte() {
        for (count, text) in [
            (0, "0B"),
            (2, "2B"),
            (999, "999B"),
            (1_200, "1.20kB"),
            (5_000_000, "5.00MB"),
            (1_234_567_890, "1.23GB"),
            (u64::MAX, "18.45EB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn sizes_have_three_significant_digits() {
        for (count, text) in [
            (0, "0B"),
            (42, "42B"),
            (4_430_000, "4.43MB"),
            (5_000_000, "5MB"),
            (72_800_000, "72.8MB"),
            (126_400_000, "126MB"),
            (100_000, "100kB"),
            (9_999_000, "10MB"),
        ] {
            assert_eq!(size(count), text, "{count}");
        }
    }

    #[test]
    fn ages_read_as_docker_says_them() {
        const HOUR: u64 = 3600;
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (600, "10 minutes"),
            (HOUR, "About an hour"),
            (2 * HOUR, "2 hours"),
            (47 * HOUR, "47 hours"),
            (72 * HOUR, "3 days"),
            (24 * 20 * HOUR, "2 weeks"),
            (24 * 90 * HOUR, "3 months"),
            (24 * 365 * 3 * HOUR, "3 years"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn log_times_lose_digits_as_they_grow() {
        for (millis, text) in [
            (123, "0.123"),
            (9_999, "9.999"),
            (12_345, "12.35"),
            (123_456, "123.5"),
        ] {
            assert_eq!(log_time(Duration::from_millis(millis)), text);
        }
    }
}
