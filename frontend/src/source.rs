//! A source text that knows its lines.

/// A text with the name it is reported under.
#[derive(Debug, Clone)]
pub struct SourceText {
    name: String,
    text: String,
    /// Offset of the first byte of each line.
    lines: Vec<u32>,
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
        }
    }

    /// The name it is reported under, usually a path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many lines there are; a final line break begins no line.
    pub fn line_count(&self) -> usize {
        let last = self.lines.last().map_or(0, |start| *start as usize);
        self.lines.len() - usize::from(last == self.text.len() && self.lines.len() > 1)
    }

    /// Line and column of a byte. Offsets beyond the end count as the end.
    pub fn position(&self, offset: u32) -> Position {
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
