//! Puts frames on the terminal: moves up over the last one and writes what changed.

use super::super::style::paint;
use super::super::text::width;

/// Begins an update that terminals which know the mode show at once, and hides the cursor. Both end with the frame.
const BEGIN: &str = "\x1b[?2026h\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?2026l";

/// Part of a line in one colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    text: String,
    color: Option<String>,
}

/// A line of a frame, no wider than the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line(Vec<Span>);

/// The frame that the terminal shows. The cursor is at the start of the line below it.
#[derive(Debug, Default)]
pub(super) struct Screen {
    lines: Vec<Line>,
    size: (usize, usize),
}

impl Span {
    pub(super) fn new(text: &str, color: Option<&str>) -> Self {
        Self {
            text: text.to_owned(),
            color: color.map(str::to_owned),
        }
    }
}

impl From<Span> for Line {
    fn from(span: Span) -> Self {
        Self(vec![span])
    }
}

impl Line {
    pub(super) fn push(&mut self, span: Span) {
        self.0.push(span);
    }

    fn width(&self) -> usize {
        self.0.iter().map(|span| width(&span.text)).sum()
    }

    fn write(&self, columns: usize, out: &mut Vec<u8>) {
        for span in &self.0 {
            out.extend_from_slice(paint(&span.text, span.color.as_deref()).as_bytes());
        }
        // After a full line the cursor waits on its last column, which erasing would clear.
        if self.width() < columns {
            out.extend_from_slice(b"\x1b[K");
        }
        out.extend_from_slice(b"\r\n");
    }
}

impl Screen {
    /// Replaces the frame on the terminal. Writes nothing when nothing changed.
    pub(super) fn draw(
        &mut self,
        lines: Vec<Line>,
        columns: usize,
        rows: usize,
        out: &mut Vec<u8>,
    ) {
        let resized = self.size != (columns, rows);
        if !resized && lines == self.lines {
            return;
        }
        out.extend_from_slice(BEGIN.as_bytes());
        if resized {
            self.erase(columns, rows, out);
            self.lines.clear();
        } else {
            up(self.lines.len(), out);
        }
        self.write_changes(&lines, columns, out);
        out.extend_from_slice(END.as_bytes());
        self.lines = lines;
        self.size = (columns, rows);
    }

    /// Clears the last frame, whose lines a narrower terminal has wrapped. What scrolled off the top is out of reach.
    fn erase(&self, columns: usize, rows: usize, out: &mut Vec<u8>) {
        let taken: usize = self
            .lines
            .iter()
            .map(|line| line.width().div_ceil(columns).max(1))
            .sum();
        up(taken.min(rows - 1), out);
        out.extend_from_slice(b"\r\x1b[J");
    }

    fn write_changes(&self, lines: &[Line], columns: usize, out: &mut Vec<u8>) {
        let mut unchanged = 0;
        for (index, line) in lines.iter().enumerate() {
            if self.lines.get(index) == Some(line) {
                unchanged += 1;
                continue;
            }
            down(std::mem::take(&mut unchanged), out);
            line.write(columns, out);
        }
        down(unchanged, out);
        if lines.len() < self.lines.len() {
            out.extend_from_slice(b"\x1b[J");
        }
    }
}

fn up(lines: usize, out: &mut Vec<u8>) {
    if lines > 0 {
        out.extend_from_slice(format!("\x1b[{lines}A\r").as_bytes());
    }
}

fn down(lines: usize, out: &mut Vec<u8>) {
    if lines > 0 {
        out.extend_from_slice(format!("\x1b[{lines}B\r").as_bytes());
    }
}
