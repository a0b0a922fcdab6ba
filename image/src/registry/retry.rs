//! When to try again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};

/// How often one request is sent at most.
pub(super) const ATTEMPTS: u32 = 4;
/// The longest wait that a registry may ask for.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Whether a later attempt may be answered better.
pub(super) fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// The wait after the attempt of this number, counted from 0: doubled each time, spread by a quarter so that many
/// clients do not come back at once; longer if the registry asks for it.
pub(super) fn wait(first: Duration, attempt: u32, answer: Option<&Response>) -> Duration {
    let own = first.saturating_mul(1 << attempt.min(10));
    let random = u32::try_from(RandomState::new().hash_one(attempt) % 256).unwrap_or(0);
    let spread = own / 4 * random / 256;
    let asked = answer.and_then(|answer| retry_after(answer.headers()));
    (own + spread).max(asked.unwrap_or_default()).min(WAIT_MAX)
}

/// The header's form in seconds; that of a date is rare and taken as absent.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_are_bounded() {
        let first = Duration::from_millis(100);
        for attempt in 0..4 {
            let base = first * (1 << attempt);
            let wait = wait(first, attempt, None);
            assert!(wait >= base && wait <= base * 5 / 4, "{attempt}: {wait:?}");
        }
        assert_eq!(wait(Duration::from_secs(20), 30, None), WAIT_MAX);
    }
}
