//! Text from outside made fit for a terminal: no control sequence survives, and width is counted in columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns between tab stops.
const TAB: usize = 8;

/// The columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The longest prefix of `text` that fits into `columns`.
pub(crate) fn truncate(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += character.width().unwrap_or(0);
        if used > columns {
            return &text[..at];
        }
    }
    text
}

/// One line without control characters: line breaks and tabs become spaces, the rest goes.
pub(crate) fn single_line(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\t' | '\n' => Some(' '),
            c if is_unsafe(c) => None,
            c => Some(c),
        })
        .collect()
}

/// Characters that a terminal would act on, and those that reorder the text around them.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// Turns the raw output of a command into clean lines, over any splitting into pieces: escape sequences are dropped, a
/// carriage return starts the line again, a backspace takes back a character, invalid UTF-8 is replaced.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    line: String,
    columns: usize,
    state: State,
    /// A carriage return was seen; the line starts again when something follows it.
    rewind: bool,
    utf8: Partial,
}

/// Longest line that is kept; what follows is dropped until the line ends.
const MAX_LINE: usize = 4096;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte: one final byte follows.
    Designator,
    /// Inside a control sequence (`ESC [`).
    Control,
    /// Inside a string (`ESC ]`, `ESC P`, …), which ends with BEL or ESC `\`.
    Payload,
}

impl Cleaner {
    /// Takes a piece and gives each line that it completes.
    pub(crate) fn push(&mut self, piece: &[u8], mut complete: impl FnMut(String)) {
        for &byte in piece {
            let mut decoded = self.utf8.push(byte);
            while let Some(character) = decoded.take() {
                if self.character(character) {
                    complete(std::mem::take(&mut self.line));
                }
                decoded = self.utf8.pending();
            }
        }
    }

    /// The line that has no end yet.
    pub(crate) fn partial(&self) -> &str {
        &self.line
    }

    /// Takes a character; true when it ends the line.
    fn character(&mut self, c: char) -> bool {
        self.state = match (self.state, c) {
            (_, '\u{1b}') => State::Escape,
            // A line break ends a sequence that was never finished, so that it cannot hide what follows.
            (_, '\n') => {
                self.columns = 0;
                self.rewind = false;
                self.state = State::Text;
                return true;
            }
            (State::Text, c) => {
                self.text(c);
                State::Text
            }
            (State::Escape, '[') => State::Control,
            (State::Escape, ']' | 'P' | 'X' | '^' | '_') => State::Payload,
            (State::Escape, ' '..='/') => State::Designator,
            (State::Control, '\u{40}'..='\u{7e}')
            | (State::Escape | State::Designator, _)
            | (State::Payload, '\u{7}') => State::Text,
            (state @ (State::Control | State::Payload), _) => state,
        };
        false
    }

    fn text(&mut self, c: char) {
        match c {
            '\r' => self.rewind = true,
            '\u{8}' => {
                if let Some(last) = self.line.pop() {
                    self.columns -= last.width().unwrap_or(0);
                }
            }
            '\t' => {
                let spaces = TAB - self.columns % TAB;
                self.append(' ', spaces);
            }
            c if is_unsafe(c) => {}
            c => self.append(c, 1),
        }
    }

    fn append(&mut self, c: char, times: usize) {
        if std::mem::take(&mut self.rewind) {
            self.line.clear();
            self.columns = 0;
        }
        if self.line.len() + times * c.len_utf8() > MAX_LINE {
            return;
        }
        self.line.extend(std::iter::repeat_n(c, times));
        self.columns += times * c.width().unwrap_or(0);
    }
}

/// A UTF-8 decoder that takes one byte at a time.
#[derive(Debug, Default)]
struct Partial {
    bytes: [u8; 4],
    filled: usize,
    /// A byte that ended an invalid sequence and has yet to be read itself.
    left: Option<u8>,
}

impl Partial {
    fn push(&mut self, byte: u8) -> Option<char> {
        if self.filled == 0 && byte < 0x80 {
            return Some(char::from(byte));
        }
        self.bytes[self.filled] = byte;
        self.filled += 1;
        match std::str::from_utf8(&self.bytes[..self.filled]) {
            Ok(text) => {
                self.filled = 0;
                text.chars().next()
            }
            Err(error) if error.error_len().is_none() => None,
            Err(_) => {
                // The byte may begin a sequence of its own, unless it is the whole of the invalid one.
                self.left = (self.filled > 1).then_some(byte);
                self.filled = 0;
                Some(char::REPLACEMENT_CHARACTER)
            }
        }
    }

    fn pending(&mut self) -> Option<char> {
        let byte = self.left.take()?;
        self.push(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(pieces: &[&[u8]]) -> (Vec<String>, String) {
        let mut cleaner = Cleaner::default();
        let mut lines = Vec::new();
        for piece in pieces {
            cleaner.push(piece, |line| lines.push(line));
        }
        (lines, cleaner.partial().to_owned())
    }

    #[test]
    fn control_sequences_do_not_survive() {
        let cases: [(&[u8], &str); 10] = [
            (b"\x1b[31mred\x1b[0m", "red"),
            (b"\x1b]0;title\x07after", "after"),
            (b"\x1b]8;;http://x\x1b\\link", "link"),
            (b"\x1bPq#0\x1b\\sixel", "sixel"),
            (b"\x1b(Bplain", "plain"),
            (b"\x1b]never ended\nshown", "shown"),
            (b"\x1b[2J\x1b[Hcleared", "cleared"),
            (b"bell\x07 \x00nul", "bell nul"),
            ("\u{9b}31mc1".as_bytes(), "31mc1"),
            ("a\u{202e}b".as_bytes(), "ab"),
        ];
        for (raw, text) in cases {
            assert_eq!(clean(&[raw]).1, text, "{raw:?}");
        }
    }

    #[test]
    fn carriage_returns_start_the_line_again() {
        assert_eq!(clean(&[b"10%\r50%\r100%\n"]).0, ["100%"]);
        assert_eq!(clean(&[b"dos line\r\nnext\r\n"]).0, ["dos line", "next"]);
        assert_eq!(clean(&[b"abc\x08\x08x"]).1, "ax");
        assert_eq!(clean(&[b"a\tb"]).1, "a       b");
    }

    #[test]
    fn pieces_may_split_anywhere() {
        let raw = "\u{1b}[1;31mgrün\u{1b}[0m 漢字\r\nnext".as_bytes();
        let whole = clean(&[raw]);
        assert_eq!(whole, (vec!["grün 漢字".to_owned()], "next".to_owned()));
        for at in 0..raw.len() {
            assert_eq!(clean(&[&raw[..at], &raw[at..]]), whole, "split at {at}");
        }
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(clean(&[b"a\xffb"]).1, "a\u{fffd}b");
        assert_eq!(clean(&[b"a\xe6b\n"]).0, ["a\u{fffd}b"]);
        assert_eq!(clean(&[b"\xe6\xe6\xbc\xa2"]).1, "\u{fffd}漢");
    }

    #[test]
    fn lines_are_bounded() {
        let flood = vec![b'x'; 1 << 20];
        assert_eq!(clean(&[&flood]).1.len(), MAX_LINE);
    }

    #[test]
    fn truncation_counts_columns() {
        assert_eq!(truncate("漢字", 3), "漢");
        assert_eq!(truncate("abc", 3), "abc");
        assert_eq!(truncate("abc", 0), "");
        assert_eq!(single_line("a\nb\t\u{1b}[0m"), "a b [0m");
    }
}
