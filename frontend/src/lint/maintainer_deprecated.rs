//! `MaintainerDeprecated`: `MAINTAINER`.
//!
//! It sets a field that hardly anything shows; a label does more.

use crate::diagnostic::{Diagnostic, Findings};
use crate::syntax::ast::{Kind, Stage};

const NAME: &str = "MaintainerDeprecated";

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    for instruction in stages.iter().flat_map(|stage| &stage.instructions) {
        if matches!(instruction.kind, Kind::Maintainer(_))
            && !super::skipped_by_comments(&instruction.comments, Some(NAME))
        {
            let message = "Maintainer instruction is deprecated in favor of using label";
            findings.add(
                Diagnostic::warning(message, instruction.span)
                    .with_rule(NAME)
                    .with_help("write `LABEL org.opencontainers.image.authors=...`"),
            );
        }
    }
}
