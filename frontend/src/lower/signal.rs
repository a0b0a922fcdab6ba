//! Signals that `STOPSIGNAL` takes: numbers, and Linux's names with or without `SIG`.

const NAMES: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Whether a text names a signal.
pub(super) fn is_valid(text: &str) -> bool {
    if let Ok(number) = text.parse::<u32>() {
        return number > 0;
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.contains(&name) || is_realtime(name)
}

/// `RTMIN+1` to `RTMIN+15`, `RTMAX-14` to `RTMAX-1`.
fn is_realtime(name: &str) -> bool {
    let offset = |text: &str| {
        let plain = !text.starts_with(['0', '+']);
        text.parse::<u32>().ok().filter(|_| plain)
    };
    let below = name.strip_prefix("RTMAX-").and_then(offset);
    let above = name.strip_prefix("RTMIN+").and_then(offset);
    above.is_some_and(|offset| (1..=15).contains(&offset))
        || below.is_some_and(|offset| (1..=14).contains(&offset))
}

/// Names as they are most often written.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    [
        "SIGTERM", "SIGINT", "SIGQUIT", "SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH",
        "SIGSTOP", "SIGCONT", "SIGABRT",
    ]
    .into_iter()
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn signals_are_known() {
        for text in [
            "9",
            "15",
            "64",
            "99",
            "SIGTERM",
            "term",
            "SIGRTMIN+3",
            "RTMAX-14",
            "SIGRTMAX",
        ] {
            assert!(is_valid(text), "{text}");
        }
        for text in [
            "",
            "0",
            "-1",
            "SIGTREM",
            "RTMIN+16",
            "RTMAX-15",
            "RTMIN+",
            "SIG",
            "SIGSIGTERM",
        ] {
            assert!(!is_valid(text), "{text}");
        }
    }
}
