//! `ExtensionNoCache`: `RUN --no-cache`.

use super::super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::syntax::ast::RunFlags;

pub(crate) static RULE: Rule = Rule {
    name: "ExtensionNoCache",
    group: Group::Extension,
    summary: "`RUN --no-cache` is an extension of rbuild",
    why: "Other builders refuse the flag, so the Dockerfile builds with rbuild alone. Elsewhere an argument that is \
          different in every build has the same effect.",
    bad: "FROM busybox\n\
          RUN --no-cache date > /built\n\
          ",
    good: "FROM busybox\n\
           ARG BUILT\n\
           RUN echo \"$BUILT\" > /built\n\
           ",
};

pub(super) fn check(flags: &RunFlags, findings: &mut Findings) {
    if let Some(switch) = flags.no_cache {
        let finding = RULE.finding(RULE.summary, switch.span);
        findings.add(finding.with_help("other builders refuse the flag"));
    }
}
