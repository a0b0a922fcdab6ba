#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;

fn ignore(text: &str) -> Ignore {
    Ignore::parse(text.as_bytes()).unwrap()
}

/// Rules, what they leave out, and what they keep.
const CASES: [(&str, &[&str], &[&str]); 26] = [
    ("", &[], &["a", "a/b"]),
    ("a", &["a", "a/b", "a/b/c"], &["b", "b/a", "aa"]),
    ("/a/", &["a", "a/b"], &["b/a"]),
    ("./a//b/../c", &["a/c", "a/c/d"], &["a", "a/b"]),
    ("# a\n #b", &["#b"], &["a", "# a", "b"]),
    ("  a  \r\nb\r\n", &["a", "b"], &["  a"]),
    ("\u{feff}a", &["a"], &["b"]),
    ("*", &["a", "a/b", ".x"], &[]),
    ("*.txt", &["a.txt", "a.txt/b"], &["d/a.txt", "a.txtx"]),
    ("*/*.txt", &["d/a.txt"], &["a.txt", "d/e/a.txt"]),
    ("**/*.txt", &["a.txt", "d/a.txt", "d/e/a.txt"], &["a.md"]),
    ("**", &["a", "a/b"], &[]),
    ("**/", &["a", "a/b"], &[]),
    ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
    ("a**", &["a", "ab", "a/b", "abc/d"], &["b"]),
    ("**/a", &["a", "b/a", "b/c/a", "a/x"], &["ba", "ab"]),
    ("**a", &["a", "ba", "c/ba"], &["ab"]),
    ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["a/x", "ab"]),
    ("a?c", &["abc", "a☺c"], &["ac", "a/c", "abbc"]),
    ("[a-c]x", &["ax", "cx"], &["dx", "[a-c]x"]),
    ("[^a]x", &["bx"], &["ax"]),
    ("a\\*b", &["a*b"], &["axb"]),
    ("*\n!keep", &["a", "a/keep"], &["keep", "keep/a"]),
    ("a\n!a/b\na/b/c", &["a", "a/x", "a/b/c"], &["a/b", "a/b/d"]),
    ("!a\na", &["a", "a/b"], &["b"]),
    (
        "*.md\n!README*.md\nREADME-secret.md",
        &["x.md", "README-secret.md"],
        &["README.md", "README-a.md"],
    ),
];

#[test]
fn paths_are_left_out() {
    for (rules, excluded, kept) in CASES {
        let ignore = ignore(rules);
        for path in excluded {
            assert!(
                ignore.excluded(path.as_bytes()),
                "{rules:?} must exclude {path}"
            );
        }
        for path in kept {
            assert!(
                !ignore.excluded(path.as_bytes()),
                "{rules:?} must keep {path}"
            );
        }
    }
}

#[test]
fn a_walk_goes_where_something_can_be_taken_back() {
    let cases = [
        ("a", "a", false),
        ("*\n!keep", "other", false),
        ("*\n!keep/deep/file", "keep", true),
        ("*\n!keep/deep/file", "keep/deep", true),
        ("*\n!keep/deep/file", "keep/other", false),
        ("*\n!**/*.go", "any", true),
        ("*\n!*.go", "any", false),
        ("*\n!*/x.go", "any", true),
        ("*\n!*/x.go", "any/more", false),
        ("*\n!src/**", "src", true),
        ("*\n!src/**", "source", false),
        ("*\n!s?c/x", "src", true),
        ("*\n![a-c]/x", "b", true),
        ("*\n![a-c]/x", "d", false),
        ("!a/b\na", "a", false),
        ("a\n!a/b\na", "a", false),
        ("*\n!a/**/b", "a/x", true),
    ];
    for (rules, directory, expected) in cases {
        let found = ignore(rules).may_include_below(directory.as_bytes());
        assert_eq!(found, expected, "{rules:?} {directory}");
    }
}

#[test]
fn names_need_not_be_text() {
    let ignore = Ignore::parse(b"\xff*\n?\n").unwrap();
    assert!(ignore.excluded(b"\xffabc"));
    assert!(ignore.excluded(b"\xfe"));
    assert!(!ignore.excluded(b"\xfeabc"));
}

#[test]
fn wrong_rules_are_refused() {
    let cases: [(&[u8], &str); 4] = [
        (b"a\n!", "illegal exclusion pattern `!` in line 2"),
        (b"! ", "illegal exclusion pattern `!` in line 1"),
        (b"[a", "invalid pattern `[a` in line 1"),
        (b"x\\", "invalid pattern `x\\` in line 1"),
    ];
    for (text, message) in cases {
        assert_eq!(Ignore::parse(text).unwrap_err().to_string(), message);
    }
}

#[test]
fn hostile_rules_take_little_time() {
    let ignore = ignore(&"**/*a*?*/".repeat(60));
    assert!(!ignore.excluded("a/".repeat(1000).as_bytes()));
}

mod properties {
    use proptest::prelude::*;

    use super::super::*;

    fn path() -> impl Strategy<Value = String> {
        proptest::collection::vec("[ab.]{1,2}", 1..4).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        /// A walk that goes into excluded directories only where it is told to finds all that is kept.
        #[test]
        fn nothing_kept_is_missed(rules in "(!?[ab*?./]{1,5}\n){0,5}", path in path()) {
            let Ok(ignore) = Ignore::parse(rules.as_bytes()) else {
                return Ok(());
            };
            if !ignore.excluded(path.as_bytes()) {
                for (at, _) in path.match_indices('/') {
                    let directory = &path.as_bytes()[..at];
                    prop_assert!(!ignore.excluded(directory) || ignore.may_include_below(directory));
                }
            }
        }

        #[test]
        fn nothing_panics(rules: Vec<u8>, path: Vec<u8>) {
            if let Ok(ignore) = Ignore::parse(&rules) {
                ignore.excluded(&path);
                ignore.may_include_below(&path);
            }
        }
    }
}
