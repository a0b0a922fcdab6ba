//! `MaintainerDeprecated`: `MAINTAINER`.

use super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::syntax::ast::{Kind, Stage};

pub(crate) static RULE: Rule = Rule {
    name: "MaintainerDeprecated",
    group: Group::Standard,
    summary: "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    why: "It sets a field that hardly any tool shows. A label is shown by all, and there is an agreed name \
          for it.",
    bad: "FROM busybox\n\
          MAINTAINER someone@example.com\n\
          ",
    good: "FROM busybox\n\
          LABEL org.opencontainers.image.authors=\"someone@example.com\"\n\
          ",
};

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    for instruction in stages.iter().flat_map(|stage| &stage.instructions) {
        if matches!(instruction.kind, Kind::Maintainer(_)) {
            let message = "Maintainer instruction is deprecated in favor of using label";
            findings.add(
                RULE.finding(message, instruction.span)
                    .with_help("write `LABEL org.opencontainers.image.authors=...`"),
            );
        }
    }
}
