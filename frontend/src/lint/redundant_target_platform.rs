//! `RedundantTargetPlatform`: `FROM --platform=$TARGETPLATFORM`.

use super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::syntax::ast::Stage;

pub(crate) static RULE: Rule = Rule {
    name: "RedundantTargetPlatform",
    group: Group::Standard,
    summary: "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default \
          behavior",
    why: "A stage has the platform of the result without being told to; the flag is for those that have \
          another one, such as `$BUILDPLATFORM`.",
    bad: "FROM --platform=$TARGETPLATFORM debian:12\n\
          RUN make\n\
          ",
    good: "FROM debian:12\n\
          RUN make\n\
          ",
};

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    for platform in stages.iter().filter_map(|stage| stage.platform.as_ref()) {
        if matches!(
            platform.text.as_str(),
            "$TARGETPLATFORM" | "${TARGETPLATFORM}"
        ) {
            let message = format!(
                "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
                platform.text
            );
            findings.add(
                RULE.finding(message, platform.span)
                    .with_help("leave the flag out"),
            );
        }
    }
}
