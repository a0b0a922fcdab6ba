//! Looks at a Dockerfile without building it: what rules find in it, what can be given to it, what it can build.

use std::sync::Arc;

use frontend::{Check, Lowering, Outlining};
use futures_util::future::join_all;

pub use frontend::diagnostic::{Diagnostic, Note};
pub use frontend::lint::{Group, Rule, rules};
pub use frontend::{Outline, OutlineArg, OutlineSecret, Position, SourceText, Span, Target};

use super::epoch;
use super::prepare::{self, Dockerfile};
use super::request::BuildRequest;
use super::resolve::{self, Images};
use crate::engine::Engine;
use crate::error::{BuildError, Diagnostics};
use crate::event::Listener;
use crate::progress::Progress;

/// What was found in a Dockerfile.
#[derive(Debug)]
pub struct Checked {
    /// What would stop a build.
    pub errors: Vec<Diagnostic>,
    /// What rules say, in the order of the file.
    pub warnings: Vec<Diagnostic>,
    /// The Dockerfile.
    pub source: Arc<SourceText>,
}

/// What is known of a Dockerfile, with its text.
#[derive(Debug)]
pub struct Described<T> {
    /// What is known.
    pub value: T,
    /// The Dockerfile.
    pub source: Arc<SourceText>,
}

impl Engine {
    /// Checks the Dockerfile of a build: all of its stages, unless a target is asked for. Base images are looked up for
    /// what they say of variables and shells; one that cannot be had is an error among the others.
    pub async fn check(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Checked, BuildError> {
        let request = Arc::new(request);
        let progress = Progress::new(listener);
        let dockerfile = match prepare::read(self, &request, &progress).await {
            Ok(dockerfile) => dockerfile,
            Err(BuildError::Dockerfile(Diagnostics { items, source })) => {
                return Ok(Checked {
                    errors: items,
                    warnings: Vec::new(),
                    source,
                });
            }
            Err(error) => return Err(error),
        };
        let mut images = Images::default();
        let mut missing = Vec::new();
        let found = loop {
            let options = resolve::options(&request);
            match frontend::check(
                &dockerfile.parsed,
                &dockerfile.text,
                &options,
                &images.known,
            ) {
                Check::Done(found) => break found,
                Check::Needs(needs) => {
                    let found = needs
                        .iter()
                        .map(|need| resolve::look_up(self, &request, &dockerfile, need, &progress));
                    for (need, image) in needs.iter().zip(join_all(found).await) {
                        match image {
                            Ok(image) => images.insert(need, image),
                            Err(error) => {
                                images.insert_unknown(need);
                                missing.extend(items(error)?);
                            }
                        }
                    }
                }
            }
        };
        let mut checked = Checked {
            errors: missing,
            warnings: found.warnings,
            source: Arc::clone(&dockerfile.text),
        };
        checked.errors.extend(found.errors);
        if checked.errors.is_empty() {
            let ignored = self.check_ignored(&request, &dockerfile, &images, &progress)?;
            checked.warnings.extend(ignored);
            checked.warnings.sort_by_key(|finding| finding.span);
        }
        Ok(checked)
    }

    /// What is found of the target's sources that the ignore file hides.
    fn check_ignored(
        &self,
        request: &BuildRequest,
        dockerfile: &Dockerfile,
        images: &Images,
        progress: &Progress,
    ) -> Result<Vec<Diagnostic>, BuildError> {
        let mut options = resolve::options(request);
        let lower = |options: &_| frontend::lower(&dockerfile.parsed, options, &images.known);
        let mut lowering = lower(&options);
        if let Ok(Lowering::NeedsTime(_)) = lowering {
            options.build_args.push(epoch::unknown());
            lowering = lower(&options);
        }
        let Ok(Lowering::Done(plan)) = lowering else {
            return Ok(Vec::new());
        };
        let context = prepare::context(self, request, dockerfile, progress)?;
        match resolve::check_ignored(request, dockerfile, &plan, context.ignore()) {
            // With `check=error=true` they would stop a build; here they are what was asked for.
            Err(error) => items(error),
            found => found,
        }
    }

    /// Tells what can be given to a build.
    pub async fn outline(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Described<Outline>, BuildError> {
        let request = Arc::new(request);
        let progress = Progress::new(listener);
        let dockerfile = prepare::read(self, &request, &progress).await?;
        let options = resolve::options(&request);
        let mut images = Images::default();
        loop {
            let outline = frontend::outline(&dockerfile.parsed, &options, &images.known);
            match outline.map_err(|items| resolve::failure(&dockerfile, items))? {
                Outlining::Done(value) => {
                    return Ok(Described {
                        value,
                        source: dockerfile.text,
                    });
                }
                Outlining::Needs(needs) => {
                    images
                        .look_up(self, &request, &dockerfile, &needs, &progress)
                        .await?;
                }
            }
        }
    }

    /// Tells what stages can be built.
    pub async fn targets(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Described<Vec<Target>>, BuildError> {
        let progress = Progress::new(listener);
        let dockerfile = prepare::read(self, &request, &progress).await?;
        Ok(Described {
            value: frontend::targets(&dockerfile.parsed),
            source: dockerfile.text,
        })
    }
}

/// The findings of an error, if it has any.
fn items(error: BuildError) -> Result<Vec<Diagnostic>, BuildError> {
    match error {
        BuildError::Dockerfile(found)
        | BuildError::Resolve {
            at: Some(found), ..
        } => Ok(found.items),
        error => Err(error),
    }
}
