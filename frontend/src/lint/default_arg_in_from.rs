//! `InvalidDefaultArgInFrom`: a `FROM` that names no image while its arguments have their defaults.

use super::rule::{Group, Rule};
use crate::diagnostic::Diagnostic;
use crate::syntax::logical::Word;

pub(crate) static RULE: Rule = Rule {
    name: "InvalidDefaultArgInFrom",
    group: Group::Standard,
    summary: "Default value for global ARG results in an empty or invalid base image name",
    why: "A build without `--build-arg` fails. A default makes it work, and shows what the argument is for.",
    bad: "ARG IMAGE\n\
          FROM ${IMAGE}\n\
          RUN make\n\
          ",
    good: "ARG IMAGE=debian:12\n\
          FROM ${IMAGE}\n\
          RUN make\n\
          ",
};

pub(crate) fn finding(base: &Word) -> Diagnostic {
    let message = format!(
        "Default value for ARG {} results in empty or invalid base image name",
        base.text
    );
    RULE.finding(message, base.span)
}
