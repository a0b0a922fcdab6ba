//! `WorkdirRelativePath`: a relative `WORKDIR` before any absolute one.

use super::rule::{Group, Rule};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

pub(crate) static RULE: Rule = Rule {
    name: "WorkdirRelativePath",
    group: Group::Standard,
    summary: "Relative workdir without an absolute workdir declared within the build can have unexpected results \
          if the base image changes",
    why: "Where a relative path leads is up to the `WORKDIR` of the base image, which a newer image can \
          change.",
    bad: "FROM busybox\n\
          WORKDIR app\n\
          RUN make\n\
          ",
    good: "FROM busybox\n\
          WORKDIR /app\n\
          RUN make\n\
          ",
};

pub(crate) fn finding(path: &str, span: Span) -> Diagnostic {
    let message = format!(
        "Relative workdir \"{path}\" can have unexpected results if the base image changes"
    );
    RULE.finding(message, span)
}
