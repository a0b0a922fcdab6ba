//! Patterns of file names: those of `COPY` and `ADD`, by the rules of Go's `filepath.Match`.

mod glob;

pub(crate) use glob::{Class, Glob, Token};

/// A pattern that is not well formed: a class without end, or an escape at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct PatternError;

/// A pattern for one component of a path, or for a whole path: `*` and `?` do not match a `/`.
#[derive(Debug, Clone)]
pub struct Pattern(Glob);

impl Pattern {
    /// Reads a pattern: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` in front of a character that stands for itself.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            rest = &rest[first.len_utf8()..];
            match first {
                '*' => tokens.push(Token::Star),
                '?' => tokens.push(Token::One),
                '[' => tokens.push(Token::Class(Class::parse(&mut rest)?)),
                '\\' => {
                    let escaped = rest.chars().next().ok_or(PatternError)?;
                    rest = &rest[escaped.len_utf8()..];
                    tokens.push(Token::character(escaped));
                }
                other => tokens.push(Token::character(other)),
            }
        }
        Ok(Self(Glob::new(tokens)))
    }

    /// Whether all of `name` matches. A name need not be UTF-8.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.0.matches(name)
    }
}

/// Whether a path of `COPY` or `ADD` is a pattern: it has a `*`, `?` or `[` that is not escaped.
pub fn has_wildcard(path: &str) -> bool {
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' => return true,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn names_match_as_in_go() {
        let cases = [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*", "", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "z", false),
            ("*x", "xxx", true),
            ("fil[e]", "file", true),
        ];
        for (pattern, name, expected) in cases {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(
                parsed.matches(name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn names_need_not_be_text() {
        let cases: [(&str, &[u8], bool); 3] = [
            ("a?b", b"a\xffb", true),
            ("a*b", b"a\xff\xfeb", true),
            ("a??b", b"a\xffb", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(name), expected);
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for pattern in [
            "[", "[^", "[a", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "a\\", "[^bc",
        ] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn wildcards_are_found() {
        let cases = [
            ("a", false),
            ("a*", true),
            ("a\\*", false),
            ("[a]", true),
            ("\\\\?", true),
        ];
        for (path, expected) in cases {
            assert_eq!(has_wildcard(path), expected, "{path}");
        }
    }

    #[test]
    fn hostile_patterns_take_no_time() {
        let pattern = Pattern::parse(&"a*".repeat(1000)).unwrap();
        assert!(pattern.matches("a".repeat(1000).as_bytes()));
        assert!(!pattern.matches("a".repeat(999).as_bytes()));
    }
}
