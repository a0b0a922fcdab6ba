//! `UndefinedVar`: a variable that nothing sets.
//!
//! It expands to nothing, mostly because its name is misspelt.

use crate::diagnostic::Diagnostic;
use crate::span::Span;

const NAME: &str = "UndefinedVar";

pub(crate) fn finding<'a>(
    name: &str,
    span: Span,
    known: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let message = format!("Usage of undefined variable '${name}'");
    Diagnostic::warning(message, span)
        .with_rule(NAME)
        .with_suggestion(name, known)
}
