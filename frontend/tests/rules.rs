//! The rules' own texts: each rule finds its bad example and not its good one, and the documentation is made of them.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod images;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use rbuild_frontend as frontend;
use rbuild_frontend::ignore::Ignore;
use rbuild_frontend::lint::{self, Group, Rule};
use rbuild_frontend::{Check, Lowering};

/// The names of the rules that find something in a Dockerfile.
fn found(text: &str) -> Vec<&'static str> {
    let parsed = frontend::parse("Dockerfile", text.as_bytes());
    let dockerfile = parsed.dockerfile.unwrap();
    let options = images::options();
    let mut images = BTreeMap::new();
    let mut names = Vec::new();
    loop {
        match frontend::check(&dockerfile, &parsed.text, &options, &images) {
            Check::Needs(needs) => {
                for need in needs {
                    let image = images::image(&need.image).unwrap();
                    images.insert(need.image, image);
                }
            }
            Check::Done(checked) => {
                let rules = checked.warnings.iter().filter_map(|finding| finding.rule);
                names.extend(rules.map(|rule| rule.name));
                break;
            }
        }
    }
    if let Ok(Lowering::Done(plan)) = frontend::lower(&dockerfile, &options, &images) {
        let ignore = Ignore::parse(b"ignored.txt\n").unwrap();
        let ignored = lint::check_ignored(&dockerfile, &options, &plan, &ignore).unwrap();
        names.extend(
            ignored
                .iter()
                .filter_map(|finding| finding.rule)
                .map(|rule| rule.name),
        );
    }
    names
}

#[test]
fn every_rule_finds_its_example_only() {
    for rule in lint::rules() {
        let (bad, good) = (found(rule.bad), found(rule.good));
        assert_eq!(bad, [rule.name], "the bad example:\n{}", rule.bad);
        assert!(good.is_empty(), "{}: the good example: {good:?}", rule.name);
    }
}

#[test]
fn names_are_unique_and_in_order() {
    for group in [Group::Standard, Group::Experimental, Group::Shell] {
        let names: Vec<_> = in_group(group).map(|rule| rule.name).collect();
        assert!(names.is_sorted_by(|left, right| left < right), "{names:?}");
    }
}

#[test]
fn the_documentation_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/checks.md");
    let wanted = documentation();
    if std::env::var_os("UPDATE_CASES").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(
        found == wanted,
        "run this test with UPDATE_CASES=1 to write docs/checks.md anew"
    );
}

fn in_group(group: Group) -> impl Iterator<Item = &'static Rule> {
    lint::rules().filter(move |rule| rule.group == group)
}

const BEGINNING: &str = include_str!("../testdata/checks.md");

fn documentation() -> String {
    let mut text = BEGINNING.to_owned();
    for (group, heading) in [
        (Group::Standard, "Rules of BuildKit"),
        (Group::Experimental, "Experimental rules of BuildKit"),
        (Group::Shell, "Rules for commands"),
    ] {
        let _ = write!(text, "\n## {heading}\n");
        for rule in in_group(group) {
            let Rule {
                name,
                summary,
                why,
                bad,
                good,
                ..
            } = rule;
            let _ = write!(text, "\n### {name}\n\n{summary}.\n\n{}\n", wrapped(why));
            let _ = write!(
                text,
                "\nFound:\n\n```dockerfile\n{bad}```\n\nBetter:\n\n```dockerfile\n{good}```\n"
            );
        }
    }
    text
}

/// Lines of at most 120 columns.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().unwrap();
        if line.len() + word.len() >= 120 {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}
