//! A build: from a Dockerfile and a context to an image.
//!
//! [`Engine::build`] reads and lowers the Dockerfile ([`prepare`]), resolves the base images it names ([`resolve`]),
//! has the solver run the graph ([`operation`], on [`run`] and [`mod@file`]), and describes the result ([`assemble`]).

mod actions;
mod assemble;
mod context;
mod debug;
mod draw;
mod epoch;
pub mod examine;
mod file;
mod foresee;
mod identity;
mod include;
mod main_context;
mod operation;
mod prepare;
mod request;
mod resolve;
mod run;
mod secrets;
mod services;
mod squash;
mod ssh;
mod state;
mod tell;
mod verify;

pub(crate) use self::assemble::{Finished, FinishedImage};
pub(crate) use self::file::Implied;
pub(crate) use self::identity::StepSettings;
pub(crate) use self::operation::blocking;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use frontend::diagnostic::Diagnostic;
use frontend::plan::{Plan, Step, StepKind};
use solver::{Graph, NodeId};

use self::actions::Actions;
use self::operation::StepOperation;
pub use frontend::plan::Network;
use layer::Digest;

pub use self::context::{ContextError, LayoutSource, NamedContext};
pub use self::debug::{Debug, Debugged, Session};
pub use self::draw::{Drawing, DrawnStep, Edge, EdgeKind};
pub use self::foresee::{Fate, ForeseenStep};
pub use self::main_context::ArchiveInput;
pub use self::request::{BuildRequest, Built, ContextSource, DockerfileSource, HostAddress};
use self::resolve::Lowered;
pub use self::secrets::{SecretSource, SecretValue, Secrets};
pub use self::ssh::SshAgents;
use self::state::{Build, Contexts};
use self::tell::Teller;
pub use self::verify::{Difference, Verified};
use crate::builds::{Recorder, Recording};
use crate::engine::Engine;
use crate::error::{BuildError, Diagnostics, ImageError, StepError};
use crate::event::{Listener, Phase};
pub use crate::files::archive::is_archive;
use crate::output::check_outputs;
use crate::progress::{Progress, Row};
use crate::rootfs::{Rootfs, Sealed};
pub use frontend::Entitlement;
pub use frontend::remote::{
    GitSource, HttpForm, HttpSource, RemoteError, RemoteSource, file_name, is_url,
};
pub use image::{Platform, PlatformError};
pub use runtime::{Limit, Resource};

/// How often a build starts again because a file of the context changed while it was read.
const RETRIES: usize = 3;

impl Engine {
    /// Builds an image. Dropping the future stops everything that runs for it.
    pub async fn build(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Built, BuildError> {
        self.sweep();
        let _collecting = self.collecting();
        let request = Arc::new(request);
        let make = async |progress: &Progress, recorder: &Recorder| {
            let image = self.make_image(&request, Seals::Any, progress, recorder);
            let image = image.await?;
            self.write_outputs(&request, &image, progress).await
        };
        let built = self.recorded(&request, listener, make, |built| Some(built.id));
        built.await
    }

    /// Builds, again if a file of the context changed meanwhile, and writes the build down. `image` gives the id of the
    /// image.
    async fn recorded<T>(
        &self,
        request: &BuildRequest,
        listener: Arc<dyn Listener>,
        make: impl AsyncFn(&Progress, &Recorder) -> Result<T, BuildError>,
        image: impl Fn(&T) -> Option<Digest>,
    ) -> Result<T, BuildError> {
        let recording = Recording::begin(self, request, listener);
        let mut tries = 0;
        loop {
            let recorder = Arc::clone(recording.recorder());
            let progress = Progress::new(Arc::clone(&recorder) as Arc<dyn Listener>);
            let result = make(&progress, &recorder).await;
            tries += 1;
            match result {
                Err(BuildError::Step { source, .. }) if tries < RETRIES && source.is_race() => {
                    recorder.restart();
                }
                result => {
                    recording.finish(result.as_ref().map(&image)).await;
                    return result;
                }
            }
        }
    }

    async fn make_image(
        &self,
        request: &Arc<BuildRequest>,
        seals: Seals,
        progress: &Progress,
        recorder: &Recorder,
    ) -> Result<Finished, BuildError> {
        let prepared = self.prepare(request, seals, progress, |name| recorder.reads(name));
        let prepared = prepared.await?;
        let _abandon = AbandonOnDrop(&prepared.build);
        self.make_prepared(&prepared, progress, recorder).await
    }

    async fn make_prepared(
        &self,
        prepared: &Prepared,
        progress: &Progress,
        recorder: &Recorder,
    ) -> Result<Finished, BuildError> {
        let Prepared { plan, build, .. } = prepared;
        let solved = target_layers(prepared, progress, recorder).await;
        // What was learnt serves the next build whether this one worked or not.
        let kept = build.remember().and(build.settle().await);
        let layers = solved?;
        kept?;
        let mut images = Vec::with_capacity(layers.len());
        for (planned, layers) in plan.images.iter().zip(layers) {
            images.push(match &build.request().squash_from {
                None => assemble::image(planned, layers, plan.epoch),
                Some(from) => {
                    let squashed = squash::squash(prepared, planned, from, layers, progress);
                    let (planned, layers) = squashed.await?;
                    assemble::image(&planned, layers, plan.epoch)
                }
            });
        }
        let mut images = images.into_iter();
        if !build.request().makes_index()
            && let Some(only) = images.next()
        {
            return Ok(Finished::Image(Box::new(only)));
        }
        Ok(Finished::Index(images.collect()))
    }

    /// Reads the Dockerfile, whose name is told to `reads`, lowers it, and opens the context.
    async fn prepare(
        &self,
        request: &Arc<BuildRequest>,
        seals: Seals,
        progress: &Progress,
        reads: impl FnOnce(&str),
    ) -> Result<Prepared, BuildError> {
        check_outputs(request)?;
        let spending = progress.spend(Phase::Dockerfile);
        let dockerfile = prepare::read(self, request, progress).await?;
        reads(dockerfile.text.name());
        let Lowered { plan, images } = resolve::lower(self, request, &dockerfile, progress).await?;
        drop(spending);
        warn(&plan.warnings, &dockerfile, progress);
        let context = prepare::context(self, request, &dockerfile, progress)?;
        let ignored = resolve::check_ignored(request, &dockerfile, &plan, context.ignore())?;
        warn(&ignored, &dockerfile, progress);
        let contexts = Contexts {
            main: context,
            named: prepare::named_contexts(self, request, &plan, progress)?,
        };
        let build = Build::new(
            self.clone(),
            Arc::clone(request),
            contexts,
            images,
            &plan,
            seals,
        );
        Ok(Prepared {
            dockerfile,
            plan,
            build: Arc::new(build),
        })
    }
}

/// A build with all that is known before its steps are.
struct Prepared {
    dockerfile: prepare::Dockerfile,
    plan: Plan,
    build: Arc<Build>,
}

/// Which layers steps become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seals {
    /// Earlier layers of the same content take their place, whatever their times.
    Any,
    /// Their own.
    Own,
}

/// Has a build that is dropped before its end leave no upper directories.
struct AbandonOnDrop<'a>(&'a Build);

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn warn(warnings: &[Diagnostic], dockerfile: &prepare::Dockerfile, progress: &Progress) {
    for warning in warnings {
        let detail = Diagnostics {
            items: vec![warning.clone()],
            source: Arc::clone(&dockerfile.text),
        };
        let rule = warning.rule.map_or("", |rule| rule.name).to_owned();
        progress.warn(rule, warning.message.clone(), detail.render(false));
    }
}

/// Runs the plan's graph and gives the layers of each of its images, lowest first.
async fn target_layers(
    prepared: &Prepared,
    progress: &Progress,
    recorder: &Recorder,
) -> Result<Vec<Vec<Sealed>>, BuildError> {
    let plan = &prepared.plan;
    let targets = plan.targets();
    let mut made = HashMap::new();
    if !targets.is_empty() {
        let solved = solve(prepared, &targets, progress, recorder).await?;
        for (target, rootfs) in targets.into_iter().zip(solved) {
            made.insert(target, rootfs.sealed().await.map_err(ImageError::Sealing)?);
        }
    }
    let layers = plan.images.iter().map(|image| {
        let made = image.target.and_then(|target| made.get(&target));
        made.cloned().unwrap_or_default()
    });
    Ok(layers.collect())
}

/// Runs as much of the plan's graph as these nodes need, and gives what they come to.
async fn solve(
    prepared: &Prepared,
    targets: &[NodeId],
    progress: &Progress,
    recorder: &Recorder,
) -> Result<Vec<Rootfs>, BuildError> {
    let Prepared {
        dockerfile,
        plan,
        build,
    } = prepared;
    let rows = rows(&plan.graph, progress);
    let ids = rows.iter().map(|(node, row)| (*node, row.id()));
    recorder.plan(&plan.graph, &ids.collect(), &dockerfile.text);
    let graph = plan.graph.map(|node, step: &Step| {
        StepOperation::new(Arc::clone(build), step.clone(), rows[&node].clone())
    });
    let actions = Actions {
        engine: build.engine().clone(),
        progress: progress.clone(),
    };
    let options = solver::Options {
        jobs: build.jobs(),
        ..solver::Options::default()
    };
    let teller = Teller::new(&rows, &graph, recorder);
    let tell = |event: solver::Event<StepError>| teller.tell(event);
    let solved = solver::solve(&graph, targets, &actions, options, &tell).await;
    let solved = solved.map_err(|error| failure(&error, plan, dockerfile))?;
    let outputs = targets.iter().map(|target| solved.output(*target));
    Ok(outputs
        .map(|output| output.cloned().unwrap_or_default())
        .collect())
}

/// A row of progress for every step, in the order of the Dockerfile.
fn rows(graph: &Graph<Step>, progress: &Progress) -> BTreeMap<NodeId, Row> {
    let silent = Progress::silent();
    let mut rows: BTreeMap<NodeId, Row> = BTreeMap::new();
    for node in graph.ids() {
        let step = graph.get(node);
        let inputs = graph.inputs(node);
        let shown = inputs.iter().filter(|input| !is_silent(graph, **input));
        let inputs = shown.map(|input| rows[input].id()).collect();
        let identity = format!("{}\0{}\0{node:?}", step.stage, step.name);
        let progress = if is_silent(graph, node) {
            &silent
        } else {
            progress
        };
        rows.insert(node, progress.row(&*step.name, identity.as_bytes(), inputs));
    }
    rows
}

/// The empty root is nothing to show.
fn is_silent(graph: &Graph<Step>, node: NodeId) -> bool {
    matches!(graph.get(node).kind, StepKind::Scratch)
}

/// The solver's error as the user should see it: at the instruction that failed.
fn failure(
    error: &solver::SolveError<StepError>,
    plan: &Plan,
    dockerfile: &prepare::Dockerfile,
) -> BuildError {
    let (node, source) = match error {
        solver::SolveError::Step { node, source } => (*node, source),
        solver::SolveError::Cancelled => return BuildError::Cancelled,
    };
    let step = plan.graph.get(node);
    let at = step.span.map(|span| Diagnostics {
        items: vec![Diagnostic::error(crate::error::chain(&**source), span)],
        source: Arc::clone(&dockerfile.text),
    });
    BuildError::Step {
        step: step.name.clone(),
        at,
        source: Arc::clone(source),
    }
}
