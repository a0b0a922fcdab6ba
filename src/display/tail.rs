//! The last lines of a step's output, kept for when it fails.

use std::collections::VecDeque;

/// Bytes that a tail keeps at most.
const MAX_BYTES: usize = 256 * 1024;

/// The newest lines, bounded in number and in bytes.
#[derive(Debug)]
pub(crate) struct Tail<L> {
    lines: VecDeque<L>,
    bytes: usize,
    limit: usize,
}

impl<L: AsRef<[u8]>> Tail<L> {
    /// Keeps at most `limit` lines.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            limit,
        }
    }

    /// Adds a line, and forgets the oldest ones that no longer fit.
    pub(crate) fn push(&mut self, line: L) {
        self.bytes += line.as_ref().len();
        self.lines.push_back(line);
        while self.lines.len() > self.limit || (self.bytes > MAX_BYTES && self.lines.len() > 1) {
            if let Some(oldest) = self.lines.pop_front() {
                self.bytes -= oldest.as_ref().len();
            }
        }
    }

    /// The newest line, to be continued by at most `room` bytes less than it already has.
    pub(crate) fn extend_last(&mut self, piece: &[u8], longest: usize)
    where
        L: Extend<u8>,
    {
        if let Some(last) = self.lines.back_mut() {
            let room = longest.saturating_sub(last.as_ref().len()).min(piece.len());
            last.extend(piece[..room].iter().copied());
            self.bytes += room;
        }
    }

    /// The lines, oldest first.
    pub(crate) fn lines(&self) -> impl DoubleEndedIterator<Item = &L> + ExactSizeIterator {
        self.lines.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_lines_go() {
        let mut tail = Tail::new(2);
        for line in ["a", "b", "c"] {
            tail.push(line.to_owned());
        }
        assert_eq!(tail.lines().collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn bytes_are_bounded() {
        let mut tail = Tail::new(100_000);
        for _ in 0..100 {
            tail.push("x".repeat(100_000));
        }
        assert_eq!(tail.lines().len(), 2);
    }

    #[test]
    fn lines_are_continued_up_to_their_bound() {
        let mut tail = Tail::new(2);
        tail.push(b"ab".to_vec());
        tail.extend_last(b"cdef", 4);
        assert_eq!(tail.lines().next(), Some(&b"abcd".to_vec()));
    }
}
