//! `DuplicateStageName`: two stages of one name.
//!
//! The last one counts, which is rarely what both were written for.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Findings};
use crate::syntax::ast::Stage;

const NAME: &str = "DuplicateStageName";

pub(super) fn check(stages: &[Stage], findings: &mut Findings) {
    let mut seen = BTreeMap::new();
    for stage in stages {
        let (Some(name), Some((_, written))) = (&stage.name, &stage.named) else {
            continue;
        };
        let first = *seen.entry(name.as_str()).or_insert(written.span);
        if first != written.span && !super::skipped_by_comments(&stage.comments, Some(NAME)) {
            let message = format!("Duplicate stage name \"{name}\", stage names should be unique");
            findings.add(
                Diagnostic::warning(message, written.span)
                    .with_rule(NAME)
                    .with_note("the name is used here first", first),
            );
        }
    }
}
