//! `JSONArgsRecommended`: `CMD` and `ENTRYPOINT` in the shell form, where no `SHELL` was chosen.
//!
//! The shell is process 1 then, and keeps signals such as those of `docker stop` from the program.

use crate::diagnostic::Diagnostic;
use crate::span::Span;

const NAME: &str = "JSONArgsRecommended";

pub(crate) fn finding(keyword: &str, span: Span) -> Diagnostic {
    let message = format!(
        "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
        keyword.to_uppercase()
    );
    Diagnostic::warning(message, span).with_rule(NAME)
}
