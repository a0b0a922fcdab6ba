//! `FromAsCasing`: `FROM` and `as` in different letter case.

use super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::syntax::ast::Stage;

pub(crate) static RULE: Rule = Rule {
    name: "FromAsCasing",
    group: Group::Standard,
    summary: "The 'as' keyword should match the case of the 'from' keyword",
    why: "One line reads best in one style.",
    bad: "FROM debian:12 as build\n\
          RUN make\n\
          ",
    good: "FROM debian:12 AS build\n\
          RUN make\n\
          ",
};

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    for stage in stages {
        let Some((keyword, _)) = &stage.named else {
            continue;
        };
        let (from, written) = (stage.keyword.text.as_str(), keyword.text.as_str());
        let wanted = if from == from.to_lowercase() {
            written.to_lowercase()
        } else if from == from.to_uppercase() {
            written.to_uppercase()
        } else {
            // `From` itself is what `ConsistentInstructionCasing` speaks of.
            continue;
        };
        if written != wanted {
            let message = format!("'{written}' and '{from}' keywords' casing do not match");
            findings.add(RULE.finding(message, keyword.span));
        }
    }
}
