//! An ignore file and, on its last line, a path.
#![no_main]

use frontend::ignore::Ignore;
use frontend::pattern::{Pattern, has_wildcard};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let split = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let (rules, path) = bytes.split_at(split);
    let path = path.strip_prefix(b"\n").unwrap_or(path);
    if let Ok(text) = std::str::from_utf8(rules)
        && let Ok(pattern) = Pattern::parse(text)
        && !has_wildcard(text)
        && !text.contains('\\')
    {
        assert_eq!(pattern.matches(path), path == text.as_bytes());
    }
    let Ok(ignore) = Ignore::parse(rules) else {
        return;
    };
    // A walk does not enter an excluded directory that nothing brings back: so nothing below it may be included.
    let skipped = path.iter().enumerate().any(|(at, byte)| {
        let above = &path[..at];
        *byte == b'/' && ignore.excluded(above) && !ignore.may_include_below(above)
    });
    let normal = path
        .split(|byte| *byte == b'/')
        .all(|name| !matches!(name, b"" | b"." | b".."));
    if skipped && normal {
        assert!(ignore.excluded(path), "a walk would have missed it");
    }
});
