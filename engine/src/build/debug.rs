//! Looking into a build: processes in the file system of the step that failed, of one before it runs, or of the result.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use cache::Upper;
use frontend::plan::{ImageSpec, Network, Plan, Reuse, Run, Security, StepKind};
use solver::NodeId;

use super::request::{BuildRequest, Built};
use super::run::Held;
use super::state::Build;
use super::{AbandonOnDrop, Prepared, Seals, is_silent, run, solve};
use crate::builds::{RecordError, Recorder, steps_named};
use crate::containers::{Attached, ContainerError, TerminalSize, attach_child, stdio};
use crate::engine::Engine;
use crate::error::{BuildError, ImageError, StepError};
use crate::event::Listener;
use crate::progress::Progress;
use crate::rootfs::{Layer, Rootfs};

/// Where programs are looked for in a step that does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is to be looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Debug {
    /// The step whose command fails, as that left it.
    Failure,
    /// A step before it runs, named as for [`find_step`](crate::builds::find_step); of a `FROM` what it gives.
    Before(String),
    /// The finished image, with its own environment.
    Result,
}

/// How a build went that is looked into.
#[derive(Debug)]
pub enum Debugged {
    /// It came to what is to be looked into; with what was built, if it was to be finished.
    Opened(Session, Option<Built>),
    /// It is finished, and nothing failed.
    Finished(Built),
    /// It failed; with the step whose command did, if that is to be looked into.
    Failed(BuildError, Option<Session>),
}

/// A place in a build where processes can be started. What they change goes with it.
#[derive(Debug)]
pub struct Session {
    build: Arc<Build>,
    /// The step, whose own command plays no part.
    command: Run,
    inputs: Vec<Rootfs>,
    upper: Upper,
    /// What its mounts need as long as they are in use.
    held: Mutex<Held>,
}

/// A step whose command failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) command: Run,
    pub(super) inputs: Vec<Rootfs>,
    /// What it changed.
    pub(super) upper: Upper,
}

impl Engine {
    /// Builds, as far as `debug` says, and opens what is to be looked into. Dropping the future stops everything.
    pub async fn debug(
        &self,
        request: BuildRequest,
        debug: Debug,
        listener: Arc<dyn Listener>,
    ) -> Debugged {
        self.sweep();
        let _collecting = self.collecting();
        let request = Arc::new(request);
        let failed = Mutex::new(None);
        let make = async |progress: &Progress, recorder: &Recorder| {
            let reads = |name: &str| recorder.reads(name);
            let prepared = self.prepare(&request, Seals::Any, progress, reads).await?;
            let _abandon = AbandonOnDrop(&prepared.build);
            if let Debug::Before(step) = &debug {
                let session = before(&prepared, step, progress, recorder).await?;
                return Ok(Debugged::Opened(session, None));
            }
            prepared.build.keep_failures(debug == Debug::Failure);
            let made = self.make_prepared(&prepared, progress, recorder).await;
            if let Some(step) = prepared.build.take_failed() {
                let session = Session::of(&prepared.build, step).await?;
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
            }
            let finished = made?;
            let built = self.write_outputs(&request, &finished, progress).await?;
            if debug == Debug::Failure {
                return Ok(Debugged::Finished(built));
            }
            // Of several images that which runs here.
            let shown = finished.shown();
            let layers = finished.images()[shown].layers.iter().cloned();
            let inputs = vec![Rootfs::new(layers.map(Layer::stored).collect())];
            let command = of_image(&prepared.plan.images[shown].spec);
            let session = Session::new(&prepared.build, command, inputs)?;
            Ok(Debugged::Opened(session, Some(built)))
        };
        let image = |made: &Debugged| match made {
            Debugged::Opened(_, built) => built.as_ref().map(|built| built.id),
            Debugged::Finished(built) => Some(built.id),
            Debugged::Failed(..) => None,
        };
        let result = self.recorded(&request, listener, make, image).await;
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        result.unwrap_or_else(|error| Debugged::Failed(error, failed))
    }
}

/// Makes what a step needs and opens it before the step runs.
async fn before(
    prepared: &Prepared,
    step: &str,
    progress: &Progress,
    recorder: &Recorder,
) -> Result<Session, BuildError> {
    let Prepared { plan, build, .. } = prepared;
    let node = named(prepared, step)?;
    let targets = match plan.graph.get(node).kind {
        StepKind::Scratch | StepKind::Image(_) => vec![node],
        _ => plan.graph.inputs(node),
    };
    let solved = solve(prepared, &targets, progress, recorder).await;
    let kept = build.remember().and(build.settle().await);
    let inputs = sealed(solved?).await.map_err(ImageError::Sealing)?;
    kept?;
    let command = match &plan.graph.get(node).kind {
        StepKind::Run(command) => (**command).clone(),
        _ => plain(vec![("PATH".to_owned(), PATH.to_owned())]),
    };
    Session::new(build, command, inputs)
}

/// The step that a text names.
fn named(prepared: &Prepared, text: &str) -> Result<NodeId, BuildError> {
    let Plan { graph, .. } = &prepared.plan;
    let nodes: Vec<_> = graph
        .ids()
        .filter(|node| !is_silent(graph, *node))
        .collect();
    let steps: Vec<_> = nodes
        .iter()
        .map(|node| graph.get(*node))
        .map(|step| {
            let position = |span: frontend::Span| prepared.dockerfile.text.position(span.start);
            (
                step.name.as_str(),
                step.span.map(|span| position(span).line),
            )
        })
        .collect();
    match *steps_named(&steps, text)? {
        [only] => Ok(nodes[only]),
        ref several => Err(RecordError::SeveralSteps {
            step: text.to_owned(),
            names: several.iter().map(|&at| steps[at].0.to_owned()).collect(),
        }
        .into()),
    }
}

/// The same root file systems of nothing but layers of the store.
async fn sealed(inputs: Vec<Rootfs>) -> Result<Vec<Rootfs>, Arc<StepError>> {
    let mut stored = Vec::with_capacity(inputs.len());
    for input in inputs {
        let layers = input.sealed().await?.into_iter().map(Layer::stored);
        stored.push(Rootfs::new(layers.collect()));
    }
    Ok(stored)
}

/// What processes of the finished image have around them.
fn of_image(image: &ImageSpec) -> Run {
    let variables = image.config.env.iter();
    let env = variables.map(|variable| {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        (name.to_owned(), value.to_owned())
    });
    let mut command = plain(env.collect());
    if !image.config.working_dir.is_empty() {
        command.cwd.clone_from(&image.config.working_dir);
    }
    command.user.clone_from(&image.config.user);
    command
}

/// A command with nothing around it but variables.
fn plain(env: Vec<(String, String)>) -> Run {
    Run {
        args: Vec::new(),
        scripts: Vec::new(),
        env,
        proxy_env: Vec::new(),
        cwd: "/".to_owned(),
        user: String::new(),
        mounts: Vec::new(),
        network: Network::Default,
        security: Security::Sandbox,
        reuse: Reuse::Always,
        services: Vec::new(),
    }
}

impl Session {
    fn new(build: &Arc<Build>, command: Run, inputs: Vec<Rootfs>) -> Result<Self, BuildError> {
        Ok(Self {
            upper: build.engine().store().layers().new_upper()?,
            build: Arc::clone(build),
            command,
            inputs,
            held: Mutex::default(),
        })
    }

    async fn of(build: &Arc<Build>, failed: Failed) -> Result<Self, BuildError> {
        Ok(Self {
            build: Arc::clone(build),
            command: failed.command,
            inputs: sealed(failed.inputs).await.map_err(ImageError::Sealing)?,
            upper: failed.upper,
            held: Mutex::default(),
        })
    }

    /// Starts a process with the step's environment, mounts and user, and attaches this program to it. One at a time.
    pub async fn start(
        &self,
        args: Vec<String>,
        terminal: Option<TerminalSize>,
    ) -> Result<Attached, ContainerError> {
        let mut around = run::surroundings(&self.build, &self.command, &self.inputs).await?;
        let held = mem::take(&mut around.held);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
        let base = self.inputs.first().cloned().unwrap_or_default();
        let stack = self.build.engine().mountable(&base).await?;
        let mut command = self.command.clone();
        command.args = args;
        if terminal.is_some() && !command.env.iter().any(|(name, _)| name == "TERM") {
            command.env.push(("TERM".to_owned(), "xterm".to_owned()));
        }
        let (build, upper) = (Arc::clone(&self.build), self.upper.clone());
        attach_child(move || {
            // Those of the process before are of the same places, and in the way.
            std::fs::remove_dir_all(run::stubs_of(&upper)).ok();
            let stdio = stdio(terminal, true);
            Ok(run::spawn(&build, &command, &stack, around, &upper, stdio)?)
        })
        .await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let store = self.build.engine().store();
        // What stays is swept when the process has ended.
        store.discard(&self.upper.directory).ok();
    }
}
