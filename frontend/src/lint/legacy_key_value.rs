//! `LegacyKeyValueFormat`: `ENV key value` and `LABEL key value`.
//!
//! Without the `=` only one pair fits on a line, and the rest of the line is its value.

use crate::diagnostic::Diagnostic;
use crate::span::Span;

const NAME: &str = "LegacyKeyValueFormat";

pub(crate) fn finding(keyword: &str, span: Span) -> Diagnostic {
    let keyword = keyword.to_uppercase();
    let message = format!(
        "\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"
    );
    Diagnostic::warning(message, span).with_rule(NAME)
}
