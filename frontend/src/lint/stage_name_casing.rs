//! `StageNameCasing`: a stage name with capital letters.
//!
//! Stage names ignore case, so all of them are best written in one.

use crate::diagnostic::{Diagnostic, Findings};
use crate::syntax::ast::Stage;

const NAME: &str = "StageNameCasing";

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    for stage in stages {
        if let Some((_, name)) = &stage.named
            && name.text.bytes().any(|byte| byte.is_ascii_uppercase())
            && !super::skipped_by_comments(&stage.comments, Some(NAME))
        {
            let message = format!("Stage name '{}' should be lowercase", name.text);
            findings.add(Diagnostic::warning(message, name.span).with_rule(NAME));
        }
    }
}
