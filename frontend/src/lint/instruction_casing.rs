//! `ConsistentInstructionCasing`: keywords in another letter case than most of the file.
//!
//! A file reads best in one style.

use crate::diagnostic::{Diagnostic, Findings};
use crate::syntax::ast::Stage;
use crate::syntax::logical::Word;

const NAME: &str = "ConsistentInstructionCasing";

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    let (mut lower, mut upper) = (0, 0);
    for (keyword, _) in keywords(stages) {
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
    for (keyword, comments) in keywords(stages) {
        if keyword.text != wanted(&keyword.text)
            && !super::skipped_by_comments(comments, Some(NAME))
        {
            let message = format!(
                "Command '{}' should match the case of the command majority ({case})",
                keyword.text
            );
            findings.add(Diagnostic::warning(message, keyword.span).with_rule(NAME));
        }
    }
}

/// All keywords with the comments above them.
fn keywords(stages: &[Stage]) -> impl Iterator<Item = (&Word, &[String])> {
    stages.iter().flat_map(|stage| {
        let instructions = stage.instructions.iter();
        std::iter::once((&stage.keyword, stage.comments.as_slice())).chain(
            instructions.map(|instruction| (&instruction.keyword, instruction.comments.as_slice())),
        )
    })
}
