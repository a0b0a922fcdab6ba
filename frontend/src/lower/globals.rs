//! `ARG`s in front of the first `FROM`, and the arguments that every build has.

use std::collections::{BTreeMap, BTreeSet};

use super::epoch::{self, Epoch};
use super::options::Options;
use crate::diagnostic::{Diagnostic, Findings, shortened};
use crate::expand::{Environment, Lexer};
use crate::plan::Platform;
use crate::syntax::ast::{Dockerfile, Kind};

/// The variables that `FROM` can use and that a bare `ARG` of a stage takes over.
#[derive(Debug)]
pub(super) struct Globals {
    pub(super) values: Environment,
    /// Names that an `ARG` declares, with a value or without.
    declared: BTreeSet<String>,
    /// `SOURCE_DATE_EPOCH`.
    pub(super) epoch: Epoch,
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
                if name == epoch::NAME {
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
        let epoch = epoch::value(given, &values);
        let epoch = epoch.map(|text| epoch::read(&text, epoch_span, dockerfile, options, &values));
        let epoch = epoch.transpose().unwrap_or_else(|error| {
            findings.add(error);
            None
        });
        Self {
            values,
            declared,
            epoch: epoch.unwrap_or_default(),
        }
    }

    /// Whether a `FROM` can use the name.
    pub(super) fn is_declared(&self, name: &str) -> bool {
        self.declared.contains(name)
    }
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
