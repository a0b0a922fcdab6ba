//! `DuplicateStageName`: two stages of one name.

use std::collections::BTreeMap;

use super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::syntax::ast::Stage;

pub(crate) static RULE: Rule = Rule {
    name: "DuplicateStageName",
    group: Group::Standard,
    summary: "Stage names should be unique",
    why: "Only the last of several stages of one name can be built with `--target`, and `COPY --from` reads \
          the last one above it; which one that is changes when stages are moved.",
    bad: "FROM debian:12 AS tools\n\
          FROM busybox AS tools\n\
          RUN make\n\
          ",
    good: "FROM debian:12 AS tools\n\
          FROM busybox AS app\n\
          RUN make\n\
          ",
};

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    let mut seen = BTreeMap::new();
    for stage in stages {
        let (Some(name), Some((_, written))) = (&stage.name, &stage.named) else {
            continue;
        };
        let first = *seen.entry(name.as_str()).or_insert(written.span);
        if first != written.span {
            let message = format!("Duplicate stage name \"{name}\", stage names should be unique");
            findings.add(
                RULE.finding(message, written.span)
                    .with_note("the name is used here first", first),
            );
        }
    }
}
