//! `UndefinedArgInFrom`: an argument of `FROM` that no global `ARG` declares.

use super::rule::{Group, Rule};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

pub(crate) static RULE: Rule = Rule {
    name: "UndefinedArgInFrom",
    group: Group::Standard,
    summary: "FROM command must use declared ARGs",
    why: "Only `ARG`s in front of the first `FROM` can be used in a `FROM`; any other name expands to \
          nothing, mostly because it is misspelt.",
    bad: "ARG VERSION=12\n\
          FROM debian:12$VERSOIN\n\
          RUN make\n\
          ",
    good: "ARG VERSION=12\n\
          FROM debian:$VERSION\n\
          RUN make\n\
          ",
};

pub(crate) fn finding<'a>(
    name: &str,
    span: Span,
    known: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let message = format!("FROM argument '{name}' is not declared");
    let message = match crate::suggest::nearest(name, known) {
        Some(near) => format!("{message} (did you mean {near}?)"),
        None => message,
    };
    RULE.finding(message, span)
}
