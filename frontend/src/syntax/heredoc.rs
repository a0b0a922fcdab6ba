//! Here-documents: which ones a line asks for (`<<EOF`, `<<-EOF`, `<<"EOF"`, `3<<EOF`), by BuildKit's rules.

use crate::expand::{ExpandError, Lexer, Unset};
use crate::span::Span;

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heredoc {
    /// The word that ends it.
    pub(crate) name: String,
    /// Variables in it are expanded (where the instruction does so at all): no part of the word is quoted.
    pub(crate) expand: bool,
    /// `<<-`: tabs in front of its lines do not count.
    pub(crate) strip_tabs: bool,
    /// Its lines with their breaks, as written.
    pub(crate) content: String,
    /// The lines of its content in the source.
    pub(crate) span: Span,
}

impl Heredoc {
    /// The content without the tabs that `<<-` leaves out.
    pub(crate) fn stripped(&self) -> String {
        if !self.strip_tabs {
            return self.content.clone();
        }
        self.content
            .split_inclusive('\n')
            .map(|line| line.trim_start_matches('\t'))
            .collect()
    }

    /// Whether a line of the source ends it.
    pub(super) fn ends_with(&self, line: &str) -> bool {
        let line = line.trim_end_matches(['\r', '\n']);
        let line = if self.strip_tabs {
            line.trim_start_matches('\t')
        } else {
            line
        };
        line == self.name
    }
}

/// The here-documents that a line asks for, in order, still empty. A line that is no proper sequence of shell words
/// asks for none.
pub(super) fn in_line(line: &str) -> Result<Vec<Heredoc>, ExpandError> {
    if !line.contains("<<") {
        return Ok(Vec::new());
    }
    let lexer = Lexer {
        keep_quotes: true,
        keep_escapes: true,
        keep_unset: true,
        ..Lexer::new('\\')
    };
    let Ok(expanded) = lexer.expand(line, &Unset) else {
        return Ok(Vec::new());
    };
    let documents = expanded.words.iter().map(|word| of_word(word));
    documents.filter_map(Result::transpose).collect()
}

/// The here-document that a whole word asks for.
pub(crate) fn of_word(word: &str) -> Result<Option<Heredoc>, ExpandError> {
    let Some((number, rest)) = word.split_once("<<") else {
        return Ok(None);
    };
    let (strip_tabs, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let descriptor = number.bytes().all(|byte| byte.is_ascii_digit());
    if !descriptor || rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let lexer = Lexer {
        keep_unset: true,
        ..Lexer::new('\\')
    };
    let words = lexer.expand(rest, &Unset)?.words;
    let [name] = words.as_slice() else {
        return Ok(None);
    };
    let written = Lexer {
        keep_quotes: true,
        ..lexer
    };
    let written = written.expand(rest, &Unset)?.words.concat();
    Ok(Some(Heredoc {
        name: name.clone(),
        expand: quotes(name) == quotes(&written),
        strip_tabs,
        content: String::new(),
        span: Span::default(),
    }))
}

fn quotes(text: &str) -> usize {
    text.matches(['\'', '"']).count()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn words_that_ask_for_one() {
        let cases = [
            ("<<EOF", Some(("EOF", true, false))),
            ("<<-EOF", Some(("EOF", true, true))),
            ("<<'EOF'", Some(("EOF", false, false))),
            ("<<\"EOF\"", Some(("EOF", false, false))),
            ("<<-\"E O\"", Some(("E O", false, true))),
            ("<<E'O'F", Some(("EOF", false, false))),
            (r"<<E\'F", Some(("E'F", true, false))),
            ("3<<EOF", Some(("EOF", true, false))),
            ("<<$x", Some(("$x", true, false))),
            ("<<", None),
            ("<<-", None),
            ("<<<EOF", None),
            ("a<<EOF", None),
            ("<EOF", None),
            ("<<a<<b", None),
        ];
        for (word, expected) in cases {
            let found = of_word(word).unwrap();
            let found = found
                .as_ref()
                .map(|doc| (doc.name.as_str(), doc.expand, doc.strip_tabs));
            assert_eq!(found, expected, "{word}");
        }
    }

    #[test]
    fn lines_that_ask_for_some() {
        let cases: [(&str, &[&str]); 6] = [
            ("RUN cat <<A <<B", &["A", "B"]),
            ("RUN <<EOF bash -ex", &["EOF"]),
            ("RUN echo '<<EOF'", &[]),
            ("RUN echo $((1<<2))", &[]),
            ("RUN echo \"open <<EOF", &[]),
            ("RUN cat <<EOF> /x", &["EOF>"]),
        ];
        for (line, expected) in cases {
            let found = in_line(line).unwrap();
            let names: Vec<_> = found.iter().map(|doc| doc.name.as_str()).collect();
            assert_eq!(names, expected, "{line}");
        }
    }

    #[test]
    fn tabs_are_stripped_when_asked() {
        let mut doc = of_word("<<-E").unwrap().unwrap();
        doc.content = "\ta\n\t\tb\n c\t\n".to_owned();
        assert_eq!(doc.stripped(), "a\nb\n c\t\n");
        assert!(doc.ends_with("\t\tE\r\n"));
        assert!(!doc.ends_with(" E\n"));
    }
}
