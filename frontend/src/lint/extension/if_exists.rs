//! `ExtensionIfExists`: `COPY --if-exists` and `ADD --if-exists`.

use super::super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::syntax::ast::FileFlags;

pub(crate) static RULE: Rule = Rule {
    name: "ExtensionIfExists",
    group: Group::Extension,
    summary: "`COPY --if-exists` and `ADD --if-exists` are extensions of rbuild",
    why: "Other builders refuse the flag, so the Dockerfile builds with rbuild alone. Elsewhere a pattern, which may \
          match nothing, has the same effect for files of the context.",
    bad: "FROM busybox\n\
          COPY --if-exists settings.local /etc/app/\n\
          ",
    good: "FROM busybox\n\
           COPY settings.loca[l] /etc/app/\n\
           ",
};

pub(super) fn check(keyword: &str, flags: &FileFlags, findings: &mut Findings) {
    if let Some(switch) = flags.if_exists {
        let message = format!("`{keyword} --if-exists` is an extension of rbuild");
        let finding = RULE.finding(message, switch.span);
        findings.add(finding.with_help("other builders refuse the flag"));
    }
}
