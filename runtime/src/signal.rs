//! Signals by number.

use rustix::process::Signal;

/// The largest signal that the kernel has.
const LARGEST: i32 = 64;

/// The signal of a number from 1 to 64.
pub fn signal(number: i32) -> Option<Signal> {
    let known = (1..=LARGEST).contains(&number);
    // SAFETY: the two that the C library keeps for itself are only sent to other processes here, which may be anything.
    known.then(|| unsafe { Signal::from_raw_unchecked(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_range_are_signals() {
        for number in [1, libc::SIGTERM, 33, 64] {
            assert_eq!(signal(number).map(Signal::as_raw), Some(number));
        }
        for number in [i32::MIN, -1, 0, 65] {
            assert_eq!(signal(number), None, "{number}");
        }
    }
}
