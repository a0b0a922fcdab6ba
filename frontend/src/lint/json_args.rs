//! `JSONArgsRecommended`: `CMD` and `ENTRYPOINT` in the shell form, where no `SHELL` was chosen.

use super::rule::{Group, Rule};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

pub(crate) static RULE: Rule = Rule {
    name: "JSONArgsRecommended",
    group: Group::Standard,
    summary: "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    why: "In the shell form the shell is process 1, and keeps signals such as that of `docker stop` from the \
          program, which is killed after the time limit. Where a shell is needed, `SHELL` says that it is \
          meant.",
    bad: "FROM busybox\n\
          CMD serve --port 80\n\
          ",
    good: "FROM busybox\n\
          CMD [\"serve\", \"--port\", \"80\"]\n\
          ",
};

pub(crate) fn finding(keyword: &str, span: Span) -> Diagnostic {
    let message = format!(
        "JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
    );
    RULE.finding(message, span)
}
