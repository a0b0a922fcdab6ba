//! `FromAsCasing`: `FROM` and `as` in different letter case.
//!
//! One line reads best in one style.

use crate::diagnostic::{Diagnostic, Findings};
use crate::syntax::ast::Stage;

const NAME: &str = "FromAsCasing";

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    for stage in stages {
        let Some((keyword, _)) = &stage.named else {
            continue;
        };
        let (from, keyword_text) = (stage.keyword.text.as_str(), keyword.text.as_str());
        if is_lower(from) != is_lower(keyword_text)
            && !super::skipped_by_comments(&stage.comments, Some(NAME))
        {
            let message = format!("'{keyword_text}' and '{from}' keywords' casing do not match");
            findings.add(Diagnostic::warning(message, keyword.span).with_rule(NAME));
        }
    }
}

fn is_lower(keyword: &str) -> bool {
    keyword.bytes().all(|byte| byte.is_ascii_lowercase())
}
