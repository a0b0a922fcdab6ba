//! `ExtensionCacheTtl`: `RUN --cache-ttl`.

use super::super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::syntax::ast::RunFlags;

pub(crate) static RULE: Rule = Rule {
    name: "ExtensionCacheTtl",
    group: Group::Extension,
    summary: "`RUN --cache-ttl` is an extension of rbuild",
    why: "Other builders refuse the flag, so the Dockerfile builds with rbuild alone. Elsewhere an argument that \
          names the day has the same effect.",
    bad: "FROM busybox\n\
          RUN --cache-ttl=1d wget -O /list https://example.com/list\n\
          ",
    good: "FROM busybox\n\
           ARG DAY\n\
           RUN wget -O /list https://example.com/list\n\
           ",
};

pub(super) fn check(flags: &RunFlags, findings: &mut Findings) {
    if let Some(ttl) = &flags.cache_ttl {
        let finding = RULE.finding(RULE.summary, ttl.span);
        findings.add(finding.with_help("other builders refuse the flag"));
    }
}
