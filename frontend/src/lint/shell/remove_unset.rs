//! `ShellRemoveUnset`: `rm -r` of a path that begins with a variable.

use super::super::rule::{Group, Rule};
use super::scene::{Scene, has_flag};
use crate::diagnostic::Findings;
use crate::shell::{Part, Word};

pub(in crate::lint) static RULE: Rule = Rule {
    name: "ShellRemoveUnset",
    group: Group::Shell,
    summary: "rm -r should not be given the root directory when a variable is empty",
    why: "If the variable is not set, `rm -rf \"$DIR/\"*` is `rm -rf /*`. `${DIR:?}` ends the command instead. \
          Variables that the Dockerfile gives a value are known to be set.",
    bad: "FROM debian:12\n\
          RUN . ./settings && rm -rf \"$DIR\"/*\n\
          ",
    good: "FROM debian:12\n\
          RUN . ./settings && rm -rf \"${DIR:?}\"/*\n\
          ",
};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings) {
    let mut values = scene.values.clone();
    scene.each(|command| {
        super::unquoted::follow(&mut values, command);
        let Some((name, arguments)) = command.call() else {
            return;
        };
        if name != "rm"
            || !has_flag(arguments, &["recursive"], 'r', "") && !has_flag(arguments, &[], 'R', "")
        {
            return;
        }
        for word in arguments {
            let Some(variable) = risky(word) else {
                continue;
            };
            if !values.has(variable) {
                findings.add(
                    RULE.finding(
                        format!("this removes everything when `${variable}` is empty"),
                        scene.place(&word.extent),
                    )
                    .with_help(format!("write `${{{variable}:?}}`")),
                );
            }
        }
    });
}

/// The variable without which a path is the root directory, or all in it.
fn risky(word: &Word) -> Option<&str> {
    let mut parts = word.parts.iter().peekable();
    let rooted = parts
        .next_if(|part| matches!(part, Part::Literal { text, .. } if text == "/"))
        .is_some();
    let Some(Part::Variable(variable)) = parts.next() else {
        return None;
    };
    let rest: String = parts
        .map(|part| match part {
            Part::Literal { text, .. } => text.as_str(),
            _ => "x",
        })
        .collect();
    let is_root = match rest.as_str() {
        "" => rooted,
        rest => matches!(rest, "/" | "/*" | "/."),
    };
    (is_root && variable.operator.is_empty()).then_some(variable.name.as_str())
}
