//! `ShellScriptGoesOn`: a here-document whose shell goes on after a failure.

use super::super::rule::{Group, Rule};
use super::scene::Scene;
use crate::diagnostic::Findings;
use crate::shell::Joint;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "ShellScriptGoesOn",
    group: Group::Shell,
    summary: "A script in a here-document should end at the first failure",
    why: "The shell goes on after a command that failed, and the step succeeds if the last one does. `set \
          -e`, or a shell that is started with `-e`, ends it.",
    bad: "FROM debian:12\n\
          RUN <<EOF\n\
          make\n\
          make install\n\
          EOF\n\
          ",
    good: "FROM debian:12\n\
          RUN <<EOF\n\
          set -e\n\
          make\n\
          make install\n\
          EOF\n\
          ",
};

/// Commands that do not fail.
const HARMLESS: [&str; 8] = [
    "echo", "printf", "export", "set", "true", ":", "cd", "shift",
];

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings) {
    if !scene.document {
        return;
    }
    let mut options = scene.options;
    let commands = &scene.script.commands;
    for (number, command) in commands.iter().enumerate() {
        options.follow(command);
        if options.errexit {
            return;
        }
        let name = command.call().map(|(name, _)| name);
        let harmless = command.words.is_empty()
            || command.header
            || name.is_some_and(|name| HARMLESS.contains(&name.as_str()));
        let goes_on = command.after == Joint::Sequence && number + 1 < commands.len();
        if goes_on && !harmless && !command.tested && command.depth == 0 {
            findings.add(
                RULE.finding(
                    "the script goes on when this fails",
                    scene.place(&command.extent),
                )
                .with_help("begin the script with `set -e`"),
            );
            return;
        }
    }
}
