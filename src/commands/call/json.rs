//! Answers for programs, in the form of `docker build --call=...,format=json`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::build::examine::{
    Checked, Diagnostic, Outline, OutlineSecret, Rule, SourceText, Span, Target,
};
use serde::Serialize;

use super::detail;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Check<'a> {
    warnings: Vec<Warning<'a>>,
    sources: Vec<Source<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_error: Option<BuildError<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Warning<'a> {
    rule_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
}

#[derive(Serialize)]
struct BuildError<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
}

#[derive(Serialize)]
struct Source<'a> {
    filename: &'a str,
    language: &'a str,
    data: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "is_zero")]
    source_index: usize,
    ranges: [Range; 1],
}

#[derive(Serialize)]
struct Range {
    start: Place,
    end: Place,
}

/// Lines from 1, characters from 0, as in BuildKit's protocol.
#[derive(Serialize)]
struct Place {
    line: usize,
    #[serde(skip_serializing_if = "is_zero")]
    character: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn location(source: &SourceText, span: Span) -> Location {
    let place = |offset| {
        let position = source.position(offset);
        Place {
            line: position.line,
            character: position.column - 1,
        }
    };
    Location {
        source_index: source.file_number(span.start),
        ranges: [Range {
            start: place(span.start),
            end: place(span.end),
        }],
    }
}

/// What was found.
pub(super) fn check(checked: &Checked) -> String {
    let source = &checked.source;
    let at = |finding: &Diagnostic| finding.span.map(|span| location(source, span));
    let warnings = checked.warnings.iter().map(|finding| Warning {
        rule_name: finding.rule.map_or("", |rule| rule.name),
        description: finding.rule.map_or("", |rule| rule.summary),
        url: finding.rule.and_then(Rule::url),
        detail: detail(finding),
        location: at(finding),
    });
    let sources = source.files().iter().map(|file| Source {
        filename: file.name(),
        language: "Dockerfile",
        data: STANDARD.encode(file.text()),
    });
    pretty(&Check {
        warnings: warnings.collect(),
        sources: sources.collect(),
        build_error: checked.errors.first().map(|error| BuildError {
            message: &error.message,
            location: at(error),
        }),
    })
}

#[derive(Serialize)]
struct OutlineJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<ArgJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<SecretJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh: Vec<SecretJson<'a>>,
    sources: Vec<String>,
}

#[derive(Serialize)]
struct ArgJson<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    value: &'a str,
    location: Location,
}

#[derive(Serialize)]
struct SecretJson<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    required: bool,
    location: Location,
}

/// What can be given to a build.
pub(super) fn outline(outline: &Outline, source: &SourceText) -> String {
    let args = outline.args.iter().map(|arg| ArgJson {
        name: &arg.name,
        description: &arg.description,
        value: &arg.value,
        location: location(source, arg.span),
    });
    pretty(&OutlineJson {
        name: &outline.name,
        description: &outline.description,
        args: args.collect(),
        secrets: mounted(&outline.secrets, source),
        ssh: mounted(&outline.ssh, source),
        sources: encoded(source),
    })
}

/// The texts of all files.
fn encoded(source: &SourceText) -> Vec<String> {
    let files = source.files().iter();
    files.map(|file| STANDARD.encode(file.text())).collect()
}

fn mounted<'a>(list: &'a [OutlineSecret], source: &SourceText) -> Vec<SecretJson<'a>> {
    let mounted = list.iter().map(|secret| SecretJson {
        name: &secret.id,
        required: secret.required,
        location: location(source, secret.span),
    });
    mounted.collect()
}

#[derive(Serialize)]
struct TargetsJson<'a> {
    targets: Vec<TargetJson<'a>>,
    sources: Vec<String>,
}

#[derive(Serialize)]
struct TargetJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    default: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    base: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    platform: &'a str,
    location: Location,
}

/// What can be built.
pub(super) fn targets(targets: &[Target], source: &SourceText) -> String {
    let targets = targets.iter().map(|target| TargetJson {
        name: &target.name,
        default: target.default,
        description: &target.description,
        base: &target.base,
        platform: &target.platform,
        location: location(source, target.span),
    });
    pretty(&TargetsJson {
        targets: targets.collect(),
        sources: encoded(source),
    })
}

pub(super) fn pretty(value: &impl Serialize) -> String {
    // Nothing in these types can fail to be written.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
