//! Expansion of variables in words, by the rules of BuildKit's shell lexer (`frontend/dockerfile/shell/lex.go`):
//! quotes and escapes are removed, `$x` and the `${x...}` forms are replaced.

mod environment;
mod pattern;

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

pub(crate) use environment::Environment;
use pattern::{Extent, GlobPattern};

/// Variables as expansion sees them.
pub(crate) trait Variables {
    fn value(&self, name: &str) -> Option<&str>;
}

/// No variable is set.
pub(crate) struct Unset;

impl Variables for Unset {
    fn value(&self, _: &str) -> Option<&str> {
        None
    }
}

/// What expansion refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpandError {
    #[error("unexpected end of statement while looking for matching {0}")]
    Unclosed(&'static str),
    #[error("syntax error: missing `{0}` in `${{}}`")]
    Missing(char),
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    #[error("unsupported modifier `{}` in substitution", .0.escape_debug())]
    Modifier(String),
    #[error("invalid pattern `{pattern}` in substitution: invalid escape `\\{escaped}`")]
    Pattern { pattern: String, escaped: String },
    #[error("{name}: {message}")]
    Required { name: String, message: String },
    #[error("substitutions are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    #[error("expansion gives more than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("substitution takes too many steps")]
    TooSlow,
}

/// Substitutions in substitutions beyond this are refused, as each needs stack.
const MAX_DEPTH: usize = 64;
/// The longest result. Longer values cannot be passed to a process (Linux: 128 KiB a string), nor make sense in a config.
pub(crate) const MAX_LENGTH: usize = 1 << 20;

/// An expanded word.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    /// The result as one word.
    pub(crate) text: String,
    /// The result split at blanks that are not quoted.
    pub(crate) words: Vec<String>,
    /// Names that have no value where none was offered in its place.
    pub(crate) unset: BTreeSet<String>,
}

/// How words are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lexer {
    /// The escape character.
    pub(crate) escape: char,
    /// Quotes stay in the result.
    pub(crate) keep_quotes: bool,
    /// Escape characters stay in the result.
    pub(crate) keep_escapes: bool,
    /// Quotes are characters as any other.
    pub(crate) plain_quotes: bool,
    /// A variable without a value stays as it is written.
    pub(crate) keep_unset: bool,
}

impl Lexer {
    /// The rules for the words of instructions.
    pub(crate) fn new(escape: char) -> Self {
        Self {
            escape,
            keep_quotes: false,
            keep_escapes: false,
            plain_quotes: false,
            keep_unset: false,
        }
    }

    /// Expands a text.
    pub(crate) fn expand(
        self,
        text: &str,
        variables: &dyn Variables,
    ) -> Result<Expanded, ExpandError> {
        let mut reader = Reader {
            lexer: self,
            input: text.chars().peekable(),
            variables,
            unset: BTreeSet::new(),
            depth: 0,
        };
        let (text, words) = reader.read_until(None, self.keep_escapes)?;
        Ok(Expanded {
            text,
            words,
            unset: reader.unset,
        })
    }
}

/// The words of a result while it grows.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    word: String,
}

impl Words {
    /// Adds characters whose blanks separate words.
    fn add(&mut self, text: &str) {
        for character in text.chars() {
            if character.is_whitespace() {
                self.end_word();
            } else {
                self.word.push(character);
            }
        }
    }

    fn end_word(&mut self) {
        if !self.word.is_empty() {
            self.done.push(std::mem::take(&mut self.word));
        }
    }

    fn finish(mut self) -> Vec<String> {
        self.end_word();
        self.done
    }
}

struct Reader<'a> {
    lexer: Lexer,
    input: Peekable<Chars<'a>>,
    variables: &'a dyn Variables,
    unset: BTreeSet<String>,
    depth: usize,
}

impl Reader<'_> {
    /// Reads up to and over `stop`; without one, to the end.
    fn read_until(
        &mut self,
        stop: Option<char>,
        keep_escapes: bool,
    ) -> Result<(String, Vec<String>), ExpandError> {
        let mut text = String::new();
        let mut words = Words::default();
        while let Some(&next) = self.input.peek() {
            if Some(next) == stop {
                self.input.next();
                return Ok((text, words.finish()));
            }
            if next == '$' {
                let value = self.dollar()?;
                words.add(&value);
                text.push_str(&value);
            } else if matches!(next, '\'' | '"') && !self.lexer.plain_quotes {
                let value = self.quoted(next, keep_escapes)?;
                words.word.push_str(&value);
                text.push_str(&value);
            } else {
                self.input.next();
                self.character(next, keep_escapes, &mut text, &mut words);
            }
            if text.len() > MAX_LENGTH {
                return Err(ExpandError::TooLong);
            }
        }
        match stop {
            Some(stop) => Err(ExpandError::Missing(stop)),
            None => Ok((text, words.finish())),
        }
    }

    /// A character outside quotes, and the one it escapes.
    fn character(&mut self, next: char, keep_escapes: bool, text: &mut String, words: &mut Words) {
        if next != self.lexer.escape {
            let mut buffer = [0; 4];
            words.add(next.encode_utf8(&mut buffer));
            text.push(next);
            return;
        }
        if keep_escapes {
            words.word.push(next);
            text.push(next);
        }
        if let Some(escaped) = self.input.next() {
            words.word.push(escaped);
            text.push(escaped);
        }
    }

    fn quoted(&mut self, quote: char, keep_escapes: bool) -> Result<String, ExpandError> {
        let mut text = String::new();
        self.input.next();
        if self.lexer.keep_quotes {
            text.push(quote);
        }
        let unclosed = ExpandError::Unclosed(if quote == '"' {
            "double-quote"
        } else {
            "single-quote"
        });
        loop {
            let Some(&next) = self.input.peek() else {
                return Err(unclosed);
            };
            if next == '$' && quote == '"' {
                text.push_str(&self.dollar()?);
                if text.len() > MAX_LENGTH {
                    return Err(ExpandError::TooLong);
                }
                continue;
            }
            self.input.next();
            if next == quote {
                if self.lexer.keep_quotes {
                    text.push(quote);
                }
                return Ok(text);
            }
            if next == self.lexer.escape && quote == '"' {
                self.escape_in_quotes(keep_escapes, &mut text);
            } else {
                text.push(next);
            }
        }
    }

    /// Within double quotes only `"`, `$` and the escape character itself can be escaped.
    fn escape_in_quotes(&mut self, keep_escapes: bool, text: &mut String) {
        let escape = self.lexer.escape;
        if keep_escapes {
            text.push(escape);
        }
        match self.input.peek() {
            None => {}
            Some(&next) if next == '"' || next == '$' || next == escape => {
                self.input.next();
                text.push(next);
            }
            Some(_) => text.push(escape),
        }
    }

    fn dollar(&mut self) -> Result<String, ExpandError> {
        self.input.next();
        if self.input.peek() != Some(&'{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            let found = self.value(&name);
            return Ok(self.or_unset(found, &name, || format!("${name}")));
        }
        self.input.next();
        match self.input.peek() {
            None => return Err(ExpandError::Missing('}')),
            Some('{' | '}' | ':') => return Err(ExpandError::BadSubstitution),
            Some(_) => {}
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ExpandError::TooDeep);
        }
        let name = self.name();
        let result = self.braced(&name);
        self.depth -= 1;
        result
    }

    /// What follows the name in `${name...}`.
    fn braced(&mut self, name: &str) -> Result<String, ExpandError> {
        let next = self.input.next();
        match next {
            None => Err(ExpandError::Missing('}')),
            Some('}') => {
                let found = self.value(name);
                Ok(self.or_unset(found, name, || format!("${{{name}}}")))
            }
            Some(':') => match self.input.next() {
                Some(operator @ ('+' | '-' | '?')) => self.alternative(name, operator, true),
                other => Err(ExpandError::Modifier(
                    std::iter::once(':').chain(other).collect(),
                )),
            },
            Some(operator @ ('+' | '-' | '?')) => self.alternative(name, operator, false),
            Some(operator @ ('#' | '%')) => self.trimmed(name, operator),
            Some('/') => self.replaced(name),
            Some(other) => Err(ExpandError::Modifier(other.to_string())),
        }
    }

    /// `-`, `+` and `?`; with a colon an empty value counts as none.
    fn alternative(
        &mut self,
        name: &str,
        operator: char,
        colon: bool,
    ) -> Result<String, ExpandError> {
        let (word, _) = self.read_until(Some('}'), false)?;
        let value = self.variables.value(name);
        if value.is_none() && self.lexer.keep_unset {
            let colon = if colon { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{operator}{word}}}"));
        }
        let missing = match value {
            None => Some("is not allowed to be unset"),
            Some("") if colon => Some("is not allowed to be empty"),
            Some(_) => None,
        };
        match (operator, missing) {
            ('-', Some(_)) | ('+', None) => Ok(word),
            ('+', Some(_)) => Ok(String::new()),
            ('?', Some(default)) => Err(ExpandError::Required {
                name: name.to_owned(),
                message: if word.is_empty() {
                    default.to_owned()
                } else {
                    word
                },
            }),
            _ => Ok(value.unwrap_or_default().to_owned()),
        }
    }

    /// `#`, `##`, `%` and `%%`.
    fn trimmed(&mut self, name: &str, operator: char) -> Result<String, ExpandError> {
        let (word, _) = self.read_until(Some('}'), true)?;
        let Some(value) = self.value(name) else {
            return Ok(self.or_unset(None, name, || format!("${{{name}{operator}{word}}}")));
        };
        let (extent, pattern) = match word.strip_prefix(operator) {
            Some(pattern) => (Extent::Longest, pattern),
            None => (Extent::Shortest, word.as_str()),
        };
        let pattern = GlobPattern::parse(pattern)?;
        Ok(if operator == '#' {
            pattern.trim_prefix(&value, extent)?
        } else {
            pattern.trim_suffix(&value, extent)?
        })
    }

    /// `/` and `//`.
    fn replaced(&mut self, name: &str) -> Result<String, ExpandError> {
        let all = self.input.peek() == Some(&'/');
        if all {
            self.input.next();
        }
        let (pattern, _) = self.read_until(Some('/'), true)?;
        let (replacement, _) = self.read_until(Some('}'), true)?;
        let Some(value) = self.value(name) else {
            return Ok(self.or_unset(None, name, || {
                format!("${{{name}/{pattern}/{replacement}}}")
            }));
        };
        GlobPattern::parse(&pattern)?.replace(&value, &replacement, all)
    }

    fn value(&self, name: &str) -> Option<String> {
        self.variables.value(name).map(str::to_owned)
    }

    /// The value; for none, what stands for it.
    fn or_unset(
        &mut self,
        value: Option<String>,
        name: &str,
        written: impl FnOnce() -> String,
    ) -> String {
        match value {
            Some(value) => value,
            None if self.lexer.keep_unset => written(),
            None => {
                self.unset.insert(name.to_owned());
                String::new()
            }
        }
    }

    /// A name: letters, digits and `_`; or only digits; or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.input.peek() {
            Some(first) if first.is_numeric() => {
                while let Some(digit) = self.input.next_if(|next| next.is_numeric()) {
                    name.push(digit);
                }
                return name;
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => {
                name.extend(self.input.next());
                return name;
            }
            _ => {}
        }
        let in_name = |next: &char| next.is_alphanumeric() || *next == '_';
        while let Some(next) = self.input.next_if(in_name) {
            name.push(next);
        }
        name
    }
}

#[cfg(test)]
mod tests;
