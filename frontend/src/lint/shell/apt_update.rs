//! `AptUpdateAlone`: `apt-get update` in a `RUN` of its own.

use super::super::rule::{Group, Rule};
use super::scene::Scene;
use crate::diagnostic::Findings;

pub(in crate::lint) static RULE: Rule = Rule {
    name: "AptUpdateAlone",
    group: Group::Shell,
    summary: "apt-get update should be in the RUN that installs",
    why: "The step is cached: when only the packages of a later `RUN` change, the lists are those of the day \
          when this step ran, and name versions that the servers no longer have.",
    bad: "FROM debian:12\n\
          RUN apt-get update\n\
          RUN apt-get install -y make\n\
          ",
    good: "FROM debian:12\n\
          RUN apt-get update && apt-get install -y make\n\
          ",
};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings) {
    let (mut updates, mut others) = (None, false);
    scene.each(|command| match command.call() {
        Some((name, arguments)) if matches!(name.as_str(), "apt-get" | "apt" | "aptitude") => {
            let mut operations = arguments.iter().filter_map(|word| {
                let literal = word.literal();
                literal.filter(|literal| !literal.starts_with('-'))
            });
            match operations.next().as_deref() {
                Some("update") => {
                    updates.get_or_insert_with(|| command.extent.clone());
                }
                Some("clean" | "autoclean") | None => {}
                Some(_) => others = true,
            }
        }
        // A script or function may install.
        None => others |= !command.words.is_empty() && !command.header,
        Some(_) => {}
    });
    if let Some(extent) = updates.filter(|_| !others) {
        findings.add(
            RULE.finding(
                "the lists of packages are kept in the cache, apart from what is installed by them",
                scene.place(&extent),
            )
            .with_help("write `apt-get update && apt-get install -y ...` in one `RUN`"),
        );
    }
}
