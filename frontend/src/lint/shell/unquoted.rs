//! `ShellUnquotedVariable`: an argument that is split at blanks.

use super::super::rule::{Group, Rule};
use super::scene::Scene;
use super::values::{Values, is_word};
use crate::diagnostic::Findings;
use crate::shell::{Command, Part, Word};

pub(in crate::lint) static RULE: Rule = Rule {
    name: "ShellUnquotedVariable",
    group: Group::Shell,
    summary: "Variables in arguments should be in double quotes",
    why: "Without quotes the value is split at blanks, and what looks like a pattern becomes the names of \
          files; an empty one is no argument at all. Not said of variables that the Dockerfile gives a value \
          of one word.",
    bad: "FROM debian:12\n\
          RUN . ./settings && make $TARGET\n\
          ",
    good: "FROM debian:12\n\
          RUN . ./settings && make \"$TARGET\"\n\
          ",
};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings) {
    let mut values = scene.values.clone();
    scene.each(|command| {
        follow(&mut values, command);
        if command.header {
            return;
        }
        let declares = command.call().is_some_and(|(name, _)| {
            matches!(
                name.as_str(),
                "export" | "local" | "readonly" | "declare" | "typeset"
            )
        });
        for word in command.words.iter().skip(1) {
            if declares && word.assigned().is_some() {
                continue;
            }
            for variable in word.variables() {
                let counts = matches!(
                    variable.name.as_str(),
                    "?" | "#" | "$" | "!" | "-" | "@" | "*"
                );
                let chosen = variable.operator.trim_start_matches(':').starts_with('+');
                if variable.quoted || counts || chosen || values.has(&variable.name) {
                    continue;
                }
                findings.add(
                    RULE.finding(
                        format!("`${}` is split at blanks", variable.name),
                        scene.place(&variable.extent),
                    )
                    .with_help("put it in double quotes"),
                );
            }
        }
    });
}

/// Takes note of the variables that a command sets.
pub(super) fn follow(values: &mut Values, command: &Command) {
    let declares = command.call().is_some_and(|(name, _)| {
        matches!(
            name.as_str(),
            "export" | "local" | "readonly" | "declare" | "typeset"
        )
    });
    let arguments = command.words.iter().filter(|_| declares);
    for word in command.assignments.iter().chain(arguments) {
        if let Some(name) = word.assigned() {
            let known = gives_word(values, word);
            values.note(name, known);
        }
    }
    let words: Vec<_> = command.words.iter().map(Word::literal).collect();
    if let [Some(keyword), Some(name), Some(_), items @ ..] = words.as_slice()
        && keyword == "for"
    {
        let known = items
            .iter()
            .all(|item| item.as_deref().is_some_and(is_word));
        values.note(name, known);
    }
}

/// Whether the value of an assignment is one word.
fn gives_word(values: &Values, assignment: &Word) -> bool {
    let mut whole = String::new();
    for part in &assignment.parts {
        match part {
            Part::Literal { text, .. } => whole.push_str(text),
            Part::Variable(variable)
                if values.has(&variable.name) && variable.operator.is_empty() =>
            {
                whole.push('x');
            }
            _ => return false,
        }
    }
    whole
        .split_once('=')
        .is_some_and(|(_, value)| is_word(value))
}
