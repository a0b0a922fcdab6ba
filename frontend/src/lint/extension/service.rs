//! `ExtensionService`: `RUN --service`.

use super::super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::syntax::ast::RunFlags;

pub(crate) static RULE: Rule = Rule {
    name: "ExtensionService",
    group: Group::Extension,
    summary: "`RUN --service` is an extension of rbuild",
    why: "Other builders refuse the flag, so the Dockerfile builds with rbuild alone. Elsewhere the command has to \
          start what it needs by itself, in the same file system.",
    bad: "FROM busybox\n\
          RUN --service=db,image=busybox make check\n\
          ",
    good: "FROM busybox\n\
           RUN start-database && make check\n\
           ",
};

pub(super) fn check(flags: &RunFlags, findings: &mut Findings) {
    for service in &flags.services {
        let finding = RULE.finding(RULE.summary, service.span);
        findings.add(finding.with_help("other builders refuse the flag"));
    }
}
