//! Findings as SARIF 2.1.0 (OASIS), which code scanners read.

use engine::build::examine::{Checked, Diagnostic, Rule, SourceText, Span, rules};
use serde_json::{Value, json};

use super::detail;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What was found.
pub(super) fn check(checked: &Checked) -> String {
    let errors = checked.errors.iter().map(|finding| (finding, "error"));
    let warnings = checked.warnings.iter().map(|finding| (finding, "warning"));
    let results = errors.chain(warnings);
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "rbuild",
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": rules().map(rule).collect::<Vec<_>>(),
                },
            },
            "columnKind": "unicodeCodePoints",
            "results": results
                .map(|(finding, level)| result(finding, level, &checked.source))
                .collect::<Vec<_>>(),
        }],
    });
    format!("{log:#}\n")
}

fn rule(rule: &Rule) -> Value {
    let mut value = json!({
        "id": rule.name,
        "shortDescription": { "text": rule.summary },
        "fullDescription": { "text": rule.why },
        "help": {
            "text": format!("{}\n\nFound:\n\n{}\nBetter:\n\n{}", rule.why, rule.bad, rule.good),
        },
        "defaultConfiguration": { "level": "warning" },
    });
    if let Some(url) = rule.url() {
        value["helpUri"] = url.into();
    }
    value
}

fn result(finding: &Diagnostic, level: &str, source: &SourceText) -> Value {
    let text = match &finding.help {
        Some(help) if level == "error" => format!("{}: {help}", finding.message),
        _ => detail(finding),
    };
    let mut value = json!({
        "level": level,
        "message": { "text": text },
        "locations": [{ "physicalLocation": physical(source, finding.span) }],
    });
    if let Some(rule) = finding.rule {
        value["ruleId"] = rule.name.into();
        value["ruleIndex"] = rules().position(|known| known == rule).into();
    }
    let related: Vec<_> = finding
        .notes
        .iter()
        .enumerate()
        .map(|(number, note)| {
            json!({
                "id": number,
                "message": { "text": note.message },
                "physicalLocation": physical(source, note.span),
            })
        })
        .collect();
    if !related.is_empty() {
        value["relatedLocations"] = related.into();
    }
    value
}

fn physical(source: &SourceText, span: Option<Span>) -> Value {
    let (source, span) = match span.map(|span| source.origin(span)) {
        Some((file, span)) => (file, Some(span)),
        None => (source, None),
    };
    let mut value = json!({ "artifactLocation": { "uri": uri(source.name()) } });
    if let Some(span) = span {
        let (start, end) = (source.position(span.start), source.position(span.end));
        value["region"] = json!({
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        });
    }
    value
}

/// A path as a relative reference (RFC 3986).
fn uri(path: &str) -> String {
    use std::fmt::Write as _;
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}
