//! Commands of shell text and what joins them. Compound commands are not kept as such: a command knows how deep it is,
//! and whether its exit code is asked for.

use super::words::{Word, WordReader};
use super::{Extent, MAX_DEPTH};

/// What a text runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Script {
    /// The commands, in order.
    pub(crate) commands: Vec<Command>,
}

/// A simple command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// `NAME=value` in front of its name.
    pub(crate) assignments: Vec<Word>,
    /// Its name and arguments; redirections are left out.
    pub(crate) words: Vec<Word>,
    pub(crate) extent: Extent,
    /// What stands behind it.
    pub(crate) after: Joint,
    /// In how many compound commands it is.
    pub(crate) depth: usize,
    /// Its exit code is asked for: by `if`, `while`, `!`.
    pub(crate) tested: bool,
    /// `[[ ... ]]`, `for ... in` or `case ... in`, where words are not split or are meant to be.
    pub(crate) header: bool,
}

/// What stands between a command and the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joint {
    /// `;` or a line break.
    Sequence,
    /// `&&`.
    And,
    /// `||`.
    Or,
    /// `|`.
    Pipe,
    /// `&`.
    Background,
    /// Nothing, or the end of a compound command.
    End,
}

impl Command {
    /// The name of what it runs, without directories, and its arguments. Commands that run another, such as `sudo`,
    /// are looked through.
    pub(crate) fn call(&self) -> Option<(String, &[Word])> {
        let mut words = self.words.as_slice();
        loop {
            let (first, rest) = words.split_first()?;
            let name = first.literal()?;
            let name = name.rsplit('/').next().unwrap_or_default().to_owned();
            match name.as_str() {
                "sudo" | "env" | "command" | "exec" | "nice" | "time" => {
                    let own = rest.iter().take_while(|word| {
                        word.assigned().is_some() || word.beginning().starts_with('-')
                    });
                    words = &rest[own.count()..];
                }
                _ => return Some((name, rest)),
            }
        }
    }
}

/// An open compound command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// `if`, `while` or `until`: whether its condition is being read.
    Conditional { condition: bool },
    /// `for`, `select`, `{`, a function.
    Plain,
    /// `(`.
    Subshell,
    /// `case`: whether a pattern is being read.
    Case { pattern: bool },
}

/// Reads commands.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    end: usize,
    depth: usize,
    frames: Vec<Frame>,
    commands: Vec<Command>,
    assignments: Vec<Word>,
    words: Vec<Word>,
    negated: bool,
    header: bool,
    /// A compound command has just ended.
    closed: bool,
    /// Here-documents whose lines are still to come: the word that ends each, and whether tabs in front count.
    documents: Vec<(String, bool)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, extent: Extent, depth: usize) -> Self {
        Self {
            text,
            at: extent.start,
            end: extent.end,
            depth,
            frames: Vec::new(),
            commands: Vec::new(),
            assignments: Vec::new(),
            words: Vec::new(),
            negated: false,
            header: false,
            closed: false,
            documents: Vec::new(),
        }
    }

    /// Reads all of it.
    pub(super) fn read(mut self) -> Script {
        while self.step(false) {}
        self.finish(Joint::End);
        Script {
            commands: self.commands,
        }
    }

    /// Reads to the parenthesis that closes a substitution, and tells where it ends.
    pub(super) fn read_until_parenthesis(mut self) -> (Script, usize) {
        while self.step(true) {}
        self.finish(Joint::End);
        let end = (self.at + 1).min(self.end);
        let script = Script {
            commands: self.commands,
        };
        (script, end)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..self.end]
    }

    /// Reads a token. `false` at the end: that of the text, or a parenthesis that was not opened here.
    fn step(&mut self, ends_at_parenthesis: bool) -> bool {
        let rest = self.rest();
        let Some(first) = rest.bytes().next() else {
            return false;
        };
        if self.in_test() && matches!(first, b'&' | b'|' | b'(' | b')' | b'<' | b'>') {
            self.at += 1;
            return true;
        }
        match first {
            b' ' | b'\t' | b'\r' => self.at += 1,
            b'\n' => self.line_break(),
            b'#' => self.at += rest.find('\n').unwrap_or(rest.len()),
            b'\\' if rest.starts_with("\\\n") => self.at += 2,
            b'\\' if rest.starts_with("\\\r\n") => self.at += 3,
            b';' => self.semicolon(),
            b'&' if rest.starts_with("&>") => self.redirection(2),
            b'&' if rest.starts_with("&&") => self.operator(2, Joint::And),
            b'&' => self.operator(1, Joint::Background),
            b'|' if rest.starts_with("||") => self.operator(2, Joint::Or),
            b'|' if self.in_pattern() => self.at += 1,
            b'|' if rest.starts_with("|&") => self.operator(2, Joint::Pipe),
            b'|' => self.operator(1, Joint::Pipe),
            b'<' | b'>' => self.redirection(0),
            b'(' => self.open_parenthesis(),
            b')' => return self.close_parenthesis(ends_at_parenthesis),
            _ => self.word(),
        }
        true
    }

    /// Within `[[ ... ]]`, whose operators join no commands.
    fn in_test(&self) -> bool {
        let is = |word: Option<&Word>, text| word.and_then(Word::plain) == Some(text);
        is(self.words.first(), "[[") && !is(self.words.last(), "]]")
    }

    fn in_pattern(&self) -> bool {
        self.frames.last() == Some(&Frame::Case { pattern: true })
    }

    fn operator(&mut self, length: usize, joint: Joint) {
        self.at += length;
        self.finish(joint);
        if joint == Joint::Background {
            self.negated = false;
        }
    }

    fn semicolon(&mut self) {
        let rest = self.rest();
        let ends_case = [";;&", ";;", ";&"]
            .iter()
            .find(|end| rest.starts_with(**end));
        self.at += ends_case.map_or(1, |end| end.len());
        let joint = if ends_case.is_some() {
            Joint::End
        } else {
            Joint::Sequence
        };
        self.finish(joint);
        self.negated = false;
        if ends_case.is_some()
            && let Some(Frame::Case { pattern }) = self.frames.last_mut()
        {
            *pattern = true;
        }
    }

    fn line_break(&mut self) {
        self.at += 1;
        self.finish(Joint::Sequence);
        self.negated = false;
        for (name, strip_tabs) in std::mem::take(&mut self.documents) {
            self.skip_document(&name, strip_tabs);
        }
    }

    fn skip_document(&mut self, name: &str, strip_tabs: bool) {
        while self.at < self.end {
            let rest = self.rest();
            let line = rest.split('\n').next().unwrap_or_default();
            self.at = (self.at + line.len() + 1).min(self.end);
            let line = line.trim_end_matches('\r');
            let line = if strip_tabs {
                line.trim_start_matches('\t')
            } else {
                line
            };
            if line == name {
                return;
            }
        }
    }

    fn open_parenthesis(&mut self) {
        self.at += 1;
        if self.in_pattern() {
            return;
        }
        if self.words.len() == 1 && self.rest().trim_start().starts_with(')') {
            // `name()`: what follows is its body.
            self.at += self.rest().find(')').unwrap_or_default() + 1;
            self.words.clear();
            return;
        }
        self.finish(Joint::End);
        self.push(Frame::Subshell);
    }

    fn close_parenthesis(&mut self, ends_at_parenthesis: bool) -> bool {
        if let Some(Frame::Case { pattern }) = self.frames.last_mut()
            && *pattern
        {
            *pattern = false;
            self.words.clear();
            self.at += 1;
            return true;
        }
        if ends_at_parenthesis && !self.frames.contains(&Frame::Subshell) {
            return false;
        }
        self.finish(Joint::End);
        self.at += 1;
        while let Some(frame) = self.frames.pop() {
            if frame == Frame::Subshell {
                break;
            }
        }
        self.closed = true;
        true
    }

    /// `<`, `>` and their like, with the word behind them. `skip`: bytes that are known to belong to it.
    fn redirection(&mut self, skip: usize) {
        let rest = self.rest();
        let length = skip.max(
            rest.bytes()
                .take(3)
                .take_while(|byte| matches!(byte, b'<' | b'>'))
                .count(),
        );
        let sign = &rest[..length];
        self.at += length;
        let document = sign == "<<";
        let strip_tabs = document && self.rest().starts_with('-');
        if strip_tabs || self.rest().starts_with(['&', '|']) {
            self.at += 1;
        }
        if self.rest().starts_with('(') {
            // `<(...)` is read as a subshell.
            return;
        }
        let blanks = self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        self.at += blanks;
        if self
            .rest()
            .starts_with(|next: char| next.is_ascii() && super::words::is_end(next as u8))
        {
            return;
        }
        let word = self.read_word();
        if document {
            self.documents
                .push((word.literal().unwrap_or_default(), strip_tabs));
        }
    }

    fn read_word(&mut self) -> Word {
        let word = WordReader::new(self.text, self.at, self.end, self.depth).read();
        self.at = word.extent.end;
        word
    }

    fn word(&mut self) {
        let word = self.read_word();
        if self.in_pattern() {
            if word.plain() == Some("esac") {
                self.pop();
                self.closed = true;
            }
            return;
        }
        let first = self.words.is_empty() && self.assignments.is_empty();
        if first && word.plain().is_some_and(|plain| self.keyword(plain)) {
            return;
        }
        // A number in front of `<` or `>` belongs to it.
        let number = word
            .plain()
            .is_some_and(|plain| plain.bytes().all(|byte| byte.is_ascii_digit()));
        if number && self.rest().starts_with(['<', '>']) {
            return;
        }
        if self.words.is_empty() && word.assigned().is_some() {
            self.assignments.push(word);
            return;
        }
        if self.header && word.plain() == Some("in") && self.is_case() {
            self.words.push(word);
            self.finish(Joint::End);
            self.push(Frame::Case { pattern: true });
            return;
        }
        self.words.push(word);
    }

    fn is_case(&self) -> bool {
        self.words.first().and_then(Word::plain) == Some("case")
    }

    /// Takes note of a keyword at the place of a command's name; `false` if it is none.
    fn keyword(&mut self, word: &str) -> bool {
        match word {
            "if" | "while" | "until" => self.push(Frame::Conditional { condition: true }),
            "elif" => self.set_condition(true),
            "then" | "else" | "do" => self.set_condition(false),
            "{" => self.push(Frame::Plain),
            "fi" | "done" | "esac" | "}" => {
                self.pop();
                self.closed = true;
            }
            "!" => self.negated = true,
            "for" | "select" => {
                self.header = true;
                self.push(Frame::Plain);
                return false;
            }
            "case" | "[[" => {
                self.header = true;
                return false;
            }
            "function" => {
                // Its name is passed over, its body is read as any other text.
                let rest = self.rest();
                let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
                self.at += blanks;
                let _name = self.read_word();
            }
            _ => return false,
        }
        true
    }

    fn push(&mut self, frame: Frame) {
        // Text of nothing but brackets must not take more memory than it has.
        if self.frames.len() < MAX_DEPTH * 16 {
            self.frames.push(frame);
        }
    }

    fn pop(&mut self) {
        if self.frames.last() != Some(&Frame::Subshell) {
            self.frames.pop();
        }
    }

    fn set_condition(&mut self, wanted: bool) {
        if let Some(Frame::Conditional { condition }) = self.frames.last_mut() {
            *condition = wanted;
        }
    }

    /// Ends a command, if one was begun.
    fn finish(&mut self, after: Joint) {
        let assignments = std::mem::take(&mut self.assignments);
        let words = std::mem::take(&mut self.words);
        let header = std::mem::take(&mut self.header);
        let mut all = assignments.iter().chain(&words);
        let Some(first) = all.next() else {
            // The joint behind `done`, `)` and their like is that of the last command in them.
            if let Some(last) = self.commands.last_mut().filter(|_| self.closed) {
                last.after = after;
            }
            self.closed = false;
            return;
        };
        self.closed = false;
        let last = all.next_back().unwrap_or(first);
        let extent = first.extent.start..last.extent.end;
        let conditional = Frame::Conditional { condition: true };
        let tested = self.negated || self.frames.contains(&conditional);
        self.commands.push(Command {
            assignments,
            words,
            extent,
            after,
            depth: self.frames.len(),
            tested,
            header,
        });
    }
}
