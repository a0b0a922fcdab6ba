//! `UndefinedArgInFrom`: an argument of `FROM` that no global `ARG` declares.
//!
//! Only `ARG`s in front of the first `FROM` can be used there.

use crate::diagnostic::Diagnostic;
use crate::span::Span;

const NAME: &str = "UndefinedArgInFrom";

pub(crate) fn finding<'a>(
    name: &str,
    span: Span,
    known: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let message = format!("FROM argument '{name}' is not declared");
    Diagnostic::warning(message, span)
        .with_rule(NAME)
        .with_suggestion(name, known)
}
