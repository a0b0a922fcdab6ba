//! A source text that knows its lines, and the files that it is put together of.

use crate::span::Span;

/// A text with the name it is reported under.
#[derive(Debug, Clone)]
pub struct SourceText {
    name: String,
    text: String,
    /// Offset of the first byte of each line.
    lines: Vec<u32>,
    /// Where it comes from, in order, if it is put together of several files.
    parts: Vec<Part>,
    /// The files that it is put together of; the first is the one that includes the others.
    files: Vec<SourceText>,
}

/// A part of a text that comes from one file.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// Where it begins.
    start: u32,
    /// Which file it is from.
    file: usize,
    /// Where it begins in the file.
    at: u32,
}

/// A place as people count: from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl SourceText {
    /// Wraps a text. Offsets are 32 bits wide, which the parser's size limit keeps true.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let ends = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at as u32 + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self {
            name: name.into(),
            text,
            lines,
            parts: Vec::new(),
            files: Vec::new(),
        }
    }

    /// This text with another one put in at `offset`, where a line begins or the text ends.
    pub(crate) fn with_included(&self, offset: usize, file: Self) -> Self {
        let (before, behind) = self.text.split_at(offset);
        let mut text = before.to_owned();
        if !before.ends_with('\n') {
            text.push('\n');
        }
        let start = text.len() as u32;
        let mark = if file.text.starts_with('\u{feff}') {
            3
        } else {
            0
        };
        text.push_str(&file.text[mark..]);
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let grown = (text.len() - offset) as u32;
        text.push_str(behind);
        let (mut parts, mut files) = (self.parts.clone(), self.files.clone());
        if files.is_empty() {
            files.push(self.clone());
            parts.push(Part {
                start: 0,
                file: 0,
                at: 0,
            });
        }
        let offset = offset as u32;
        let number = parts.partition_point(|part| part.start < offset).max(1);
        let around = parts[number - 1];
        for later in &mut parts[number..] {
            later.start += grown;
        }
        let included = Part {
            start,
            file: files.len(),
            at: mark as u32,
        };
        let rest = Part {
            start: offset + grown,
            file: around.file,
            at: around.at + (offset - around.start),
        };
        parts.splice(number..number, [included, rest]);
        files.push(file);
        Self {
            parts,
            files,
            ..Self::new(self.name.clone(), text)
        }
    }

    /// The file that a place is in, and where it is there. What reaches into another file ends with the first.
    pub fn origin(&self, span: Span) -> (&Self, Span) {
        let Some(number) = self.part_of(span.start) else {
            return (self, span);
        };
        let part = self.parts[number];
        let end = self
            .parts
            .get(number + 1)
            .map_or(u32::MAX, |next| next.start);
        let there = |offset: u32| offset.clamp(part.start, end) - part.start + part.at;
        let file = &self.files[part.file];
        (file, Span::new(there(span.start), there(span.end)))
    }

    /// The number of the file that a place is in, among [`SourceText::files`].
    pub fn file_number(&self, offset: u32) -> usize {
        self.part_of(offset).map_or(0, |part| self.parts[part].file)
    }

    /// The files that it is put together of: itself where it includes none.
    pub fn files(&self) -> &[Self] {
        if self.files.is_empty() {
            std::slice::from_ref(self)
        } else {
            &self.files
        }
    }

    fn part_of(&self, offset: u32) -> Option<usize> {
        let behind = self.parts.partition_point(|part| part.start <= offset);
        behind.checked_sub(1)
    }

    /// The name it is reported under, usually a path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All of it, with what it includes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many lines there are; a final line break begins no line.
    pub fn line_count(&self) -> usize {
        let last = self.lines.last().map_or(0, |start| *start as usize);
        self.lines.len() - usize::from(last == self.text.len() && self.lines.len() > 1)
    }

    /// Line and column of a byte, in the file that it is from. Offsets beyond the end count as the end.
    pub fn position(&self, offset: u32) -> Position {
        let (file, span) = self.origin(Span::new(offset, offset));
        file.own_position(span.start)
    }

    fn own_position(&self, offset: u32) -> Position {
        let offset = (offset as usize).min(self.text.len());
        let line = self
            .lines
            .partition_point(|start| *start as usize <= offset)
            .max(1);
        let before = self.text.as_bytes()[self.lines[line - 1] as usize..offset]
            .iter()
            .filter(|byte| (**byte as i8) >= -0x40)
            .count();
        Position {
            line,
            column: before + 1,
        }
    }

    /// A line without its line break, counted from 1; empty where there is none.
    pub fn line(&self, line: usize) -> &str {
        let start = self.line_start(line);
        let end = self
            .lines
            .get(line)
            .map_or(self.text.len(), |next| *next as usize);
        self.text
            .get(start..end)
            .unwrap_or_default()
            .trim_end_matches(['\n', '\r'])
    }

    /// Offset of the first byte of a line, counted from 1.
    pub(crate) fn line_start(&self, line: usize) -> usize {
        self.lines
            .get(line.wrapping_sub(1))
            .map_or(self.text.len(), |start| *start as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let source = SourceText::new("Dockerfile", "FROM a\n# ü é\nRUN b\n");
        let cases = [
            (0, 1, 1),
            (6, 1, 7),
            (7, 2, 1),
            (11, 2, 4),
            (15, 3, 1),
            (99, 4, 1),
        ];
        for (offset, line, column) in cases {
            assert_eq!(
                source.position(offset),
                Position { line, column },
                "offset {offset}"
            );
        }
        assert_eq!(source.line(2), "# ü é");
        assert_eq!(source.line(9), "");
        assert_eq!(source.line_count(), 3);
        assert_eq!(SourceText::new("", "").line_count(), 1);
    }
}
