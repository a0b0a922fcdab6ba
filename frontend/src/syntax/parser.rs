//! From bytes to stages: reads lines, joins continuations, collects here-documents, and goes on after errors so that
//! one run tells them all.

use std::sync::Arc;

use super::ast::{Dockerfile, Instruction, Kind, Stage};
use super::directive::Directives;
use super::flags::Takes;
use super::heredoc::{self, Heredoc};
use super::include::{self, Include, Load};
use super::instruction::{self, Request};
use super::logical::{Logical, Slice};
use super::split::blank_separated;
use crate::diagnostic::{Diagnostic, Findings};
use crate::lint;
use crate::source::SourceText;
use crate::span::Span;

/// The largest file: an instruction for every byte of it still fits in memory.
pub const MAX_FILE: usize = 16 << 20;
/// The longest line with its break, as in BuildKit.
const MAX_LINE: usize = (64 << 10) - 1;

/// A parsed file and its text.
#[derive(Debug)]
pub struct Parsed {
    /// The text, for reports.
    pub text: SourceText,
    /// The Dockerfile, or everything that is wrong with it.
    pub dockerfile: Result<Dockerfile, Vec<Diagnostic>>,
}

/// Parses a Dockerfile that includes no others. `name` is what reports call it.
pub fn parse(name: &str, bytes: &[u8]) -> Parsed {
    parse_including(name, bytes, &mut |_| {
        Err("there is no place for it".to_owned())
    })
}

/// Parses a Dockerfile with all that it includes, which `load` reads.
pub fn parse_including(name: &str, bytes: &[u8], load: &mut Load<'_>) -> Parsed {
    let (text, wrong) = decode(name, bytes);
    if let Some(error) = wrong {
        let dockerfile = Err(vec![error]);
        return Parsed { text, dockerfile };
    }
    let (text, wrong) = include::expand(text, load);
    let dockerfile = match wrong {
        Some(error) => Err(vec![error]),
        None => parse_text(&text),
    };
    Parsed { text, dockerfile }
}

/// The lines that include files, in order, and the escape character; none in a file that does not ask for extensions.
pub(super) fn includes(text: &str) -> (Vec<Include>, char) {
    // Most texts need not be read for it.
    if !text.contains("include") {
        return Default::default();
    }
    let mut parser = Parser::new(text, None);
    let mut findings = Findings::default();
    while parser.next_statement(&mut findings).is_some() {
        if !parser.directives.extensions {
            break;
        }
    }
    (parser.includes, parser.directives.escape)
}

/// The bytes as text; when they are none, what there is of it up to the first wrong byte, and the error.
pub(super) fn decode(name: &str, bytes: &[u8]) -> (SourceText, Option<Diagnostic>) {
    if bytes.len() > MAX_FILE {
        let message = format!("the Dockerfile is larger than {} MiB", MAX_FILE >> 20);
        let error = Diagnostic::error(message, None);
        return (SourceText::new(name, ""), Some(error));
    }
    let end = match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) => error.valid_up_to(),
    };
    let end = bytes[..end]
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(end);
    let text = SourceText::new(name, String::from_utf8_lossy(&bytes[..end]));
    if end == bytes.len() {
        return (text, None);
    }
    let message = if bytes[end] == 0 {
        "the Dockerfile is a binary file: it has a NUL byte here"
    } else {
        "the Dockerfile is not valid UTF-8: a wrong byte follows here"
    };
    let span = Span::new(end as u32, end as u32);
    (text, Some(Diagnostic::error(message, span)))
}

fn parse_text(text: &SourceText) -> Result<Dockerfile, Vec<Diagnostic>> {
    if text.text().trim_start_matches('\u{feff}').trim().is_empty() {
        return Err(vec![Diagnostic::error("the Dockerfile is empty", None)]);
    }
    let mut parser = Parser::new(text.text(), None);
    let mut builder = Builder::default();
    while let Some(statement) = parser.next_statement(&mut builder.findings) {
        builder.add(statement, parser.directives.escape);
        if builder.findings.is_full() {
            break;
        }
    }
    builder.finish(parser.directives)
}

/// Parses the text of an `ONBUILD` trigger: one instruction. All of it is said to stand at `span`.
pub(crate) fn parse_trigger(text: &str, span: Span) -> Result<Instruction, Diagnostic> {
    let mut findings = Findings::default();
    let mut parser = Parser::new(text, Some(span));
    let statement = parser.next_statement(&mut findings);
    let more = parser.next_statement(&mut findings);
    if let Some(error) = findings.errors.into_iter().next() {
        return Err(error);
    }
    let (Some(statement), None) = (statement, more) else {
        return Err(Diagnostic::error(
            "onbuild trigger should be a single expression",
            span,
        ));
    };
    let line = statement.line.slice();
    let mut request = Request::new(&line, parser.directives.escape);
    request.heredocs = statement.heredocs;
    match request.name.as_str() {
        "FROM" | "ONBUILD" | "MAINTAINER" => Err(Diagnostic::error(
            format!("{} isn't allowed as an ONBUILD trigger", request.name),
            span,
        )),
        _ => instruction::parse(&request, &line),
    }
}

/// Reads an instruction of a file again and gives `then` what stands behind its keyword and flags; of an `ONBUILD`
/// with `trigger` what stands behind those of its trigger.
pub(crate) fn with_command<T>(
    text: &str,
    instruction: Span,
    escape: char,
    trigger: bool,
    then: impl FnOnce(&Slice<'_>) -> T,
) -> Option<T> {
    let mut parser = Parser::new(text, None);
    parser.at = instruction.start as usize;
    parser.directives.escape = escape;
    let (start, line) = parser.next_line()?;
    let line = parser.join(
        start,
        line.trim_end_matches(['\n', '\r']),
        &mut Findings::default(),
    );
    let slice = line.slice();
    let mut request = Request::new(&slice, escape);
    if trigger {
        request = Request::new(&request.split.rest, escape);
        if request.name != "RUN" {
            return None;
        }
    }
    Some(then(&request.split.rest))
}

/// A logical line with what belongs to it.
struct Statement {
    line: Logical,
    heredocs: Vec<Heredoc>,
    comments: Vec<String>,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    directives: Directives,
    /// The lines so far that include files.
    includes: Vec<Include>,
    elsewhere: Option<Span>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, elsewhere: Option<Span>) -> Self {
        let mut parser = Self {
            text,
            at: if text.starts_with('\u{feff}') { 3 } else { 0 },
            directives: Directives::default(),
            includes: Vec::new(),
            elsewhere,
        };
        if text[parser.at..].starts_with("#!") {
            parser.next_line();
            parser.directives.follow_shebang();
        }
        parser
    }

    /// The next line with its break, and where it begins.
    fn next_line(&mut self) -> Option<(usize, &'a str)> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let start = self.at;
        self.at += length;
        Some((start, &rest[..length]))
    }

    /// The next line, too long ones reported.
    fn next_checked_line(&mut self, findings: &mut Findings) -> Option<(usize, &'a str)> {
        let (start, line) = self.next_line()?;
        if line.len() > MAX_LINE {
            findings.add(Diagnostic::error(
                format!("dockerfile line greater than max allowed size of {MAX_LINE}"),
                Span::new(start as u32, start as u32 + 1),
            ));
        }
        Some((start, line))
    }

    fn next_statement(&mut self, findings: &mut Findings) -> Option<Statement> {
        let mut comments = Vec::new();
        loop {
            let (start, whole) = self.next_checked_line(findings)?;
            let line = whole.trim_end_matches(['\n', '\r']);
            let trimmed = line.trim_start();
            let start = start + line.len() - trimmed.len();
            self.read_directive(trimmed, start, findings);
            if let Some(comment) = trimmed.strip_prefix('#') {
                let end = start + trimmed.trim_end().len();
                let span = Span::new(start as u32, end as u32);
                if self.includes(comment, span) {
                    findings.add(lint::extension::include::finding(span));
                    comments.clear();
                    continue;
                }
                comments.push(comment.trim().to_owned());
                continue;
            }
            if trimmed.is_empty() {
                comments.clear();
                continue;
            }
            let line = self.join(start, trimmed, findings);
            if line.text().trim().is_empty() {
                continue;
            }
            let heredocs = self.heredocs(&line, findings);
            return Some(Statement {
                line,
                heredocs,
                comments,
            });
        }
    }

    /// Takes note of a comment that includes a file; whether it does.
    fn includes(&mut self, comment: &str, span: Span) -> bool {
        let path = include::path_of(comment).filter(|_| self.directives.extensions);
        let Some(path) = path else { return false };
        self.includes.push(Include {
            path: path.to_owned(),
            span,
            behind: self.at,
        });
        true
    }

    fn read_directive(&mut self, line: &str, start: usize, findings: &mut Findings) {
        let mut logical = Logical::new(self.elsewhere);
        logical.push(line, start);
        if let Err(error) = self.directives.read(&logical.slice()) {
            findings.add(error);
        }
    }

    /// Joins the lines that continue the one given.
    fn join(&mut self, start: usize, first: &str, findings: &mut Findings) -> Logical {
        let mut line = Logical::new(self.elsewhere);
        let (piece, mut continued) = self.without_continuation(first);
        line.push(piece, start);
        let mut empty = None;
        while continued {
            let Some((start, next)) = self.next_checked_line(findings) else {
                break;
            };
            let next = next.trim_end_matches(['\n', '\r']);
            let trimmed = next.trim_start();
            if trimmed.starts_with('#') {
                continue;
            }
            if trimmed.is_empty() {
                empty.get_or_insert(Span::new(start as u32, (start + next.len()) as u32));
                continue;
            }
            let (piece, more) = self.without_continuation(next);
            line.push(piece, start);
            continued = more;
        }
        if let Some(span) = empty {
            findings.add(lint::empty_continuation::finding(span));
        }
        line
    }

    /// A line without the escape character at its end, and whether there was one. Two of them are no continuation.
    fn without_continuation<'l>(&self, line: &'l str) -> (&'l str, bool) {
        let escape = self.directives.escape;
        match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
            Some(rest) if !rest.ends_with(escape) => (rest, true),
            _ => (line, false),
        }
    }

    /// Collects the here-documents that a line asks for.
    fn heredocs(&mut self, line: &Logical, findings: &mut Findings) -> Vec<Heredoc> {
        let slice = line.slice();
        if !slice.text().contains("<<")
            || !Request::new(&slice, self.directives.escape).takes_heredocs()
        {
            return Vec::new();
        }
        let mut documents = match heredoc::in_line(line.text()) {
            Ok(documents) => documents,
            Err(error) => {
                findings.add(Diagnostic::error(error.to_string(), slice.span()));
                return Vec::new();
            }
        };
        for document in &mut documents {
            if !self.fill(document, findings) {
                findings.add(Diagnostic::error(
                    format!("unterminated heredoc: no line `{}` ends it", document.name),
                    slice.span(),
                ));
                break;
            }
        }
        documents
    }

    /// Reads the lines of a here-document; whether its end was found.
    fn fill(&mut self, document: &mut Heredoc, findings: &mut Findings) -> bool {
        let begin = self.at;
        while let Some((start, line)) = self.next_checked_line(findings) {
            if document.ends_with(line) {
                self.text[begin..start].clone_into(&mut document.content);
                document.span = self
                    .elsewhere
                    .unwrap_or(Span::new(begin as u32, start as u32));
                return true;
            }
        }
        false
    }
}

/// Sorts instructions into stages.
#[derive(Default)]
struct Builder {
    findings: Findings,
    global_args: Vec<Arc<Instruction>>,
    stages: Vec<Stage>,
    /// A wrong `FROM` was seen, so that what follows it is not in front of the first one.
    broken_stage: bool,
}

impl Builder {
    fn add(&mut self, statement: Statement, escape: char) {
        let line = statement.line.slice();
        let mut request = Request::new(&line, escape);
        request.heredocs = statement.heredocs;
        if request.name == "FROM" {
            match stage(&request) {
                Ok(mut stage) => {
                    stage.comments = statement.comments;
                    self.stages.push(stage);
                }
                Err(error) => {
                    self.broken_stage = true;
                    self.findings.add(error);
                }
            }
            return;
        }
        match instruction::parse(&request, &line) {
            Ok(mut instruction) => {
                instruction.comments = statement.comments;
                self.place(instruction);
            }
            Err(error) => self.findings.add(error),
        }
    }

    fn place(&mut self, instruction: Instruction) {
        let instruction = Arc::new(instruction);
        match self.stages.last_mut() {
            Some(stage) => stage.instructions.push(instruction),
            None if matches!(instruction.kind, Kind::Arg(_)) => {
                self.global_args.push(instruction);
            }
            None if self.broken_stage => {}
            None => self.findings.add(
                Diagnostic::error("no build stage in current context", instruction.span)
                    .with_help("only `ARG` may stand in front of the first `FROM`"),
            ),
        }
    }

    fn finish(mut self, directives: Directives) -> Result<Dockerfile, Vec<Diagnostic>> {
        if self.stages.is_empty() && self.findings.errors.is_empty() {
            let message = if self.global_args.is_empty() {
                "the Dockerfile is empty"
            } else {
                "the Dockerfile contains no stages to build"
            };
            let error = Diagnostic::error(message, None);
            self.findings
                .add(error.with_help("begin a stage with `FROM image`"));
        }
        if !self.findings.errors.is_empty() {
            return Err(self.findings.errors);
        }
        Ok(Dockerfile {
            directives,
            global_args: self.global_args,
            stages: self.stages,
            warnings: self.findings.warnings,
        })
    }
}

pub(super) const FROM_FLAGS: [(&str, Takes); 1] = [("platform", Takes::Value)];

fn stage(request: &Request<'_>) -> Result<Stage, Diagnostic> {
    let flags = request.flags(&FROM_FLAGS)?;
    let mut words = blank_separated(&request.split.rest).into_iter();
    let (base, keyword, name, more) = (words.next(), words.next(), words.next(), words.next());
    let named = match (keyword, name, more) {
        (None, None, None) => None,
        (Some(keyword), Some(name), None) if keyword.text.eq_ignore_ascii_case("as") => {
            check_stage_name(&name.text, name.span)?;
            Some((keyword, name))
        }
        _ => return Err(wrong_from(request)),
    };
    let Some(base) = base else {
        return Err(wrong_from(request));
    };
    Ok(Stage {
        name: named.as_ref().map(|(_, name)| name.text.to_lowercase()),
        named,
        base,
        platform: flags.value("platform"),
        keyword: request.split.keyword.word(),
        span: request.span,
        comments: Vec::new(),
        instructions: Vec::new(),
    })
}

fn wrong_from(request: &Request<'_>) -> Diagnostic {
    request.error("requires either one or three arguments")
}

fn check_stage_name(name: &str, span: Span) -> Result<(), Diagnostic> {
    let lower = name.to_lowercase();
    let valid = lower.starts_with(|first: char| first.is_ascii_lowercase())
        && lower
            .chars()
            .all(|next| matches!(next, 'a'..='z' | '0'..='9' | '-' | '_' | '.'));
    if valid {
        return Ok(());
    }
    Err(
        Diagnostic::error(format!("invalid name for build stage: `{name}`"), span)
            .with_help("a name begins with a letter, and has letters, digits, `-`, `_` and `.`"),
    )
}
