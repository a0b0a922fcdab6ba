//! `ShellCdUnchecked`: a `cd` that may fail, and commands that run all the same.

use super::super::rule::{Group, Rule};
use super::scene::Scene;
use crate::diagnostic::Findings;
use crate::shell::Joint;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "ShellCdUnchecked",
    group: Group::Shell,
    summary: "Commands behind a cd should not run when it fails",
    why: "If the directory is not there, the commands behind `;` or a line break run where the shell was \
          before.",
    bad: "FROM debian:12\n\
          RUN cd /src; make install\n\
          ",
    good: "FROM debian:12\n\
          RUN cd /src && make install\n\
          ",
};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings) {
    let mut options = scene.options;
    let commands = &scene.script.commands;
    for (number, command) in commands.iter().enumerate() {
        options.follow(command);
        let more = number + 1 < commands.len();
        let changes = command.call().is_some_and(|(name, arguments)| {
            name == "cd"
                && arguments
                    .iter()
                    .all(|word| word.literal().as_deref() != Some("/"))
        });
        let unchecked = command.after == Joint::Sequence && !command.tested && !options.errexit;
        if changes && unchecked && more {
            findings.add(
                RULE.finding(
                    "what follows runs in another directory when this `cd` fails",
                    scene.place(&command.extent),
                )
                .with_help("write `cd ... && ...`, or begin with `set -e`"),
            );
        }
    }
}
