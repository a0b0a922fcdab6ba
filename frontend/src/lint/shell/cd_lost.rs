//! `ShellCdLost`: a `cd` at the end of a `RUN`.

use super::super::rule::{Group, Rule};
use super::scene::Scene;
use crate::diagnostic::Findings;
use crate::shell::Joint;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "ShellCdLost",
    group: Group::Shell,
    summary: "cd at the end of a RUN has no effect",
    why: "Each `RUN` begins in the `WORKDIR` of the stage, wherever the one above it ended.",
    bad: "FROM debian:12\n\
          RUN mkdir /app && cd /app\n\
          RUN make\n\
          ",
    good: "FROM debian:12\n\
          WORKDIR /app\n\
          RUN make\n\
          ",
};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings) {
    let Some(last) = scene.script.commands.last() else {
        return;
    };
    // `cd x &&` at the end of a here-document line is no end.
    let ends = matches!(last.after, Joint::End | Joint::Sequence);
    let changes = last.call().is_some_and(|(name, _)| name == "cd");
    if ends && changes && last.depth == 0 && !last.tested {
        findings.add(
            RULE.finding(
                "this `cd` has no effect on later instructions",
                scene.place(&last.extent),
            )
            .with_help("use `WORKDIR`"),
        );
    }
}
