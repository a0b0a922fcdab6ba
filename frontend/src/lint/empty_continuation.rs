//! `NoEmptyContinuation`: an empty line between continued lines.
//!
//! It reads as the end of the instruction, but is not; Docker means to make it an error.

use crate::diagnostic::Diagnostic;
use crate::span::Span;

const NAME: &str = "NoEmptyContinuation";

pub(crate) fn finding(span: Span) -> Diagnostic {
    Diagnostic::warning("Empty continuation line", span)
        .with_rule(NAME)
        .with_help("remove the line, or put a `#` in it")
}
