//! `ReservedStageName`: a stage called `scratch` or `context`.
//!
//! Those names have a meaning of their own.

use crate::diagnostic::{Diagnostic, Findings};
use crate::syntax::ast::Stage;

const NAME: &str = "ReservedStageName";

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    for stage in stages {
        if let (Some(name @ ("scratch" | "context")), Some((_, written))) =
            (stage.name.as_deref(), &stage.named)
            && !super::skipped_by_comments(&stage.comments, Some(NAME))
        {
            let message =
                format!("Stage name should not use the same name as reserved stage \"{name}\"");
            findings.add(Diagnostic::warning(message, written.span).with_rule(NAME));
        }
    }
}
