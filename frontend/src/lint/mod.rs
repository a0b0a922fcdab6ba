//! Rules for Dockerfiles, one a file: each says what it finds, why that matters, and has an example.
//!
//! Names and texts of the standard rules are those of BuildKit's checks, so that what is written about them helps here
//! too. Findings are selected where they are collected ([`selection`]), so a rule only finds.

pub(crate) mod base_image_platform;
mod copy_ignored;
pub(crate) mod default_arg_in_from;
mod definition_description;
mod duplicate_stage_name;
pub(crate) mod empty_continuation;
pub(crate) mod expose_format;
pub(crate) mod expose_proto_casing;
pub(crate) mod extension;
mod from_as_casing;
mod instruction_casing;
pub(crate) mod json_args;
mod legacy_key_value;
mod maintainer_deprecated;
mod multiple_instructions;
mod platform_const;
mod redundant_target_platform;
mod reserved_stage_name;
mod rule;
pub(crate) mod secrets;
mod selection;
mod settings;
pub(crate) mod shell;
mod stage_name_casing;
pub(crate) mod undefined_arg_in_from;
pub(crate) mod undefined_var;
pub(crate) mod workdir_relative;

pub use rule::{Group, Rule};
pub(crate) use selection::Selection;

use crate::diagnostic::{Diagnostic, Findings};
use crate::ignore::Ignore;
use crate::lower::Options;
use crate::plan::Plan;
use crate::syntax::ast::Dockerfile;

/// BuildKit's rules, in the order of their names, experimental ones last.
static BUILDKIT: [&Rule; 22] = [
    &instruction_casing::RULE,
    &copy_ignored::RULE,
    &duplicate_stage_name::RULE,
    &expose_format::RULE,
    &expose_proto_casing::RULE,
    &from_as_casing::RULE,
    &platform_const::RULE,
    &base_image_platform::RULE,
    &default_arg_in_from::RULE,
    &json_args::RULE,
    &legacy_key_value::RULE,
    &maintainer_deprecated::RULE,
    &multiple_instructions::RULE,
    &empty_continuation::RULE,
    &redundant_target_platform::RULE,
    &reserved_stage_name::RULE,
    &secrets::RULE,
    &stage_name_casing::RULE,
    &undefined_arg_in_from::RULE,
    &undefined_var::RULE,
    &workdir_relative::RULE,
    &definition_description::RULE,
];

/// All rules, those of one group together.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let own = shell::RULES.iter().chain(&extension::RULES);
    BUILDKIT.iter().chain(own).copied()
}

/// Runs the rules that look at the file as it is written.
pub(crate) fn check_file(dockerfile: &Dockerfile, findings: &mut Findings) {
    let stages = &dockerfile.stages;
    stage_name_casing::check(stages, findings);
    from_as_casing::check(stages, findings);
    duplicate_stage_name::check(stages, findings);
    reserved_stage_name::check(stages, findings);
    platform_const::check(stages, findings);
    redundant_target_platform::check(stages, findings);
    instruction_casing::check(stages, findings);
    legacy_key_value::check(stages, findings);
    maintainer_deprecated::check(stages, findings);
    multiple_instructions::check(stages, findings);
    definition_description::check(dockerfile, findings);
    extension::check(dockerfile, findings);
}

/// What is found of a plan once the context's ignore file is known. Errors stop the build.
///
/// # Errors
/// The `check` settings of the file are wrong, which lowering has said already.
pub fn check_ignored(
    dockerfile: &Dockerfile,
    options: &Options,
    plan: &Plan,
    ignore: &Ignore,
) -> Result<Vec<Diagnostic>, Diagnostic> {
    let found = copy_ignored::findings(dockerfile, plan, ignore);
    if found.is_empty() {
        return Ok(found);
    }
    let mut findings = Findings::new(Selection::new(dockerfile, options, false)?);
    for finding in found {
        findings.add(finding);
    }
    findings.apply_levels();
    findings.errors.extend(findings.warnings);
    Ok(findings.errors)
}
