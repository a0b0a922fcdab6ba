#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;

fn variables() -> Environment {
    let mut environment = Environment::default();
    for (name, value) in [
        ("name", "value"),
        ("empty", ""),
        ("path", "/usr/local/lib/libfoo.so.1"),
        ("spaced", "a  b c"),
        ("lines", "one\ntwo"),
        ("dots", "a.b.c"),
    ] {
        environment.set(name, value);
    }
    environment
}

fn expand(text: &str) -> Result<String, ExpandError> {
    Lexer::new('\\')
        .expand(text, &variables())
        .map(|expanded| expanded.text)
}

#[test]
fn values_take_the_place_of_names() {
    let cases = [
        ("", ""),
        ("plain", "plain"),
        ("$name", "value"),
        ("${name}", "value"),
        ("a${name}b", "avalueb"),
        ("$name$name", "valuevalue"),
        ("$nameb", ""),
        ("$none", ""),
        ("${none}", ""),
        ("$", "$"),
        ("$ ", "$ "),
        ("a$.b", "a$.b"),
        (r"\$name", "$name"),
        (r"\\$name", r"\value"),
        ("'$name'", "$name"),
        ("\"$name\"", "value"),
        ("\"\\$name\"", "$name"),
        (r#""a\b""#, r"a\b"),
        (r#""a\"b""#, "a\"b"),
        (r"'a\b'", r"a\b"),
        (r"a\b", "ab"),
        ("a\\", "a"),
        ("'it''s'", "its"),
        ("\"'\"", "'"),
        ("$1x", "x"),
        ("$12", ""),
        ("$@$*$#$?$-$$$!$0", ""),
        ("é$name", "évalue"),
    ];
    for (text, expected) in cases {
        assert_eq!(expand(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn alternatives() {
    let cases = [
        ("${name:-other}", "value"),
        ("${none:-other}", "other"),
        ("${empty:-other}", "other"),
        ("${empty-other}", ""),
        ("${none-other}", "other"),
        ("${name:+other}", "other"),
        ("${empty:+other}", ""),
        ("${empty+other}", "other"),
        ("${none+other}", ""),
        ("${none:-$name}", "value"),
        ("${none:-${name}}", "value"),
        ("${none:-${nope:-deep}}", "deep"),
        ("${none:-\"a b\"}", "a b"),
        ("${none:-'}'}", "}"),
        (r"${none:-a\}b}", "a}b"),
        ("${name:?message}", "value"),
        ("${empty?message}", ""),
        ("${none:-}", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(expand(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn patterns_cut_and_replace() {
    let cases = [
        ("${path#*/}", "usr/local/lib/libfoo.so.1"),
        ("${path##*/}", "libfoo.so.1"),
        ("${path%.*}", "/usr/local/lib/libfoo.so"),
        ("${path%%.*}", "/usr/local/lib/libfoo"),
        ("${path#nope}", "/usr/local/lib/libfoo.so.1"),
        ("${path#/???/}", "local/lib/libfoo.so.1"),
        ("${name#?}", "alue"),
        ("${name%?}", "valu"),
        ("${name##*}", ""),
        ("${name#*}", "value"),
        ("${dots%%.*}", "a"),
        ("${dots##*.}", "c"),
        ("${dots/./-}", "a-b.c"),
        ("${dots//./-}", "a-b-c"),
        ("${dots//?/x}", "xxxxx"),
        ("${dots/.*/}", "a"),
        ("${dots/z/-}", "a.b.c"),
        ("${dots//.*/-}", "a-"),
        ("${dots//*/-}", "-"),
        (r"${path//\//_}", "_usr_local_lib_libfoo.so.1"),
        ("${lines##*o}", "ne\ntwo"),
        ("${none#x}", ""),
        ("${none/a/b}", ""),
        ("${dots//./$name}", "avaluebvaluec"),
        (r"${name#\*}", "value"),
    ];
    for (text, expected) in cases {
        assert_eq!(expand(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn wrong_words_are_refused() {
    let cases = [
        ("${", "syntax error: missing `}` in `${}`"),
        ("${name", "syntax error: missing `}` in `${}`"),
        ("${name:-x", "syntax error: missing `}` in `${}`"),
        ("${name/x", "syntax error: missing `/` in `${}`"),
        ("${name/x/y", "syntax error: missing `}` in `${}`"),
        ("${}", "syntax error: bad substitution"),
        ("${:x}", "syntax error: bad substitution"),
        ("${{x}", "syntax error: bad substitution"),
        ("${name:#x}", "unsupported modifier `:#` in substitution"),
        ("${name^^}", "unsupported modifier `^` in substitution"),
        ("${name.x}", "unsupported modifier `.` in substitution"),
        ("${none:?}", "none: is not allowed to be unset"),
        ("${empty:?}", "empty: is not allowed to be empty"),
        ("${none?say $name}", "none: say value"),
        (
            "'open",
            "unexpected end of statement while looking for matching single-quote",
        ),
        (
            "\"open",
            "unexpected end of statement while looking for matching double-quote",
        ),
        (
            r"${name#\a}",
            r"invalid pattern `\a` in substitution: invalid escape `\a`",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(expand(text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn words_split_at_blanks_outside_quotes() {
    let cases: [(&str, &[&str]); 7] = [
        ("a b", &["a", "b"]),
        ("  a  ", &["a"]),
        ("'a b' c", &["a b", "c"]),
        ("$spaced", &["a", "b", "c"]),
        ("\"$spaced\"", &["a  b c"]),
        (r"a\ b c", &["a b", "c"]),
        ("$empty", &[]),
    ];
    for (text, expected) in cases {
        let words = Lexer::new('\\').expand(text, &variables()).unwrap().words;
        assert_eq!(words, expected, "{text}");
    }
}

#[test]
fn the_escape_character_can_be_another() {
    let expanded = Lexer::new('`')
        .expand(r"`$name\$name", &variables())
        .unwrap();
    assert_eq!(expanded.text, r"$name\value");
}

#[test]
fn what_is_unset_can_stay_as_written() {
    let lexer = Lexer {
        keep_quotes: true,
        keep_unset: true,
        ..Lexer::new('\\')
    };
    let cases = [
        ("RUN echo '$x' \"$name\"", "RUN echo '$x' \"value\""),
        (
            "$none ${none} ${none:-d} ${none%x}",
            "$none ${none} ${none:-d} ${none%x}",
        ),
        ("${none/a/b}", "${none/a/b}"),
    ];
    for (text, expected) in cases {
        assert_eq!(lexer.expand(text, &variables()).unwrap().text, expected);
    }
}

#[test]
fn unset_names_are_told() {
    let expanded = Lexer::new('\\')
        .expand(
            "$none $name ${gone} ${offered:-x} '$quoted' \\$escaped",
            &variables(),
        )
        .unwrap();
    let unset: Vec<_> = expanded.unset.into_iter().collect();
    assert_eq!(unset, ["gone", "none"]);
}

#[test]
fn hostile_words_end_in_errors() {
    let nested = "${a:-".repeat(1000);
    assert_eq!(expand(&nested), Err(ExpandError::TooDeep));

    let mut environment = Environment::default();
    environment.set("big", &"a".repeat(MAX_LENGTH));
    let lexer = Lexer::new('\\');
    assert_eq!(
        lexer.expand("$big$big", &environment),
        Err(ExpandError::TooLong)
    );
    assert_eq!(
        lexer.expand("${big//a/bb}", &environment),
        Err(ExpandError::TooLong)
    );
    let slow = format!("${{big//{}b/x}}", "a".repeat(500));
    assert_eq!(lexer.expand(&slow, &environment), Err(ExpandError::TooSlow));
}
