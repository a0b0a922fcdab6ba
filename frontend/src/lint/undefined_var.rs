//! `UndefinedVar`: a variable that nothing sets.

use super::rule::{Group, Rule};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

pub(crate) static RULE: Rule = Rule {
    name: "UndefinedVar",
    group: Group::Standard,
    summary: "Variables should be defined before their use",
    why: "A variable that nothing sets expands to nothing, mostly because its name is misspelt or its `ARG` \
          is missing in this stage.",
    bad: "FROM busybox\n\
          ARG VERSION=1\n\
          COPY app-$VERSOIN /app\n\
          ",
    good: "FROM busybox\n\
          ARG VERSION=1\n\
          COPY app-$VERSION /app\n\
          ",
};

pub(crate) fn finding<'a>(
    name: &str,
    span: Span,
    known: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let message = format!("Usage of undefined variable '${name}'");
    let message = match crate::suggest::nearest(name, known) {
        Some(near) => format!("{message} (did you mean ${near}?)"),
        None => message,
    };
    RULE.finding(message, span)
}
