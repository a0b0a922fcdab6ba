//! A check: everything that is found in a Dockerfile, without a plan.

use std::collections::BTreeMap;

use super::stages::{Base, Stages};
use super::{Halt, ImageRequest, Need, Options, Reach, Work};
use crate::diagnostic::{Diagnostic, Findings};
use crate::lint::{Selection, shell, undefined_var};
use crate::plan::BaseImage;
use crate::source::SourceText;
use crate::syntax::ast::Dockerfile;

/// How far a check came.
#[derive(Debug)]
pub enum Check {
    /// These images must be looked up, and the check done again with them and all earlier ones.
    Needs(Vec<Need>),
    /// Everything is known.
    Done(Checked),
}

/// What a check found, in the order of the file.
#[derive(Debug, Default)]
pub struct Checked {
    /// What would stop a build.
    pub errors: Vec<Diagnostic>,
    /// What rules say.
    pub warnings: Vec<Diagnostic>,
}

impl Checked {
    fn new(findings: Findings) -> Self {
        let Findings {
            mut errors,
            mut warnings,
            ..
        } = findings;
        errors.sort_by_key(|finding| finding.span);
        warnings.sort_by_key(|finding| finding.span);
        Self { errors, warnings }
    }
}

/// Checks the stages that the target needs, or all when no target is asked for. An image that cannot be had is in
/// `images` with an empty id.
pub fn check(
    dockerfile: &Dockerfile,
    source: &SourceText,
    options: &Options,
    images: &BTreeMap<ImageRequest, BaseImage>,
) -> Check {
    let selection = match Selection::new(dockerfile, options, true) {
        Ok(selection) => selection,
        Err(error) => {
            return Check::Done(Checked {
                errors: vec![error],
                warnings: Vec::new(),
            });
        }
    };
    let work = Work {
        dockerfile,
        options,
        images,
    };
    let walked = work.walk(Reach::All, Findings::new(selection), |builder, _| {
        let bases = bases(builder.stages, images);
        (builder.findings, bases)
    });
    let (mut findings, bases) = match walked {
        Ok(walked) => walked,
        Err(Halt::Needs(needs)) => return Check::Needs(needs),
        Err(Halt::Failed(findings)) => (*findings, Vec::new()),
    };
    if images.values().any(|image| image.id.is_empty()) {
        // Its variables are not known.
        let undefined = |finding: &Diagnostic| finding.rule == Some(&undefined_var::RULE);
        findings.warnings.retain(|finding| !undefined(finding));
    }
    shell::check(dockerfile, source, &bases, &mut findings);
    findings.warnings.retain(|finding| finding.rule.is_some());
    Check::Done(Checked::new(findings))
}

/// What is known of the base image of each stage.
fn bases(
    stages: &Stages<'_>,
    images: &BTreeMap<ImageRequest, BaseImage>,
) -> Vec<Option<shell::Base>> {
    let written = stages.nodes.iter().take(stages.written);
    written
        .map(|node| match &node.base {
            Base::Image(request) => images.get(request).map(|image| shell::Base {
                shell: image.config.shell.clone(),
                env: image.config.env.clone(),
            }),
            Base::Scratch | Base::Stage(_) | Base::Context(_) => None,
        })
        .collect()
}
