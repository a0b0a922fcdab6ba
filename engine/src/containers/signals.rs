//! Signals by name, as `STOPSIGNAL` has them.

/// Asks a process to end.
pub(super) const TERM: i32 = 15;
/// Ends a process.
pub(super) const KILL: i32 = 9;

/// Names in the order of their numbers, from 1 (Linux, all architectures but Alpha, MIPS and SPARC).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// The first and the last realtime signal that the C library leaves to programs.
const REALTIME: (i32, i32) = (34, 64);

/// The number of a signal written as `SIGTERM`, `term`, `15` or `SIGRTMIN+3`.
pub(super) fn parse(text: &str) -> Option<i32> {
    let upper = text.trim().to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = if let Ok(number) = name.parse() {
        number
    } else if let Some(offset) = name.strip_prefix("RTMIN") {
        REALTIME.0 + offset_of(offset)?
    } else if let Some(offset) = name.strip_prefix("RTMAX") {
        REALTIME.1 + offset_of(offset)?
    } else {
        NAMES.iter().position(|known| *known == name)? as i32 + 1
    };
    (1..=REALTIME.1).contains(&number).then_some(number)
}

/// `+3`, `-1` or nothing.
fn offset_of(text: &str) -> Option<i32> {
    if text.is_empty() {
        return Some(0);
    }
    let offset: i32 = text.parse().ok()?;
    let span = REALTIME.1 - REALTIME.0;
    (-span..=span).contains(&offset).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_name_and_number() {
        for (text, number) in [
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("Kill", Some(9)),
            ("15", Some(15)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX", Some(64)),
            ("SIGRTMAX-1", Some(63)),
            ("RTMAX+1", None),
            ("RTMIN+2147483647", None),
            ("0", None),
            ("65", None),
            ("-1", None),
            ("", None),
            ("SIG", None),
            ("NOPE", None),
        ] {
            assert_eq!(parse(text), number, "{text}");
        }
    }
}
