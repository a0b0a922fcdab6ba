//! `NoEmptyContinuation`: an empty line between continued lines.

use super::rule::{Group, Rule};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

pub(crate) static RULE: Rule = Rule {
    name: "NoEmptyContinuation",
    group: Group::Standard,
    summary: "Empty continuation lines will become errors in a future release",
    why: "It reads as the end of the instruction, but is not: the line behind it still belongs to the \
          instruction.",
    bad: "FROM debian:12\n\
          RUN make \\\n\
          \n\
              install\n\
          ",
    good: "FROM debian:12\n\
          RUN make \\\n\
              install\n\
          ",
};

pub(crate) fn finding(span: Span) -> Diagnostic {
    RULE.finding("Empty continuation line", span)
        .with_help("remove the line, or put a `#` in it")
}
