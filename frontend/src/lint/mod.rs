//! Lint rules, one a file: each says what it finds and why that matters. Names and texts are those of BuildKit's
//! checks, so that what is written about them helps here too.

pub(crate) mod base_image_platform;
mod duplicate_stage_name;
pub(crate) mod empty_continuation;
pub(crate) mod expose;
mod from_as_casing;
mod instruction_casing;
pub(crate) mod json_args;
pub(crate) mod legacy_key_value;
mod maintainer_deprecated;
mod multiple_instructions;
mod reserved_stage_name;
pub(crate) mod secrets;
mod settings;
mod stage_name_casing;
pub(crate) mod undefined_arg_in_from;
pub(crate) mod undefined_var;
pub(crate) mod workdir_relative;

pub(crate) use settings::{apply_check, skipped_by_comments};

use crate::diagnostic::Findings;
use crate::syntax::ast::Dockerfile;

/// Runs the rules that look at the file as it is written.
pub(crate) fn check_file(dockerfile: &Dockerfile, findings: &mut Findings) {
    let stages = &dockerfile.stages;
    stage_name_casing::check(stages, findings);
    from_as_casing::check(stages, findings);
    duplicate_stage_name::check(stages, findings);
    reserved_stage_name::check(stages, findings);
    instruction_casing::check(stages, findings);
    maintainer_deprecated::check(stages, findings);
    multiple_instructions::check(stages, findings);
}
