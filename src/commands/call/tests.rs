//! What is printed, of answers that are made up.

use std::sync::Arc;

use engine::build::examine::{
    Checked, Described, Diagnostic, Note, Outline, OutlineArg, OutlineSecret, SourceText, Span,
    Target, rules,
};
use serde_json::{Value, json};

use crate::commands::fake::{Fake, run_command};

const TEXT: &str =
    "# app what is shipped\nFROM busybox AS app\nARG V=1\nRUN make \\\n  $x\nCMD ü go\n";

fn source() -> Arc<SourceText> {
    Arc::new(SourceText::new("a dir/Dockerfile", TEXT))
}

fn span(part: &str) -> Span {
    let start = TEXT.find(part).expect("a part of the text") as u32;
    Span::new(start, start + part.len() as u32)
}

fn finding(rule: &str, message: &str, place: &str) -> Diagnostic {
    let mut finding = Diagnostic::warning(message, span(place));
    finding.rule = rules().find(|known| known.name == rule);
    finding
}

/// Two findings, and an error if wanted.
pub(crate) fn checked(failed: bool) -> Checked {
    let split = finding("ShellUnquotedVariable", "`$x` is split", "make \\\n  $x");
    let mut json = finding("JSONArgsRecommended", "JSON is better", "go");
    json.notes.push(Note {
        message: "the stage".to_owned(),
        span: Some(span("app\n")),
    });
    let error = Diagnostic::error("no such stage", span("busybox")).with_help("look again");
    Checked {
        errors: if failed { vec![error] } else { Vec::new() },
        warnings: vec![split.with_help("put it in quotes"), json],
        source: source(),
    }
}

pub(crate) fn outline() -> Described<Outline> {
    Described {
        value: Outline {
            name: "app".to_owned(),
            description: "what is shipped".to_owned(),
            args: vec![OutlineArg {
                name: "V".to_owned(),
                description: String::new(),
                value: "1".to_owned(),
                span: span("ARG V=1"),
            }],
            secrets: vec![OutlineSecret {
                id: "token".to_owned(),
                required: true,
                span: span("RUN make"),
            }],
            ssh: vec![OutlineSecret {
                id: "default".to_owned(),
                required: false,
                span: span("RUN make"),
            }],
        },
        source: source(),
    }
}

pub(crate) fn targets() -> Described<Vec<Target>> {
    Described {
        value: vec![Target {
            name: "app".to_owned(),
            default: true,
            description: "what is shipped".to_owned(),
            base: "busybox".to_owned(),
            platform: String::new(),
            span: span("FROM busybox AS app"),
        }],
        source: source(),
    }
}

fn printed(words: &[&str]) -> (String, u8) {
    let done = run_command(&Fake::default(), words);
    (done.out, done.code)
}

fn as_json(words: &[&str]) -> Value {
    serde_json::from_str(&printed(words).0).expect("JSON")
}

#[test]
fn checks_are_printed_as_docker_does() {
    let (text, code) = printed(&["build", "--check", "."]);
    assert_eq!(code, 1);
    assert_eq!(
        text,
        "\
Check complete, 2 warnings have been found!

WARNING: ShellUnquotedVariable
`$x` is split: put it in quotes
a dir/Dockerfile:4
--------------------
   3 |     ARG V=1
   4 | >>> RUN make \\
   5 | >>>   $x
   6 |     CMD ü go
--------------------

WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/
JSON is better
a dir/Dockerfile:6
--------------------
   4 |     RUN make \\
   5 |       $x
   6 | >>> CMD ü go
--------------------
"
    );
    assert_eq!(
        printed(&["build", "--call=check,ignorestatus=true", "."]).1,
        0
    );
}

#[test]
fn errors_follow_what_was_found() {
    let done = run_command(
        &Fake::default(),
        &["build", "--check", "--target=missing", "."],
    );
    assert_eq!(done.code, 1);
    assert!(
        done.out.starts_with("Check complete, 2 warnings"),
        "{}",
        done.out
    );
    assert!(
        done.err
            .ends_with("the place\nrbuild: error: the Dockerfile has errors\n"),
        "{}",
        done.err
    );
}

#[test]
fn checks_are_json_as_dockers() {
    let mut found = as_json(&["build", "--call=check,format=json", "--target=missing", "."]);
    let data = found["sources"][0]["data"].take();
    assert!(
        data.as_str()
            .is_some_and(|data| data.starts_with("IyBhcHA"))
    );
    let rule = |name: &str| rules().find(|rule| rule.name == name).expect("a rule");
    let expected = json!({
        "warnings": [
            {
                "ruleName": "ShellUnquotedVariable",
                "description": rule("ShellUnquotedVariable").summary,
                "detail": "`$x` is split: put it in quotes",
                "location": { "ranges": [
                    { "start": { "line": 4, "character": 4 }, "end": { "line": 5, "character": 4 } },
                ] },
            },
            {
                "ruleName": "JSONArgsRecommended",
                "description": rule("JSONArgsRecommended").summary,
                "url": "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/",
                "detail": "JSON is better",
                "location": { "ranges": [
                    { "start": { "line": 6, "character": 6 }, "end": { "line": 6, "character": 8 } },
                ] },
            },
        ],
        "sources": [{ "filename": "a dir/Dockerfile", "language": "Dockerfile", "data": null }],
        "buildError": {
            "message": "no such stage",
            "location": { "ranges": [
                { "start": { "line": 2, "character": 5 }, "end": { "line": 2, "character": 12 } },
            ] },
        },
    });
    assert_eq!(found, expected);
}

#[test]
fn scanners_get_sarif() {
    let log = as_json(&[
        "build",
        "--call=check,format=sarif",
        "--target=missing",
        ".",
    ]);
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let known = run["tool"]["driver"]["rules"].as_array().expect("rules");
    assert_eq!(known.len(), rules().count());
    let results = run["results"].as_array().expect("results");
    let levels: Vec<_> = results.iter().map(|result| &result["level"]).collect();
    assert_eq!(levels, ["error", "warning", "warning"]);
    assert_eq!(results[0]["message"]["text"], "no such stage: look again");
    for result in &results[1..] {
        let index = result["ruleIndex"].as_u64().expect("an index") as usize;
        assert_eq!(known[index]["id"], result["ruleId"]);
    }
    let last = &results[2];
    assert_eq!(
        last["locations"][0]["physicalLocation"],
        json!({
            "artifactLocation": { "uri": "a%20dir/Dockerfile" },
            "region": { "startLine": 6, "startColumn": 7, "endLine": 6, "endColumn": 9 },
        })
    );
    assert_eq!(last["relatedLocations"][0]["message"]["text"], "the stage");
}

#[test]
fn outlines_are_printed_as_docker_does() {
    let (text, code) = printed(&["build", "--call=outline", "."]);
    assert_eq!(code, 0);
    assert_eq!(
        text,
        "\
TARGET:      app
DESCRIPTION: what is shipped

BUILD ARG   VALUE   DESCRIPTION
V           1

SECRET   REQUIRED
token    true

SSH       REQUIRED
default

"
    );
    let found = as_json(&["build", "--call=outline,format=json", "."]);
    assert_eq!(found["args"][0]["value"], "1");
    assert_eq!(
        found["secrets"],
        json!([{
            "name": "token",
            "required": true,
            "location": { "ranges": [{ "start": { "line": 4 }, "end": { "line": 4, "character": 8 } }] },
        }])
    );
}

#[test]
fn targets_are_printed_as_docker_does() {
    let (text, code) = printed(&["build", "--call=targets", "."]);
    assert_eq!(code, 0);
    assert_eq!(
        text,
        "TARGET          DESCRIPTION\napp (default)   what is shipped\n"
    );
    let mut found = as_json(&["build", "--call=targets,format=json", "."]);
    let location = found["targets"][0]["location"].take();
    assert_eq!(location["ranges"][0]["start"], json!({ "line": 2 }));
    assert_eq!(
        found["targets"],
        json!([{
            "name": "app",
            "default": true,
            "description": "what is shipped",
            "base": "busybox",
            "location": null,
        }])
    );
}
