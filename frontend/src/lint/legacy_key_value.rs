//! `LegacyKeyValueFormat`: `ENV key value` and `LABEL key value`.

use super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::syntax::ast::{Kind, Stage};

pub(crate) static RULE: Rule = Rule {
    name: "LegacyKeyValueFormat",
    group: Group::Standard,
    summary: "Legacy key/value format with whitespace separator should not be used",
    why: "Without the `=` only one pair fits on a line, and all of the rest of the line is its value.",
    bad: "FROM busybox\n\
          ENV LEVEL debug\n\
          ",
    good: "FROM busybox\n\
          ENV LEVEL=debug\n\
          ",
};

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    for instruction in stages.iter().flat_map(|stage| &stage.instructions) {
        let keyword = match &instruction.kind {
            Kind::Env(pairs) if pairs.legacy => "ENV",
            Kind::Label(pairs) if pairs.legacy => "LABEL",
            _ => continue,
        };
        let message = format!(
            "\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"
        );
        findings.add(RULE.finding(message, instruction.span));
    }
}
