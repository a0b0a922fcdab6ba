//! Findings as text for people: message, place, source lines with a caret, notes and help.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

use super::{Diagnostic, Severity};
use crate::source::SourceText;
use crate::span::Span;

/// Lines of one place that are shown; what is between them is left out.
const MAX_LINES: usize = 8;
/// Columns of a source line that are shown.
const MAX_COLUMNS: usize = 160;
/// Columns in front of the caret that stay visible in a line that is cut.
const COLUMNS_BEFORE: usize = 60;
/// Columns of a tab.
const TAB: usize = 4;

/// The finding as text that ends in a line break, with terminal colours where `colour` asks for them.
pub fn render(diagnostic: &Diagnostic, source: &SourceText, colour: bool) -> String {
    let style = Style::new(diagnostic.severity, colour);
    let mut out = String::new();
    let kind = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let rule = diagnostic
        .rule
        .map(|rule| format!("[{}]", rule.name))
        .unwrap_or_default();
    line(
        &mut out,
        &format!(
            "{}{kind}{rule}{}: {}",
            style.kind, style.off, diagnostic.message
        ),
    );
    let width = number_width(diagnostic, source);
    match diagnostic.span {
        Some(span) => excerpt(&mut out, source, span, width, &style, "-->"),
        None => line(&mut out, &format!("{:width$}--> {}", "", source.name())),
    }
    for note in &diagnostic.notes {
        line(&mut out, &format!("{:width$} = note: {}", "", note.message));
        if let Some(span) = note.span {
            excerpt(&mut out, source, span, width, &style, ":::");
        }
    }
    if let Some(help) = &diagnostic.help {
        line(&mut out, &format!("{:width$} = help: {help}", ""));
    }
    out
}

/// Escape sequences, or nothing.
struct Style {
    kind: &'static str,
    frame: &'static str,
    off: &'static str,
}

impl Style {
    fn new(severity: Severity, colour: bool) -> Self {
        let kind = match severity {
            Severity::Error => "\x1b[1;31m",
            Severity::Warning => "\x1b[1;33m",
        };
        if colour {
            Self {
                kind,
                frame: "\x1b[1;34m",
                off: "\x1b[0m",
            }
        } else {
            Self {
                kind: "",
                frame: "",
                off: "",
            }
        }
    }
}

/// How many columns the line numbers take.
fn number_width(diagnostic: &Diagnostic, source: &SourceText) -> usize {
    let notes = diagnostic.notes.iter().filter_map(|note| note.span);
    notes
        .chain(diagnostic.span)
        .map(|span| last_line(source, span).to_string().len())
        .max()
        .unwrap_or(1)
}

fn last_line(source: &SourceText, span: Span) -> usize {
    let (source, span) = source.origin(span);
    source
        .position(span.end.saturating_sub(1).max(span.start))
        .line
}

/// The place and its source lines. A place within one line is underlined; the lines of a longer one are marked.
fn excerpt(
    out: &mut String,
    source: &SourceText,
    span: Span,
    width: usize,
    style: &Style,
    arrow: &str,
) {
    let (source, span) = source.origin(span);
    let start = source.position(span.start);
    let last = last_line(source, span);
    let (frame, off) = (style.frame, style.off);
    line(
        out,
        &format!(
            "{:width$}{frame}{arrow}{off} {}:{}:{}",
            "",
            source.name(),
            start.line,
            start.column
        ),
    );
    line(out, &format!("{:width$} {frame}|{off}", ""));
    if start.line == last {
        let shown = Shown::new(source, start.line, span);
        line(
            out,
            &format!("{frame}{:width$} |{off} {}", start.line, shown.text),
        );
        line(
            out,
            &format!(
                "{:width$} {frame}|{off} {:column$}{}{}{off}",
                "",
                "",
                style.kind,
                "^".repeat(shown.length),
                column = shown.column
            ),
        );
        return;
    }
    for number in start.line..=last {
        if number - start.line + 1 == MAX_LINES && number < last {
            line(out, &format!("{:width$} {frame}|{off} ...", ""));
            break;
        }
        let whole = Span::new(source.line_start(number) as u32, 0);
        let shown = Shown::new(source, number, whole);
        line(
            out,
            &format!(
                "{frame}{number:width$} |{off} {}>{off} {}",
                style.kind, shown.text
            ),
        );
    }
}

/// Adds a line without trailing blanks.
fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

/// A source line as it can be printed, and where the marked part stands in it, in columns.
struct Shown {
    text: String,
    column: usize,
    length: usize,
}

impl Shown {
    fn new(source: &SourceText, number: usize, span: Span) -> Self {
        let start = source.line_start(number);
        let from = (span.start as usize).saturating_sub(start);
        let to = (span.end as usize).saturating_sub(start);
        let mut text = String::new();
        let (mut columns, mut column, mut end) = (0, None, None);
        for (at, character) in source.line(number).char_indices() {
            if at >= from && column.is_none() {
                column = Some(columns);
            }
            if at >= to && end.is_none() {
                end = Some(columns);
            }
            columns += push_printable(&mut text, character);
        }
        let column = column.unwrap_or(columns);
        let length = end.unwrap_or(columns).saturating_sub(column).max(1);
        let shown = Self {
            text,
            column,
            length,
        };
        if columns > MAX_COLUMNS {
            shown.cut()
        } else {
            shown
        }
    }

    /// Keeps the part of a long line that is around the caret.
    fn cut(self) -> Self {
        let skip = self.column.saturating_sub(COLUMNS_BEFORE);
        let mut text = String::new();
        let (mut columns, mut skipped) = (0, None);
        for character in self.text.chars() {
            let width = character.width().unwrap_or(0);
            if columns >= skip && columns + width <= skip + MAX_COLUMNS {
                skipped.get_or_insert(columns);
                text.push(character);
            }
            columns += width;
        }
        let skipped = skipped.unwrap_or(0);
        let (front, shift) = if skipped > 0 { ("...", 3) } else { ("", 0) };
        let column = self.column - skipped + shift;
        let mut framed = String::new();
        let back = if columns > skip + MAX_COLUMNS {
            "..."
        } else {
            ""
        };
        let _ = write!(framed, "{front}{text}{back}");
        Self {
            text: framed,
            column,
            length: self.length.min(MAX_COLUMNS - (self.column - skipped)),
        }
    }
}

/// Adds a character, or what can stand for it on a terminal, and tells its columns.
fn push_printable(text: &mut String, character: char) -> usize {
    if character == '\t' {
        text.extend(std::iter::repeat_n(' ', TAB));
        return TAB;
    }
    let character = if character.is_control() {
        char::REPLACEMENT_CHARACTER
    } else {
        character
    };
    text.push(character);
    character.width().unwrap_or(0)
}
