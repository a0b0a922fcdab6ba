//! `CurlIgnoresErrors`: `curl` that takes the server's error page for the file.

use super::super::rule::{Group, Rule};
use super::scene::{Scene, has_flag};
use crate::diagnostic::Findings;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "CurlIgnoresErrors",
    group: Group::Shell,
    summary: "curl should fail when the server answers with an error",
    why: "Without `-f`, `curl` succeeds when the server answers with an error, and writes the error page to \
          the file or pipe.",
    bad: "FROM debian:12\n\
          RUN curl -sSL -o app.tar https://example.com/app.tar\n\
          ",
    good: "FROM debian:12\n\
          RUN curl -fsSL -o app.tar https://example.com/app.tar\n\
          ",
};

/// The short flags of `curl` that take a value.
const WITH_VALUE: &str = "AbcCdDeEFhHKmoPQrtTuUwxXyYz";

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings) {
    scene.each(|command| {
        let Some((name, arguments)) = command.call() else {
            return;
        };
        let long = [
            "fail",
            "fail-with-body",
            "fail-early",
            "config",
            "version",
            "help",
        ];
        let told = has_flag(arguments, &long, 'f', WITH_VALUE)
            || has_flag(arguments, &[], 'K', "")
            || has_flag(arguments, &[], 'V', WITH_VALUE);
        let unknown = arguments.iter().any(|word| {
            let mut variables = word.variables().filter(|variable| !variable.quoted);
            word.beginning().is_empty() && variables.next().is_some()
        });
        if name == "curl" && !arguments.is_empty() && !told && !unknown {
            findings.add(
                RULE.finding(
                    "`curl` does not fail when the server answers with an error",
                    scene.place(&command.extent),
                )
                .with_help("write `curl -f`"),
            );
        }
    });
}
