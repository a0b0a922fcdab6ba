//! `ReservedStageName`: a stage called `scratch` or `context`.

use super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::syntax::ast::Stage;

pub(crate) static RULE: Rule = Rule {
    name: "ReservedStageName",
    group: Group::Standard,
    summary: "Reserved words should not be used as stage names",
    why: "`scratch` is the empty base and `context` the build context; a stage of such a name hides what the \
          name is taken for.",
    bad: "FROM debian:12 AS scratch\n\
          RUN make\n\
          ",
    good: "FROM debian:12 AS build\n\
          RUN make\n\
          ",
};

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    for stage in stages {
        if let (Some(name @ ("scratch" | "context")), Some((_, written))) =
            (stage.name.as_deref(), &stage.named)
        {
            let message =
                format!("Stage name should not use the same name as reserved stage \"{name}\"");
            findings.add(RULE.finding(message, written.span));
        }
    }
}
