//! `ConsistentInstructionCasing`: keywords in another letter case than most of the file.

use super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::syntax::ast::Stage;
use crate::syntax::logical::Word;

pub(crate) static RULE: Rule = Rule {
    name: "ConsistentInstructionCasing",
    group: Group::Standard,
    summary: "All commands within the Dockerfile should use the same casing (either upper or lower)",
    why: "A file reads best in one style.",
    bad: "FROM debian:12\n\
          Run make\n\
          RUN make install\n\
          ",
    good: "FROM debian:12\n\
          RUN make\n\
          RUN make install\n\
          ",
};

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    let (mut lower, mut upper) = (0, 0);
    for keyword in keywords(stages) {
        if keyword.text == keyword.text.to_lowercase() {
            lower += 1;
        } else if keyword.text == keyword.text.to_uppercase() {
            upper += 1;
        }
    }
    let (wanted, case): (fn(&str) -> String, _) = if lower > upper {
        (str::to_lowercase, "lowercase")
    } else {
        (str::to_uppercase, "uppercase")
    };
    for keyword in keywords(stages) {
        if keyword.text != wanted(&keyword.text) {
            let message = format!(
                "Command '{}' should match the case of the command majority ({case})",
                keyword.text
            );
            findings.add(RULE.finding(message, keyword.span));
        }
    }
}

/// All keywords.
fn keywords(stages: &[Stage]) -> impl Iterator<Item = &Word> {
    stages.iter().flat_map(|stage| {
        let instructions = stage.instructions.iter();
        std::iter::once(&stage.keyword).chain(instructions.map(|instruction| &instruction.keyword))
    })
}
