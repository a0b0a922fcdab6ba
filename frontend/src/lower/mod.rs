//! Lowering: a Dockerfile with its options and base images becomes a plan.
//!
//! [`stages`] says which stages there are and what they need, [`stage`] walks through one stage's instructions and
//! keeps its state, [`config`], [`run`], [`mount`] and [`files`] hold what single instructions do.

mod arguments;
mod check;
mod config;
mod default_args;
mod epoch;
mod files;
mod globals;
mod mount;
mod names;
mod options;
mod outline;
mod ports;
mod reference;
mod remote;
mod root;
mod run;
mod service;
mod signal;
mod stage;
mod stages;
mod text;

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Findings};
use crate::lint::{self, Selection};
use crate::plan::{BaseImage, Plan, Platform};
use crate::span::Span;
use crate::syntax::ast::{Dockerfile, Kind};
pub use check::{Check, Checked, check};
pub use epoch::TimeSource;
use globals::Globals;
pub(crate) use mount::CACHE_KEY;
pub use mount::mount_keys;
pub use options::familiar as familiar_name;
pub use options::{Entitlement, NamedContext, Options, context_name};
pub use outline::{Outline, OutlineArg, OutlineSecret, Outlining, Target, outline, targets};
use stage::Builder;
use stages::Stages;

/// An image that a Dockerfile names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRequest {
    /// Its full name: `docker.io/library/busybox:latest`.
    pub reference: String,
    /// For which platform.
    pub platform: Platform,
}

/// An image that lowering cannot go on without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The image.
    pub image: ImageRequest,
    /// Where it is named first.
    pub span: Span,
    /// What may have been meant if there is no such image.
    pub hint: Option<String>,
}

/// How far lowering came.
#[derive(Debug, Clone)]
pub enum Lowering {
    /// These images must be looked up, and lowering called again with them and all earlier ones.
    Needs(Vec<Need>),
    /// The time of this must be found out, and lowering called again with it as the build argument `SOURCE_DATE_EPOCH`: a
    /// number, or nothing for what has none.
    NeedsTime(TimeSource),
    /// Everything is known.
    Done(Box<Plan>),
}

/// Lowers what the target needs of a Dockerfile. `images` holds the base images known so far; it can be empty first.
///
/// # Errors
/// Everything that is found wrong in the needed part of the Dockerfile.
pub fn lower(
    dockerfile: &Dockerfile,
    options: &Options,
    images: &BTreeMap<ImageRequest, BaseImage>,
) -> Result<Lowering, Vec<Diagnostic>> {
    let selection = Selection::new(dockerfile, options, false).map_err(|error| vec![error])?;
    let findings = Findings::new(selection);
    let work = Work {
        dockerfile,
        options,
        images,
    };
    match work.walk(Reach::Target, findings, |builder, target| {
        builder.finish(target)
    }) {
        Ok(plan) => plan,
        Err(Halt::Needs(needs)) => Ok(Lowering::Needs(needs)),
        Err(Halt::Failed(findings)) => Err(findings.errors),
    }
}

/// Which stages are gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Those that the target needs.
    Target,
    /// All, unless a target was asked for by name.
    All,
}

/// Why a walk ended early, with what was found until then.
enum Halt {
    Needs(Vec<Need>),
    Failed(Box<Findings>),
}

/// What is walked through.
struct Work<'a> {
    dockerfile: &'a Dockerfile,
    options: &'a Options,
    images: &'a BTreeMap<ImageRequest, BaseImage>,
}

impl Work<'_> {
    /// Goes through stages, and gives what `then` makes of them and the target's number.
    fn walk<T>(
        &self,
        reach: Reach,
        mut findings: Findings,
        then: impl FnOnce(Builder<'_>, usize) -> T,
    ) -> Result<T, Halt> {
        let (dockerfile, options) = (self.dockerfile, self.options);
        for finding in dockerfile.warnings.iter().cloned() {
            findings.add(finding);
        }
        lint::check_file(dockerfile, &mut findings);
        default_args::check(dockerfile, options, &mut findings);
        let given = options.arguments();
        if let Err(error) = arguments::check(&given) {
            findings.add(error);
        }
        let globals = Globals::new(dockerfile, options, &given, &mut findings);
        let mut stages = Stages::new(dockerfile, options, &globals, &mut findings);
        let target = match stages.target(options.target.as_deref()) {
            Ok(target) => target,
            Err(error) => {
                findings.add(error);
                return Err(Halt::Failed(Box::new(findings)));
            }
        };
        if !findings.errors.is_empty() {
            return Err(Halt::Failed(Box::new(findings)));
        }
        let wanted = match (reach, &options.target) {
            (Reach::All, None) => (0..stages.written).collect(),
            _ => vec![target],
        };
        let needed = stages.add_triggers(&wanted, self.images, &mut findings);
        if !findings.errors.is_empty() {
            return Err(Halt::Failed(Box::new(findings)));
        }
        let missing = stages.missing(&needed, self.images);
        if !missing.is_empty() {
            return Err(Halt::Needs(missing));
        }
        warn_unused_arguments(dockerfile, options, &mut findings);
        let mut builder = Builder::new(options, given, &globals, &stages, self.images, findings);
        for &number in &needed {
            builder.add_base(number);
        }
        for number in needed {
            builder.build(number);
        }
        Ok(then(builder, target))
    }
}

/// A build argument that nothing declares is most likely a slip of the pen.
fn warn_unused_arguments(dockerfile: &Dockerfile, options: &Options, findings: &mut Findings) {
    let in_stages = dockerfile
        .stages
        .iter()
        .flat_map(|stage| &stage.instructions);
    let declared: Vec<&str> = dockerfile
        .global_args
        .iter()
        .chain(in_stages)
        .filter_map(|instruction| match &instruction.kind {
            Kind::Arg(arguments) => Some(arguments),
            _ => None,
        })
        .flatten()
        .map(|argument| argument.name.text.as_str())
        .collect();
    for (name, value) in &options.build_args {
        if value.is_some() && !options::is_predefined(name) && !declared.contains(&name.as_str()) {
            findings.add(
                Diagnostic::warning(
                    format!("the build argument `{name}` was not consumed"),
                    None,
                )
                .with_suggestion(name, declared.iter().copied()),
            );
        }
    }
}
