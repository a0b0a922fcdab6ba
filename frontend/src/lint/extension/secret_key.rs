//! `ExtensionSecretKey`: `RUN --mount=type=secret,cache-key=true`.

use super::super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::lower::CACHE_KEY;
use crate::syntax::ast::RunFlags;

pub(crate) static RULE: Rule = Rule {
    name: "ExtensionSecretKey",
    group: Group::Extension,
    summary: "`cache-key` of a secret mount is an extension of rbuild",
    why: "Other builders refuse the key, so the Dockerfile builds with rbuild alone. Elsewhere an argument that is \
          changed with the secret has the same effect.",
    bad: "FROM busybox\n\
          RUN --mount=type=secret,id=login,cache-key=true fetch\n\
          ",
    good: "FROM busybox\n\
           ARG LOGIN_VERSION\n\
           RUN --mount=type=secret,id=login fetch\n\
           ",
};

pub(super) fn check(flags: &RunFlags, findings: &mut Findings) {
    let fields = flags.mounts.iter().flat_map(|mount| &mount.fields);
    for field in fields.filter(|field| field.key == CACHE_KEY) {
        let finding = RULE.finding(RULE.summary, field.span);
        findings.add(finding.with_help("other builders refuse the key"));
    }
}
