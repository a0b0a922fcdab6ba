//! The rules' own texts: each rule finds its bad example and not its good one. The documentation is made of them, and
//! of the tables of the language.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod images;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use rbuild_frontend as frontend;
use rbuild_frontend::ignore::Ignore;
use rbuild_frontend::language;
use rbuild_frontend::lint::{self, Group, Rule};
use rbuild_frontend::{Check, Included, Lowering};

/// The names of the rules that find something in a Dockerfile.
fn found(text: &str) -> Vec<&'static str> {
    let parsed = frontend::parse_including("Dockerfile", text.as_bytes(), &mut |name| {
        Ok(Included {
            name: name.to_owned(),
            bytes: b"RUN true\n".to_vec(),
        })
    });
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
    for group in [
        Group::Standard,
        Group::Experimental,
        Group::Shell,
        Group::Extension,
    ] {
        let names: Vec<_> = in_group(group).map(|rule| rule.name).collect();
        assert!(names.is_sorted_by(|left, right| left < right), "{names:?}");
    }
}

#[test]
fn every_instruction_and_flag_is_described() {
    let keywords = language::INSTRUCTIONS.iter().map(|known| known.keyword);
    assert!(keywords.is_sorted());
    for instruction in language::INSTRUCTIONS {
        for flag in language::flags(instruction.keyword) {
            let summary = language::flag_summary(instruction.keyword, flag.name);
            assert!(
                !summary.is_empty(),
                "{} --{}",
                instruction.keyword,
                flag.name
            );
        }
        let text = format!("FROM busybox\n{} --nonsense\n", instruction.keyword);
        let parsed = frontend::parse("Dockerfile", text.as_bytes());
        let known = parsed.dockerfile.is_err_and(|errors| {
            errors
                .iter()
                .all(|error| !error.message.contains("unknown instruction"))
        });
        assert!(known, "{text}");
    }
}

#[test]
fn the_documentation_is_up_to_date() {
    is_up_to_date("checks.md", &checks());
    is_up_to_date("language.md", &reference());
}

fn is_up_to_date(name: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    if std::env::var_os("UPDATE_CASES").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(
        found == wanted,
        "run this test with UPDATE_CASES=1 to write docs/{name} anew"
    );
}

fn in_group(group: Group) -> impl Iterator<Item = &'static Rule> {
    lint::rules().filter(move |rule| rule.group == group)
}

const BEGINNING: &str = include_str!("../testdata/checks.md");

/// The reference of the language.
fn reference() -> String {
    let mut text = include_str!("../testdata/language.md").to_owned();
    text.push_str("\n## Instructions\n");
    for instruction in language::INSTRUCTIONS {
        let _ = write!(text, "\n### {}\n\n```dockerfile\n", instruction.keyword);
        for form in instruction.forms {
            let _ = writeln!(text, "{form}");
        }
        let _ = write!(text, "```\n\n{}\n", instruction.summary);
        let flags = language::flags(instruction.keyword);
        if flags.is_empty() {
            continue;
        }
        text.push_str("\n| flag | meaning |\n| --- | --- |\n");
        for flag in flags {
            let value = if flag.switch { "" } else { "=..." };
            let again = if flag.repeats {
                " May be given more than once."
            } else {
                ""
            };
            let summary = language::flag_summary(instruction.keyword, flag.name);
            let _ = writeln!(text, "| `--{}{value}` | {summary}{again} |", flag.name);
        }
    }
    text.push_str(include_str!("../testdata/mounts.md"));
    text.push_str("\n| type | keys of its own |\n| --- | --- |\n");
    for (kind, keys) in language::mount_keys() {
        let keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
        let _ = writeln!(text, "| `{kind}` | {} |", keys.join(", "));
    }
    text
}

fn checks() -> String {
    let mut text = BEGINNING.to_owned();
    for (group, heading) in [
        (Group::Standard, "Rules of BuildKit"),
        (Group::Experimental, "Experimental rules of BuildKit"),
        (Group::Shell, "Rules for commands"),
        (Group::Extension, "Rules for extensions"),
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
