//! Signals by name or number, as `kill -s` and `--stop-signal` take them.

use std::str::FromStr;

use super::BadValue;

/// A signal's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SignalArg(pub i32);

/// Names in the order of their numbers, from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
const REALTIME_FIRST: i32 = 34;
const REALTIME_LAST: i32 = 64;

impl FromStr for SignalArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = name
            .parse()
            .ok()
            .or_else(|| standard(name))
            .or_else(|| realtime(name));
        number
            .filter(|number| (1..=REALTIME_LAST).contains(number))
            .map(Self)
            .ok_or_else(|| BadValue::new(format!("`{text}` is not a signal")))
    }
}

fn standard(name: &str) -> Option<i32> {
    let index = NAMES.iter().position(|known| *known == name)?;
    i32::try_from(index + 1).ok()
}

fn realtime(name: &str) -> Option<i32> {
    let offset = |text: &str| {
        if text.is_empty() {
            Some(0)
        } else {
            text.parse().ok()
        }
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        Some(REALTIME_FIRST + offset(rest)?)
    } else {
        Some(REALTIME_LAST + offset(name.strip_prefix("RTMAX")?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_understood() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("sigterm", 15),
            ("SIGUSR2", 12),
            ("SYS", 31),
            ("RTMIN+1", 35),
            ("SIGRTMAX-1", 63),
            ("RTMIN", 34),
        ] {
            assert_eq!(text.parse::<SignalArg>().expect(text).0, number, "{text}");
        }
        for text in ["", "0", "65", "-1", "NOPE", "RTMIN+99", "RTMAX+1"] {
            assert!(text.parse::<SignalArg>().is_err(), "{text}");
        }
    }
}
