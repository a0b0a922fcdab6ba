//! `FromPlatformFlagConstDisallowed`: `FROM --platform` with a platform written out.

use super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::plan::Platform;
use crate::syntax::ast::Stage;

pub(crate) static RULE: Rule = Rule {
    name: "FromPlatformFlagConstDisallowed",
    group: Group::Standard,
    summary: "FROM --platform flag should not use a constant value",
    why: "With a platform written out, a build for another platform still gets this one. `$BUILDPLATFORM` is \
          the platform of the machine that builds; the platform of the result is chosen with `--platform` of \
          the build. A stage whose name has the platform in it is meant so.",
    bad: "FROM --platform=linux/amd64 debian:12\n\
          RUN make\n\
          ",
    good: "FROM --platform=linux/amd64 debian:12 AS build-amd64\n\
          RUN make\n\
          ",
};

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    for stage in stages {
        let Some(word) = stage
            .platform
            .as_ref()
            .filter(|word| !word.text.contains('$'))
        else {
            continue;
        };
        let name = stage.name.as_deref().unwrap_or_default();
        let Some(platform) = Platform::parse(&word.text, &Platform::default()) else {
            continue;
        };
        if [&platform.os, &platform.architecture]
            .iter()
            .any(|part| !part.is_empty() && name.contains(part.as_str()))
        {
            continue;
        }
        let message = format!(
            "FROM --platform flag should not use constant value \"{}\"",
            word.text
        );
        findings.add(RULE.finding(message, word.span));
    }
}
