//! `StageNameCasing`: a stage name with capital letters.

use super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::syntax::ast::Stage;

pub(crate) static RULE: Rule = Rule {
    name: "StageNameCasing",
    group: Group::Standard,
    summary: "Stage names should be lowercase",
    why: "Stage names ignore case, and image names have no capitals: written in lower case all of them look \
          alike.",
    bad: "FROM debian:12 AS Build\n\
          RUN make\n\
          ",
    good: "FROM debian:12 AS build\n\
          RUN make\n\
          ",
};

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    for stage in stages {
        if let Some((_, name)) = &stage.named
            && name.text.bytes().any(|byte| byte.is_ascii_uppercase())
        {
            let message = format!("Stage name '{}' should be lowercase", name.text);
            findings.add(RULE.finding(message, name.span));
        }
    }
}
