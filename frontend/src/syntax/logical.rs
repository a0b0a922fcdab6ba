//! Logical lines: an instruction's text after continuations are joined, with the way back to the source.

use std::ops::Range;

use crate::span::Span;

/// A value with the place it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// Where the bytes of a logical line come from.
#[derive(Debug, Clone)]
enum Origin {
    /// Pieces of the source: the offset in the line where one begins, and its offset in the source.
    Pieces(Vec<(usize, u32)>),
    /// Text that is not in the source stands at this place.
    Elsewhere(Span),
}

/// A text made of pieces of a source.
#[derive(Debug, Clone)]
pub(crate) struct Logical {
    text: String,
    origin: Origin,
}

impl Logical {
    /// An empty line whose pieces will be added. With `elsewhere`, all of it is said to stand there.
    pub(crate) fn new(elsewhere: Option<Span>) -> Self {
        Self {
            text: String::new(),
            origin: elsewhere.map_or_else(|| Origin::Pieces(Vec::new()), Origin::Elsewhere),
        }
    }

    /// Adds a piece that begins at the offset `source`.
    pub(crate) fn push(&mut self, piece: &str, source: usize) {
        if piece.is_empty() {
            return;
        }
        if let Origin::Pieces(pieces) = &mut self.origin {
            pieces.push((self.text.len(), source as u32));
        }
        self.text.push_str(piece);
    }

    /// The joined text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// All of it, without blanks at both ends.
    pub(crate) fn slice(&self) -> Slice<'_> {
        Slice {
            line: self,
            range: 0..self.text.len(),
        }
        .trim()
    }

    fn span(&self, range: &Range<usize>) -> Span {
        match &self.origin {
            Origin::Elsewhere(span) => *span,
            Origin::Pieces(pieces) => {
                let start = source_of(pieces, range.start);
                let end = if range.is_empty() {
                    start
                } else {
                    source_of(pieces, range.end - 1) + 1
                };
                Span::new(start, end)
            }
        }
    }
}

fn source_of(pieces: &[(usize, u32)], at: usize) -> u32 {
    let index = pieces.partition_point(|(start, _)| *start <= at);
    match index.checked_sub(1).and_then(|index| pieces.get(index)) {
        Some((start, source)) => source + (at - start) as u32,
        None => 0,
    }
}

/// A part of a logical line.
#[derive(Debug, Clone)]
pub(crate) struct Slice<'a> {
    line: &'a Logical,
    range: Range<usize>,
}

impl<'a> Slice<'a> {
    pub(crate) fn text(&self) -> &'a str {
        &self.line.text[self.range.clone()]
    }

    pub(crate) fn span(&self) -> Span {
        self.line.span(&self.range)
    }

    /// A part of this part; `range` counts from its own start and lies on character boundaries.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        Self {
            line: self.line,
            range: self.range.start + range.start..self.range.start + range.end,
        }
    }

    /// From `at`, counted from its own start, to the end.
    pub(crate) fn rest(&self, at: usize) -> Self {
        self.part(at..self.range.len())
    }

    /// Without blanks at both ends.
    pub(crate) fn trim(&self) -> Self {
        let text = self.text();
        let start = text.len() - text.trim_start().len();
        let end = start + text.trim().len();
        self.part(start..end)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The text as a value of its own.
    pub(crate) fn word(&self) -> Word {
        Word {
            text: self.text().to_owned(),
            span: self.span(),
        }
    }

    /// A value that this part stands for.
    pub(crate) fn word_of(&self, text: impl Into<String>) -> Word {
        Word {
            text: text.into(),
            span: self.span(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_lead_back_through_continuations() {
        // RUN a \⏎  b
        let mut line = Logical::new(None);
        line.push("RUN a ", 0);
        line.push("  b", 8);
        let slice = line.slice();
        assert_eq!(slice.text(), "RUN a   b");
        assert_eq!(slice.span(), Span::new(0, 11));
        assert_eq!(slice.part(4..5).span(), Span::new(4, 5));
        assert_eq!(slice.part(8..9).span(), Span::new(10, 11));
        assert_eq!(slice.part(9..9).span(), Span::new(11, 11));
    }

    #[test]
    fn text_from_elsewhere_has_one_place() {
        let mut line = Logical::new(Some(Span::new(3, 7)));
        line.push("RUN a", 90);
        assert_eq!(line.slice().part(4..5).span(), Span::new(3, 7));
    }
}
