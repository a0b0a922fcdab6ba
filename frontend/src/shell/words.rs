//! Words of shell text: where they end, what of them is quoted, and what is put in place of something else.

use super::script::{Reader, Script};
use super::{Extent, MAX_DEPTH};

/// A word and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) extent: Extent,
    pub(crate) parts: Vec<Part>,
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Text that stands for itself.
    Literal { text: String, quoted: bool },
    /// `$name` or `${name...}`.
    Variable(Variable),
    /// `$(...)` or `` `...` ``.
    Substitution(Script),
    /// `$((...))`, or what is not understood.
    Other,
}

/// A variable in a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) extent: Extent,
    /// In double quotes.
    pub(crate) quoted: bool,
    /// What follows the name within the braces: `:-default`.
    pub(crate) operator: String,
}

impl Word {
    /// The text of a word in which nothing is put in place of something else.
    pub(crate) fn literal(&self) -> Option<String> {
        let mut whole = String::new();
        for part in &self.parts {
            match part {
                Part::Literal { text, .. } => whole.push_str(text),
                _ => return None,
            }
        }
        Some(whole)
    }

    /// The word when no part of it is quoted: keywords are such words.
    pub(super) fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [
                Part::Literal {
                    text,
                    quoted: false,
                },
            ] => Some(text),
            _ => None,
        }
    }

    /// The text in front of the first part that is put in place of something else.
    pub(crate) fn beginning(&self) -> String {
        let literals = self.parts.iter().map_while(|part| match part {
            Part::Literal { text, .. } => Some(text.as_str()),
            _ => None,
        });
        literals.collect()
    }

    /// The variables in it.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(variable) => Some(variable),
            _ => None,
        })
    }

    /// The name that it gives a value: `NAME=value`, `NAME+=value`.
    pub(crate) fn assigned(&self) -> Option<&str> {
        let Some(Part::Literal {
            text,
            quoted: false,
        }) = self.parts.first()
        else {
            return None;
        };
        let (name, _) = text.split_once('=')?;
        let name = name.strip_suffix('+').unwrap_or(name);
        is_name(name).then_some(name)
    }
}

/// Whether a text can be the name of a variable.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(is_name_byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// What ends a word that is not quoted.
pub(super) fn is_end(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'\r' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')'
    )
}

/// Reads one word. Everything is ASCII that it looks for, so it goes by bytes.
pub(super) struct WordReader<'a> {
    text: &'a str,
    at: usize,
    end: usize,
    depth: usize,
    parts: Vec<Part>,
    literal: String,
    literal_quoted: bool,
}

impl<'a> WordReader<'a> {
    pub(super) fn new(text: &'a str, at: usize, end: usize, depth: usize) -> Self {
        Self {
            text,
            at,
            end,
            depth,
            parts: Vec::new(),
            literal: String::new(),
            literal_quoted: false,
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        let at = self.at + ahead;
        (at < self.end).then(|| self.text.as_bytes()[at])
    }

    /// Reads to the end of the word.
    pub(super) fn read(mut self) -> Word {
        let start = self.at;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\'' => self.single_quoted(),
                b'"' => self.double_quoted(),
                b'\\' => self.escaped(false),
                b'$' => self.dollar(false),
                b'`' => self.backticks(),
                byte if is_end(byte) => break,
                _ => self.push(false),
            }
        }
        self.flush();
        Word {
            extent: start..self.at,
            parts: self.parts,
        }
    }

    /// Adds the character here to the literal.
    fn push(&mut self, quoted: bool) {
        let Some(character) = self.text[self.at..self.end].chars().next() else {
            self.at = self.end;
            return;
        };
        self.open_literal(quoted);
        self.literal.push(character);
        self.at += character.len_utf8();
    }

    fn open_literal(&mut self, quoted: bool) {
        if self.literal_quoted != quoted {
            self.flush();
            self.literal_quoted = quoted;
        }
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.parts.push(Part::Literal {
                text: std::mem::take(&mut self.literal),
                quoted: self.literal_quoted,
            });
        }
    }

    fn add(&mut self, part: Part) {
        self.flush();
        self.parts.push(part);
    }

    /// An empty quotation is a part, too: it makes a word of nothing.
    fn empty_quotation(&mut self) {
        self.add(Part::Literal {
            text: String::new(),
            quoted: true,
        });
    }

    fn single_quoted(&mut self) {
        let from = self.at + 1;
        let length = self.text.as_bytes()[from..self.end]
            .iter()
            .position(|byte| *byte == b'\'');
        let to = length.map_or(self.end, |length| from + length);
        if from == to {
            self.empty_quotation();
        } else {
            self.open_literal(true);
            self.literal.push_str(&self.text[from..to]);
        }
        self.at = (to + 1).min(self.end);
    }

    fn double_quoted(&mut self) {
        self.at += 1;
        if self.peek(0) == Some(b'"') {
            self.empty_quotation();
        }
        while let Some(byte) = self.peek(0) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return;
                }
                b'\\' => self.escaped(true),
                b'$' => self.dollar(true),
                b'`' => self.backticks(),
                _ => self.push(true),
            }
        }
    }

    /// A backslash: in front of a line break it and the break are nothing.
    fn escaped(&mut self, quoted: bool) {
        match (self.peek(1), self.peek(2)) {
            (Some(b'\n'), _) => self.at += 2,
            (Some(b'\r'), Some(b'\n')) => self.at += 3,
            (Some(next), _) if quoted && !matches!(next, b'$' | b'`' | b'"' | b'\\') => {
                self.push(true);
            }
            (Some(_), _) => {
                self.at += 1;
                self.push(true);
            }
            (None, _) => self.at = self.end,
        }
    }

    fn dollar(&mut self, quoted: bool) {
        let start = self.at;
        match self.peek(1) {
            Some(b'(') if self.peek(2) == Some(b'(') => self.arithmetic(),
            Some(b'(') => self.substitution(),
            Some(b'{') => self.braces(quoted),
            Some(b'\'') if !quoted => {
                self.at += 1;
                self.ansi_quoted();
            }
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                let rest = &self.text.as_bytes()[start + 1..self.end];
                let length = rest.iter().take_while(|byte| is_name_byte(**byte)).count();
                self.at = start + 1 + length;
                self.variable(start, start + 1..self.at, quoted, String::new());
            }
            Some(b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!') => {
                self.at += 2;
                self.variable(start, start + 1..start + 2, quoted, String::new());
            }
            _ => self.push(quoted),
        }
    }

    fn variable(&mut self, start: usize, name: Extent, quoted: bool, operator: String) {
        let name = self.text[name].to_owned();
        let extent = start..self.at;
        self.add(Part::Variable(Variable {
            name,
            extent,
            quoted,
            operator,
        }));
    }

    /// `${name}` with whatever follows the name. The end is the brace that belongs to it.
    fn braces(&mut self, quoted: bool) {
        let start = self.at;
        let from_brace = &self.text.as_bytes()[start + 1..self.end];
        let Some(close) = closing(from_brace, b'{', b'}') else {
            self.push(quoted);
            return;
        };
        let inner = start + 2..start + 1 + close;
        self.at = inner.end + 1;
        let bytes = &self.text.as_bytes()[inner.clone()];
        let length = match bytes.first() {
            Some(first) if first.is_ascii_alphabetic() || *first == b'_' => {
                bytes.iter().take_while(|byte| is_name_byte(**byte)).count()
            }
            // `${#name}` is a number.
            _ => {
                self.add(Part::Other);
                return;
            }
        };
        let operator = self.text[inner.start + length..inner.end].to_owned();
        self.variable(start, inner.start..inner.start + length, quoted, operator);
    }

    fn arithmetic(&mut self) {
        let from = self.at + 1;
        let close = closing(&self.text.as_bytes()[from..self.end], b'(', b')');
        self.at = close.map_or(self.end, |close| from + close + 1);
        self.add(Part::Other);
    }

    fn substitution(&mut self) {
        if self.depth >= MAX_DEPTH {
            self.arithmetic();
            return;
        }
        let inner = self.at + 2..self.end;
        let (script, end) = Reader::new(self.text, inner, self.depth + 1).read_until_parenthesis();
        self.at = end;
        self.add(Part::Substitution(script));
    }

    fn backticks(&mut self) {
        let from = self.at + 1;
        let bytes = &self.text.as_bytes()[from..self.end];
        let mut escaped = false;
        let length = bytes.iter().position(|byte| {
            let ends = *byte == b'`' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        let to = length.map_or(self.end, |length| from + length);
        self.at = (to + 1).min(self.end);
        if self.depth >= MAX_DEPTH {
            self.add(Part::Other);
            return;
        }
        let script = Reader::new(self.text, from..to, self.depth + 1).read();
        self.add(Part::Substitution(script));
    }

    /// `$'...'`, in which a backslash escapes a quote.
    fn ansi_quoted(&mut self) {
        self.at += 1;
        self.open_literal(true);
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\'' => {
                    self.at += 1;
                    return;
                }
                b'\\' => {
                    self.at += 1;
                    self.push(true);
                }
                _ => self.push(true),
            }
        }
    }
}

/// How far away the end of a substitution is looked for.
const MAX_SUBSTITUTION: usize = 4 << 10;

/// Where the bracket at the beginning of a text is closed, quotes regarded.
fn closing(bytes: &[u8], open: u8, close: u8) -> Option<usize> {
    let bytes = &bytes[..bytes.len().min(MAX_SUBSTITUTION)];
    let mut depth = 0_usize;
    let mut quote = None;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        if *byte == b'\\' && quote != Some(b'\'') {
            at += 1;
        } else if quote.is_some() {
            quote = quote.filter(|open| open != byte);
        } else if matches!(byte, b'\'' | b'"') {
            quote = Some(*byte);
        } else if *byte == open {
            depth += 1;
        } else if *byte == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return Some(at - 1);
            }
        }
    }
    None
}
