//! Splits an instruction's line into keyword, flags and the rest, and the rest into words.

use super::logical::{Slice, Word};

/// The blanks between an instruction's parts; a line break never is in a logical line.
pub(super) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{b}' | '\u{c}' | '\r')
}

/// An instruction's line, taken apart.
pub(super) struct Split<'a> {
    pub(super) keyword: Slice<'a>,
    pub(super) flags: Vec<Word>,
    pub(super) rest: Slice<'a>,
}

/// Takes a line apart. Flags are the words in front that begin with `--`; a lone `--` ends them.
pub(super) fn split_line<'a>(line: &Slice<'a>) -> Split<'a> {
    let text = line.text();
    let end = text.find(is_blank).unwrap_or(text.len());
    let keyword = line.part(0..end);
    let rest = line.rest(end).trim();
    let (flags, rest) = split_flags(&rest);
    Split {
        keyword,
        flags,
        rest: rest.trim(),
    }
}

/// Flags lose their quotes, and a backslash in them stands for the character behind it whatever the escape
/// character of the file is (BuildKit, `parser/split_command.go`).
fn split_flags<'a>(rest: &Slice<'a>) -> (Vec<Word>, Slice<'a>) {
    let text = rest.text();
    let mut flags = Vec::new();
    let mut at = 0;
    loop {
        let blanks = text[at..].len() - text[at..].trim_start().len();
        at += blanks;
        if !text[at..].starts_with("--") {
            return (flags, rest.rest(at));
        }
        let (value, length) = read_flag(&text[at..]);
        let flag = rest.part(at..at + length);
        at += length;
        if value == "--" {
            return (flags, rest.rest(at));
        }
        flags.push(flag.word_of(value));
    }
}

/// One flag without its quotes, and how many bytes it takes.
fn read_flag(text: &str) -> (String, usize) {
    let mut value = String::new();
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (character, quote) {
            (_, Some(open)) if character == open => quote = None,
            (_, None) if character.is_whitespace() => return (value, at),
            ('\'' | '"', None) => quote = Some(character),
            ('\\', _) => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, text.len())
}

/// Words between blanks.
pub(super) fn blank_separated(rest: &Slice<'_>) -> Vec<Word> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, character) in rest.text().char_indices() {
        match (is_blank(character), start) {
            (false, None) => start = Some(at),
            (true, Some(begin)) => {
                words.push(rest.part(begin..at).word());
                start = None;
            }
            _ => {}
        }
    }
    words.extend(start.map(|begin| rest.rest(begin).word()));
    words
}

/// Words between blanks where quotes and escapes hold words together. Both stay in the words: expansion removes them.
pub(super) fn quoted_words(rest: &Slice<'_>, escape: char) -> Vec<Word> {
    let text = rest.text();
    let mut words = Vec::new();
    let mut word = String::new();
    let mut start = None;
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            if let Some(begin) = start.take() {
                words.push(rest.part(begin..at).word_of(std::mem::take(&mut word)));
            }
            continue;
        }
        start.get_or_insert(at);
        if character == escape && quote != Some('\'') {
            // At the very end an escape character stands for nothing.
            if let Some((_, escaped)) = characters.next() {
                word.push(character);
                word.push(escaped);
            }
            continue;
        }
        match quote {
            Some(open) if open == character => quote = None,
            None if matches!(character, '\'' | '"') => quote = Some(character),
            _ => {}
        }
        word.push(character);
    }
    if let Some(begin) = start
        && !word.is_empty()
    {
        words.push(rest.rest(begin).word_of(word));
    }
    words
}

/// What a text that may be a JSON array of strings is.
pub(super) enum Json {
    /// The strings.
    Strings(Vec<String>),
    /// An array with something else in it.
    OtherValues,
    /// Not an array, or not JSON.
    No,
}

/// Reads a JSON array of strings.
pub(super) fn json_strings(text: &str) -> Json {
    if !text.starts_with('[') {
        return Json::No;
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text) else {
        return Json::No;
    };
    let strings = values.into_iter().map(|value| match value {
        serde_json::Value::String(string) => Some(string),
        _ => None,
    });
    strings
        .collect::<Option<Vec<_>>>()
        .map_or(Json::OtherValues, Json::Strings)
}

#[cfg(test)]
mod tests {
    use super::super::logical::Logical;
    use super::*;

    fn line(text: &str) -> Logical {
        let mut line = Logical::new(None);
        line.push(text, 0);
        line
    }

    fn texts(words: &[Word]) -> Vec<&str> {
        words.iter().map(|word| word.text.as_str()).collect()
    }

    #[test]
    fn lines_fall_into_keyword_flags_and_rest() {
        let cases: [(&str, &str, &[&str], &str); 8] = [
            ("RUN echo  hi ", "RUN", &[], "echo  hi"),
            ("RUN", "RUN", &[], ""),
            (
                "COPY --from=a --chown=1 x y",
                "COPY",
                &["--from=a", "--chown=1"],
                "x y",
            ),
            ("RUN -- --weird", "RUN", &[], "--weird"),
            ("RUN --mount=a -- b", "RUN", &["--mount=a"], "b"),
            (
                "RUN --a='b c' --\"d e\" f",
                "RUN",
                &["--a=b c", "--d e"],
                "f",
            ),
            (r"RUN --a=b\ c d", "RUN", &["--a=b c"], "d"),
            ("RUN\t--x", "RUN", &["--x"], ""),
        ];
        for (text, keyword, flags, rest) in cases {
            let line = line(text);
            let split = split_line(&line.slice());
            assert_eq!(split.keyword.text(), keyword, "{text}");
            assert_eq!(texts(&split.flags), flags, "{text}");
            assert_eq!(split.rest.text(), rest, "{text}");
        }
    }

    #[test]
    fn words_keep_quotes_and_escapes() {
        let cases: [(&str, &[&str]); 7] = [
            ("a=1 b=2", &["a=1", "b=2"]),
            ("a='x y' b=\"z \\\" w\"", &["a='x y'", "b=\"z \\\" w\""]),
            (r"a=x\ y", &[r"a=x\ y"]),
            (r"a=x\", &["a=x"]),
            ("''", &["''"]),
            ("a=\"unclosed b", &["a=\"unclosed b"]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            let line = line(text);
            assert_eq!(
                texts(&quoted_words(&line.slice(), '\\')),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn words_know_their_places() {
        let line = line("a  bc");
        let words = blank_separated(&line.slice());
        assert_eq!(texts(&words), ["a", "bc"]);
        assert_eq!((words[1].span.start, words[1].span.end), (3, 5));
    }

    #[test]
    fn json_is_recognised() {
        assert!(matches!(json_strings("[]"), Json::Strings(list) if list.is_empty()));
        assert!(
            matches!(json_strings(r#"["a", "b\n"]"#), Json::Strings(list) if list == ["a", "b\n"])
        );
        assert!(matches!(json_strings(r#"["a", 1]"#), Json::OtherValues));
        assert!(matches!(json_strings(r#"["a""#), Json::No));
        assert!(matches!(json_strings("['a']"), Json::No));
        assert!(matches!(json_strings("a"), Json::No));
    }
}
