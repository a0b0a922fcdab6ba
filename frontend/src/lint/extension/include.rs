//! `ExtensionInclude`: `# include FILE`.

use super::super::rule::{Group, Rule};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

pub(crate) static RULE: Rule = Rule {
    name: "ExtensionInclude",
    group: Group::Extension,
    summary: "`# include FILE` is an extension of rbuild",
    why: "For other builders the line is a comment, so that they build something else. Elsewhere what Dockerfiles \
          share is a stage or an image that they begin from.",
    bad: "# rbuild=extensions\n\
          FROM busybox\n\
          # include common.dockerfile\n\
          ",
    good: "FROM busybox AS common\n\
           RUN make\n\
           FROM common\n\
           ",
};

pub(crate) fn finding(span: Span) -> Diagnostic {
    let finding = RULE.finding(RULE.summary, span);
    finding.with_help("other builders take the line for a comment")
}
