//! When to try again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How often one request is sent at most.
pub(super) const ATTEMPTS: u32 = 4;
/// How many bytes further a transfer must be for its failures to be counted anew.
pub(super) const PROGRESS: u64 = 64 << 10;
/// The longest wait. A registry that asks for more is not waited for.
const PAUSE_MAX: Duration = Duration::from_mins(1);

static DATES: DateTimeParser = DateTimeParser::new();

/// Whether a later attempt may be answered better.
pub(super) fn is_temporary(status: impl Into<u16>) -> bool {
    matches!(status.into(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// The pause after the attempt of this number, counted from 0; `None` if it was the last. Pauses double, and half of
/// each is chance, so that many clients do not come back at once. `asked` is what the registry wants at least.
pub(super) fn pause(first: Duration, attempt: u32, asked: Option<Duration>) -> Option<Duration> {
    if attempt + 1 >= ATTEMPTS {
        return None;
    }
    let own = first.saturating_mul(1 << attempt).min(PAUSE_MAX);
    let chance = u32::try_from(RandomState::new().hash_one(attempt) % 256).unwrap_or(0);
    let own = own / 2 + own / 2 * chance / 256;
    let asked = asked.unwrap_or_default();
    (asked <= PAUSE_MAX).then(|| own.max(asked))
}

/// How long the registry wants to be left alone: a number of seconds, or a date (RFC 9110, 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    after(
        headers.get(RETRY_AFTER)?.to_str().ok()?.trim(),
        SystemTime::now(),
    )
}

fn after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date: Timestamp = DATES.parse_timestamp(text).ok()?;
    // What is past already asks for nothing.
    Some(
        SystemTime::from(date)
            .duration_since(now)
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_vary_and_end() {
        let first = Duration::from_millis(100);
        for attempt in 0..3 {
            let most = first * (1 << attempt);
            let found: Vec<_> = (0..20)
                .filter_map(|_| pause(first, attempt, None))
                .collect();
            assert!(found.iter().all(|it| *it >= most / 2 && *it <= most));
            assert!(found.iter().any(|it| *it != found[0]), "{found:?}");
        }
        assert_eq!(pause(first, 3, None), None);
    }

    #[test]
    fn a_registry_is_waited_for_but_not_for_ever() {
        let first = Duration::from_millis(100);
        let asked = |seconds| pause(first, 0, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(7), Some(Duration::from_secs(7)));
        assert_eq!(asked(3600), None);
        assert!(asked(0).is_some_and(|pause| pause >= first / 2));
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        // 37 seconds before the date in the specification.
        let now =
            SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777) - Duration::from_secs(37);
        let cases = [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ];
        for (text, expected) in cases {
            let found = after(text, now);
            assert_eq!(found, expected.map(Duration::from_secs), "{text}");
        }
    }
}
