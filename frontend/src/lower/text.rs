//! Values as Go prints them, which histories of images and paths of configs show.

use std::fmt::Write as _;

/// Go's `%q` of a string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\0'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", u32::from(character));
            }
            '\u{80}'..='\u{a0}' | '\u{ad}' | '\u{feff}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// Go's `%q` of a list of strings.
pub(super) fn quoted_list(list: &[String]) -> String {
    let quoted: Vec<_> = list.iter().map(|item| quoted(item)).collect();
    format!("[{}]", quoted.join(" "))
}

/// Go's `%v` of a list of strings.
pub(super) fn plain_list(list: &[String]) -> String {
    format!("[{}]", list.join(" "))
}

/// Go's `%v` of a duration in nanoseconds.
pub(super) fn duration(nanoseconds: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    for (unit, scale) in [("ns", 1), ("µs", 1_000), ("ms", 1_000_000)] {
        if nanoseconds < scale * 1000 {
            return format!("{}{unit}", decimal(nanoseconds, scale));
        }
    }
    let (hours, minutes) = (
        nanoseconds / (3600 * SECOND),
        nanoseconds / (60 * SECOND) % 60,
    );
    let mut out = String::new();
    if hours > 0 {
        let _ = write!(out, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(out, "{minutes}m");
    }
    out + &decimal(nanoseconds % (60 * SECOND), SECOND) + "s"
}

/// `value / scale` with as many digits behind the point as it needs.
fn decimal(value: u64, scale: u64) -> String {
    let mut out = (value / scale).to_string();
    let mut rest = value % scale;
    if rest > 0 {
        out.push('.');
    }
    let mut unit = scale;
    while rest > 0 {
        unit /= 10;
        let _ = write!(out, "{}", rest / unit);
        rest %= unit;
    }
    out
}

/// A path made absolute and clean: no empty, `.` or `..` component; `..` does not leave the root.
pub(super) fn absolute(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

/// `path` made absolute, from `directory` when it is relative.
pub(super) fn joined(directory: &str, path: &str) -> String {
    if path.starts_with('/') {
        absolute(path)
    } else {
        absolute(&format!("{directory}/{path}"))
    }
}

/// A path cleaned and kept relative where it is (Go's `path.Clean`).
pub(super) fn clean(path: &str) -> String {
    if path.starts_with('/') {
        return absolute(path);
    }
    let mut kept: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    if kept.is_empty() {
        ".".to_owned()
    } else {
        kept.join("/")
    }
}

/// The last component of a path.
pub(super) fn base_name(path: &str) -> &str {
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_in_go() {
        let cases = [
            ("a b", "\"a b\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            ("\n\t\u{1}\u{7f}", "\"\\n\\t\\x01\\x7f\""),
            ("é☺", "\"é☺\""),
            ("\u{a0}", "\"\\u00a0\""),
        ];
        for (text, expected) in cases {
            assert_eq!(quoted(text), expected);
        }
        assert_eq!(
            quoted_list(&["a".to_owned(), "b c".to_owned()]),
            "[\"a\" \"b c\"]"
        );
        assert_eq!(quoted_list(&[]), "[]");
    }

    #[test]
    fn durations_print_as_in_go() {
        let cases = [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (2_000_000, "2ms"),
            (1_000_000_000, "1s"),
            (30_500_000_000, "30.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
        ];
        for (nanoseconds, expected) in cases {
            assert_eq!(duration(nanoseconds), expected);
        }
    }

    #[test]
    fn paths_are_joined_and_cleaned() {
        let cases = [
            ("/", "a", "/a"),
            ("/w", "a/../b/.", "/w/b"),
            ("/w", "../../..", "/"),
            ("/w", "/x//y/", "/x/y"),
            ("/w", "", "/w"),
        ];
        for (directory, path, expected) in cases {
            assert_eq!(joined(directory, path), expected);
        }
        for (path, expected) in [
            ("", "."),
            ("a/./b/", "a/b"),
            ("../a", "../a"),
            ("/../a", "/a"),
            ("a/..", "."),
        ] {
            assert_eq!(clean(path), expected);
        }
        assert_eq!(base_name("/run/secrets/x/"), "x");
    }
}
