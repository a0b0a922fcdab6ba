//! `ShellPipeHidesFailure`: a pipe whose first commands may fail unseen.

use super::super::rule::{Group, Rule};
use super::scene::Scene;
use super::scene::ShellOptions;
use crate::diagnostic::Findings;
use crate::shell::{Command, Joint, Part, Script};

pub(in crate::lint) static RULE: Rule = Rule {
    name: "ShellPipeHidesFailure",
    group: Group::Shell,
    summary: "A pipe should fail when any command of it fails",
    why: "Only the exit code of the last command of a pipe counts: when the download in `curl ... | tar x` \
          breaks off, the step can succeed and is cached. `pipefail` is an option of bash, busybox, zsh and \
          newer dash; with `SHELL` it holds for all that follows.",
    bad: "FROM debian:12\n\
          RUN wget -O - https://example.com/app.tar | tar x\n\
          ",
    good: "FROM debian:12\n\
          SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\n\
          RUN wget -O - https://example.com/app.tar | tar x\n\
          ",
};

/// Commands that do not fail, or may be cut off.
const HARMLESS: [&str; 6] = ["echo", "printf", "yes", "true", "seq", "cat"];

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings) {
    check_script(scene, scene.script, scene.options, findings);
}

fn check_script(
    scene: &Scene<'_>,
    script: &Script,
    mut options: ShellOptions,
    findings: &mut Findings,
) {
    let mut told = false;
    for command in &script.commands {
        for word in command.assignments.iter().chain(&command.words) {
            for part in &word.parts {
                if let Part::Substitution(inner) = part {
                    check_script(scene, inner, options, findings);
                }
            }
        }
        options.follow(command);
        let pipes = command.after == Joint::Pipe;
        // One finding for each pipe is enough.
        if pipes && !told && !options.pipefail && !command.tested && may_fail(command) {
            findings.add(
                RULE.finding(
                    "when this fails, the pipe still succeeds",
                    scene.place(&command.extent),
                )
                .with_help("put `SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]` above, or begin with `set -o pipefail`"),
            );
            told = true;
        }
        told &= pipes;
    }
}

fn may_fail(command: &Command) -> bool {
    let call = command.call();
    call.is_none_or(|(name, _)| !HARMLESS.contains(&name.as_str()))
}
