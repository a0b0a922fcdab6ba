//! `ARG`s in front of the first `FROM`, and the arguments that every build has.

use std::collections::{BTreeMap, BTreeSet};

use super::options::Options;
use crate::diagnostic::{Diagnostic, Findings, shortened};
use crate::expand::{Environment, Lexer, Variables as _};
use crate::plan::Platform;
use crate::span::Span;
use crate::syntax::ast::{Dockerfile, Kind};

/// The variables that `FROM` can use and that a bare `ARG` of a stage takes over.
#[derive(Debug)]
pub(super) struct Globals {
    pub(super) values: Environment,
    /// Names that an `ARG` declares, with a value or without.
    declared: BTreeSet<String>,
    /// `SOURCE_DATE_EPOCH` in seconds.
    pub(super) epoch: Option<i64>,
}

impl Globals {
    /// Expands the global `ARG`s, each seeing those above it. Values given to the build take their place.
    pub(super) fn new(
        dockerfile: &Dockerfile,
        options: &Options,
        given: &BTreeMap<&str, &str>,
        findings: &mut Findings,
    ) -> Self {
        let mut values = predefined(dockerfile, options, given);
        let lexer = Lexer::new(dockerfile.directives.escape);
        let mut declared = BTreeSet::new();
        let mut epoch_span = None;
        for instruction in &dockerfile.global_args {
            let Kind::Arg(arguments) = &instruction.kind else {
                continue;
            };
            for argument in arguments {
                let name = argument.name.text.as_str();
                declared.insert(name.to_owned());
                if name == "SOURCE_DATE_EPOCH" {
                    epoch_span = Some(argument.name.span);
                }
                if let Some(value) = given.get(name) {
                    values.set(name, value);
                } else if let Some(default) = &argument.default {
                    match lexer.expand(&default.text, &values) {
                        Ok(expanded) => values.set(name, &expanded.text),
                        Err(error) => findings.add(Diagnostic::error(
                            format!("failed to process `{}`: {error}", shortened(&default.text)),
                            default.span,
                        )),
                    }
                }
            }
        }
        let epoch = given
            .get("SOURCE_DATE_EPOCH")
            .map(|value| (*value).to_owned())
            .or_else(|| values.value("SOURCE_DATE_EPOCH").map(str::to_owned));
        let epoch = epoch
            .filter(|text| !text.is_empty())
            .and_then(|text| read_epoch(&text, epoch_span, findings));
        Self {
            values,
            declared,
            epoch,
        }
    }

    /// Whether a `FROM` can use the name.
    pub(super) fn is_declared(&self, name: &str) -> bool {
        self.declared.contains(name)
    }
}

fn read_epoch(text: &str, span: Option<Span>, findings: &mut Findings) -> Option<i64> {
    let seconds = text.parse::<i64>().ok().filter(|seconds| *seconds >= 0);
    if seconds.is_none() {
        findings.add(
            Diagnostic::error(format!("invalid `SOURCE_DATE_EPOCH`: `{text}`"), span)
                .with_help("it is a number of seconds since 1970-01-01 00:00 UTC"),
        );
    }
    seconds
}

fn predefined(
    dockerfile: &Dockerfile,
    options: &Options,
    given: &BTreeMap<&str, &str>,
) -> Environment {
    let last_stage = dockerfile
        .stages
        .last()
        .and_then(|stage| stage.name.clone());
    let target = options.target.clone().or(last_stage);
    let mut list = Vec::new();
    for (prefix, platform) in [
        ("BUILD", &options.build_platform),
        ("TARGET", &options.platform),
    ] {
        list.extend(platform_values(prefix, platform));
    }
    list.push((
        "TARGETSTAGE".to_owned(),
        target.unwrap_or_else(|| "default".to_owned()),
    ));
    let mut values = Environment::default();
    for (name, value) in list {
        let value = given.get(name.as_str()).copied().unwrap_or(&value);
        values.set(&name, value);
    }
    values
}

fn platform_values(prefix: &str, platform: &Platform) -> [(String, String); 5] {
    [
        ("PLATFORM", platform.text()),
        ("OS", platform.os.clone()),
        ("OSVERSION", String::new()),
        ("ARCH", platform.architecture.clone()),
        ("VARIANT", platform.variant.clone()),
    ]
    .map(|(name, value)| (format!("{prefix}{name}"), value))
}
