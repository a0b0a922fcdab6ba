//! `AptInstallPrompts`: `apt-get install` that asks whether to go on.

use super::super::rule::{Group, Rule};
use super::scene::{Scene, has_flag};
use crate::diagnostic::Findings;
use crate::shell::Word;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "AptInstallPrompts",
    group: Group::Shell,
    summary: "apt-get install should be told not to ask",
    why: "Nobody can answer in a build: as soon as a package needs others, `apt-get install` asks, reads no \
          answer and fails. `-y` answers yes.",
    bad: "FROM debian:12\n\
          RUN apt-get update && apt-get install make\n\
          ",
    good: "FROM debian:12\n\
          RUN apt-get update && apt-get install -y make\n\
          ",
};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings) {
    scene.each(|command| {
        let Some((name, arguments)) = command.call() else {
            return;
        };
        let installs = arguments
            .iter()
            .any(|word| word.literal().as_deref() == Some("install"));
        if !matches!(name.as_str(), "apt-get" | "apt") || !installs {
            return;
        }
        // Flags that are in a variable, and options by their long names.
        let unknown = arguments.iter().take_while(|word| !is_package(word));
        let mut unknown = unknown.filter(|word| word.literal().is_none());
        let configured = arguments
            .iter()
            .any(|word| word.beginning().contains("Assume-Yes"));
        let quiet = arguments.iter().filter_map(Word::literal);
        let quiet = quiet.filter(|word| matches!(word.as_str(), "-qq" | "-q=2" | "--quiet=2"));
        let answered = has_flag(arguments, &["yes", "assume-yes", "assume-no"], 'y', "otc")
            || configured
            || quiet.count() > 0
            || unknown.next().is_some();
        if !answered {
            findings.add(
                RULE.finding(
                    format!("`{name} install` asks whether to go on, and fails"),
                    scene.place(&command.extent),
                )
                .with_help(format!("write `{name} install -y`")),
            );
        }
    });
}

/// Whether a word names a package rather than the operation or a flag.
fn is_package(word: &Word) -> bool {
    let beginning = word.beginning();
    !beginning.is_empty() && !beginning.starts_with('-') && beginning != "install"
}
