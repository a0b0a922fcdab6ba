//! `MultipleInstructionsDisallowed`: a second `CMD`, `ENTRYPOINT` or `HEALTHCHECK` in a stage.
//!
//! Only the last one counts.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Findings};
use crate::syntax::ast::{Kind, Stage};

const NAME: &str = "MultipleInstructionsDisallowed";

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    for stage in stages {
        let mut last = BTreeMap::new();
        for instruction in &stage.instructions {
            let keyword = match instruction.kind {
                Kind::Cmd(_) => "CMD",
                Kind::Entrypoint(_) => "ENTRYPOINT",
                Kind::Healthcheck(_) => "HEALTHCHECK",
                _ => continue,
            };
            let earlier = last.insert(keyword, instruction.span);
            if let Some(earlier) = earlier
                && !super::skipped_by_comments(&instruction.comments, Some(NAME))
            {
                let message = format!(
                    "Multiple {keyword} instructions should not be used in the same stage because \
                     only the last one will be used"
                );
                findings.add(
                    Diagnostic::warning(message, earlier)
                        .with_rule(NAME)
                        .with_note("it is replaced here", instruction.span),
                );
            }
        }
    }
}
