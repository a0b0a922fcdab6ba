//! `MultipleInstructionsDisallowed`: a second `CMD`, `ENTRYPOINT` or `HEALTHCHECK` in a stage.

use std::collections::BTreeMap;

use super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::syntax::ast::{Kind, Stage};

pub(crate) static RULE: Rule = Rule {
    name: "MultipleInstructionsDisallowed",
    group: Group::Standard,
    summary: "Multiple instructions of the same type should not be used in the same stage",
    why: "Only the last `CMD`, `ENTRYPOINT` and `HEALTHCHECK` of a stage counts; one above it does nothing.",
    bad: "FROM busybox\n\
          CMD [\"one\"]\n\
          CMD [\"two\"]\n\
          ",
    good: "FROM busybox\n\
          CMD [\"two\"]\n\
          ",
};

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    for stage in stages {
        let mut last = BTreeMap::new();
        for instruction in &stage.instructions {
            let kind = match instruction.kind {
                Kind::Cmd(_) => "CMD",
                Kind::Entrypoint(_) => "ENTRYPOINT",
                Kind::Healthcheck(_) => "HEALTHCHECK",
                _ => continue,
            };
            if let Some(earlier) = last.insert(kind, instruction.span) {
                let message = format!(
                    "Multiple {} instructions should not be used in the same stage because only the \
                     last one will be used",
                    instruction.keyword.text
                );
                findings.add(
                    RULE.finding(message, earlier)
                        .with_note("it is replaced here", instruction.span),
                );
            }
        }
    }
}
