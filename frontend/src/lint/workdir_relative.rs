//! `WorkdirRelativePath`: a relative `WORKDIR` before any absolute one.
//!
//! Where it leads is up to the base image, which can change.

use crate::diagnostic::Diagnostic;
use crate::span::Span;

const NAME: &str = "WorkdirRelativePath";

pub(crate) fn finding(path: &str, span: Span) -> Diagnostic {
    let message = format!(
        "Relative workdir \"{path}\" can have unexpected results if the base image changes"
    );
    Diagnostic::warning(message, span).with_rule(NAME)
}
