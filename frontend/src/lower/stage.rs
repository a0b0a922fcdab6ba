//! Walks through the instructions of the needed stages in order, and keeps what each stage has come to.

use std::collections::BTreeMap;

use solver::{Graph, NodeId};

use super::ImageRequest;
use super::arguments;
use super::epoch::Epoch;
use super::globals::Globals;
use super::names::{self, Namer};
use super::options::Options;
use super::root::Root;
use super::stages::{Base, Command, Node, Stages};
use super::text;
use crate::diagnostic::{Diagnostic, Findings, shortened};
use crate::expand::{Environment, Lexer, Variables};
use crate::lint;
use crate::plan::{
    BaseImage, ContainerConfig, History, ImageSpec, Plan, PlannedImage, Platform, Source, Step,
    StepKind,
};
use crate::remote::RemoteSource;
use crate::span::Span;
use crate::syntax::ast::{Instruction, Kind};
use crate::syntax::logical::Word;

/// `PATH` where neither the base nor the Dockerfile sets one.
pub(super) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The comment of history entries.
const COMMENT: &str = "buildkit.dockerfile.v0";
/// What all steps and stages of a plan may take together: short texts can ask for very large plans.
const MAX_SIZE: usize = 512 << 20;

/// Makes the plan.
pub(super) struct Builder<'a> {
    pub(super) options: &'a Options,
    pub(super) given: BTreeMap<&'a str, &'a str>,
    pub(super) globals: &'a Globals,
    pub(super) stages: &'a Stages<'a>,
    pub(super) images: &'a BTreeMap<ImageRequest, BaseImage>,
    pub(super) findings: Findings,
    pub(super) graph: Graph<Step>,
    pub(super) image_steps: BTreeMap<&'a ImageRequest, Option<NodeId>>,
    pub(super) scratch: Option<NodeId>,
    /// The steps of sources on the network: one for each, however often it is named.
    pub(super) remotes: BTreeMap<RemoteSource, NodeId>,
    pub(super) contexts: BTreeMap<String, NodeId>,
    /// What the stages have become, by number.
    results: BTreeMap<usize, State>,
    size: usize,
}

/// What a stage has come to.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) root: Root,
    pub(super) image: ImageSpec,
    /// Variables of instructions and commands: `ENV` and `ARG`.
    pub(super) env: Environment,
    /// Declared `ARG`s, in order.
    pub(super) args: Vec<(String, Option<String>)>,
    /// A `WORKDIR` was given in this file.
    pub(super) workdir_set: bool,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        options: &'a Options,
        given: BTreeMap<&'a str, &'a str>,
        globals: &'a Globals,
        stages: &'a Stages<'a>,
        images: &'a BTreeMap<ImageRequest, BaseImage>,
        findings: Findings,
    ) -> Self {
        Self {
            options,
            given,
            globals,
            stages,
            images,
            findings,
            graph: Graph::new(),
            image_steps: BTreeMap::new(),
            scratch: None,
            remotes: BTreeMap::new(),
            contexts: BTreeMap::new(),
            results: BTreeMap::new(),
            size: 0,
        }
    }

    /// Adds the step of a stage's base image, and makes the result of an image that only a `--from` names.
    pub(super) fn add_base(&mut self, number: usize) {
        let node = &self.stages.nodes[number];
        let root = match &node.base {
            Base::Image(request) => {
                let root = match self.image_steps.get(request) {
                    Some(root) => *root,
                    None => self.add_image(node, request),
                };
                self.image_steps.insert(request, root);
                Root::of_step(root)
            }
            Base::Context(name) => self.named_context(name, node.span),
            Base::Scratch | Base::Stage(_) => Root::Empty,
        };
        if node.stage.is_none() {
            let state = State {
                root,
                ..State::default()
            };
            self.results.insert(number, state);
        }
    }

    /// The platform of a stage as the names of its steps begin with it, if they do.
    pub(super) fn platform_in_names(&self, node: &Node<'_>, env: &dyn Variables) -> String {
        if !self.options.names_platforms {
            return String::new();
        }
        names::platform(self.stages.platform(node), env) + " "
    }

    /// Goes through a stage of the file.
    pub(super) fn build(&mut self, number: usize) {
        let node = &self.stages.nodes[number];
        let Some(from) = node.stage else {
            return;
        };
        let mut state = self.start(node);
        let size = state.size();
        let mut namer = Namer::new(node, self.stages.single);
        if matches!((&node.base, &state.root), (Base::Image(_), Root::Step(_))) {
            namer.skip();
        }
        if let Err(error) = self.charge(size, from.span) {
            self.findings.add(error);
            return;
        }
        let mut cmd_set = false;
        for command in &node.commands {
            let instruction = &command.instruction;
            let mut scope = Scope {
                builder: self,
                state: &mut state,
                namer: &mut namer,
                cmd_set: &mut cmd_set,
                command,
                instruction,
                number,
            };
            if let Err(error) = scope.lower() {
                self.findings.add(error);
            }
            if self.findings.is_full() {
                break;
            }
        }
        self.results.insert(number, state);
    }

    /// The stages that were gone through.
    pub(super) fn built(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.results.keys().copied()
    }

    /// What a stage that was gone through says of its containers.
    pub(super) fn config_of_stage(&self, number: usize) -> Option<&ContainerConfig> {
        Some(&self.results.get(&number)?.image.config)
    }

    /// What an image says of its containers.
    pub(super) fn config_of_image(&self, request: &ImageRequest) -> Option<&ContainerConfig> {
        Some(&self.images.get(request)?.config)
    }

    /// The value that an `ARG` got in a stage.
    pub(super) fn argument(&self, number: usize, name: &str) -> Option<String> {
        let mut args = self.results.get(&number)?.args.iter().rev();
        args.find(|(known, _)| known == name)?.1.clone()
    }

    /// What a stage begins with.
    fn start(&mut self, node: &Node<'_>) -> State {
        let mut state = match &node.base {
            Base::Stage(base) => self.results.get(base).cloned().unwrap_or_default(),
            Base::Scratch => State::empty(&node.platform),
            Base::Context(name) => State {
                root: self.named_context(name, node.span),
                ..State::empty(&node.platform)
            },
            Base::Image(request) => {
                let mut state = State::empty(&node.platform);
                if let Some(image) = self.images.get(request) {
                    state.root = Root::of_step(self.image_steps.get(request).copied().flatten());
                    state.image = ImageSpec {
                        platform: image.platform.clone(),
                        author: image.author.clone(),
                        config: image.config.clone(),
                        history: image.history.clone(),
                    };
                    if let Some(finding) = lint::base_image_platform::finding(
                        node.span,
                        &request.reference,
                        &image.platform,
                        &request.platform,
                    ) {
                        self.findings.add(finding);
                    }
                }
                state
            }
        };
        state.image.config.on_build.clear();
        state.inherit_config();
        state
    }

    /// Counts bytes that the plan takes.
    pub(super) fn charge(&mut self, bytes: usize, span: Span) -> Result<(), Diagnostic> {
        self.size = self.size.saturating_add(bytes);
        if self.size > MAX_SIZE {
            return Err(Diagnostic::error(
                format!(
                    "the environment and history of all steps together take more than {} MiB",
                    MAX_SIZE >> 20
                ),
                span,
            ));
        }
        Ok(())
    }

    /// The plan, once all stages are built.
    pub(super) fn finish(mut self, target: usize) -> Result<super::Lowering, Vec<Diagnostic>> {
        if let Epoch::Of(source) = &self.globals.epoch {
            return Ok(super::Lowering::NeedsTime(source.clone()));
        }
        let mut findings = std::mem::take(&mut self.findings);
        findings.apply_levels();
        if !findings.errors.is_empty() {
            return Err(findings.errors);
        }
        let mut state = self.results.remove(&target).unwrap_or_default();
        let labels = &mut state.image.config.labels;
        labels.extend(self.options.labels.iter().cloned());
        let target = self.step_of(&state.root);
        Ok(super::Lowering::Done(Box::new(Plan {
            graph: self.graph,
            images: vec![PlannedImage {
                platform: self.options.platform.clone(),
                target,
                spec: state.image,
            }],
            epoch: self.globals.epoch.seconds(),
            host_name: arguments::host_name(&self.given),
            warnings: findings.warnings,
        })))
    }
}

impl State {
    fn empty(platform: &Platform) -> Self {
        Self {
            image: ImageSpec {
                platform: platform.clone(),
                // As BuildKit's `emptyImage`.
                config: ContainerConfig {
                    working_dir: "/".to_owned(),
                    ..ContainerConfig::default()
                },
                ..ImageSpec::default()
            },
            ..Self::default()
        }
    }

    /// Takes over what the base's config says: its variables win over `ARG`s of a stage that is the base.
    fn inherit_config(&mut self) {
        let config = &mut self.image.config;
        if !config.env.iter().any(|entry| entry.starts_with("PATH=")) {
            config.env.push(format!("PATH={DEFAULT_PATH}"));
        }
        for entry in &config.env {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            self.env.set(name, value);
        }
        if !config.working_dir.is_empty() {
            config.working_dir = text::joined("/", &config.working_dir);
        }
    }

    /// The working directory of commands.
    pub(super) fn directory(&self) -> &str {
        match self.image.config.working_dir.as_str() {
            "" => "/",
            directory => directory,
        }
    }

    /// About how many bytes a copy of it takes.
    fn size(&self) -> usize {
        let config = &self.image.config;
        let history = self
            .image
            .history
            .iter()
            .map(|entry| entry.created_by.len() + 128);
        let labels = config
            .labels
            .iter()
            .map(|(key, value)| key.len() + value.len());
        let args = self
            .args
            .iter()
            .map(|(name, value)| name.len() + value.as_ref().map_or(0, String::len));
        self.env.size() * 2 + history.chain(labels).chain(args).sum::<usize>() + 1024
    }
}

/// An instruction and everything that it can change.
pub(super) struct Scope<'s, 'a> {
    pub(super) builder: &'s mut Builder<'a>,
    pub(super) state: &'s mut State,
    namer: &'s mut Namer,
    /// A `CMD` was given in this stage.
    pub(super) cmd_set: &'s mut bool,
    pub(super) command: &'s Command,
    pub(super) instruction: &'s Instruction,
    number: usize,
}

impl Scope<'_, '_> {
    fn lower(&mut self) -> Result<(), Diagnostic> {
        match &self.instruction.kind {
            Kind::Add(flags, sources) => self.add(flags, sources),
            Kind::Arg(arguments) => self.arg(arguments),
            Kind::Cmd(command) => self.cmd(command),
            Kind::Copy(flags, sources) => self.copy(flags, sources),
            Kind::Entrypoint(command) => self.entrypoint(command),
            Kind::Env(pairs) => self.env(pairs),
            Kind::Expose(ports) => self.expose(ports),
            Kind::Healthcheck(check) => self.healthcheck(check),
            Kind::Label(pairs) => self.label(pairs),
            Kind::Maintainer(name) => self.maintainer(name),
            Kind::Onbuild(trigger) => {
                let on_build = &mut self.state.image.config.on_build;
                on_build.push(trigger.expression.clone());
                Ok(())
            }
            Kind::Run(flags, command) => self.run(flags, command),
            Kind::Shell(shell) => self.shell(shell),
            Kind::Stopsignal(signal) => self.stopsignal(signal),
            Kind::User(user) => self.user(user),
            Kind::Volume(volumes) => self.volume(volumes),
            Kind::Workdir(path) => self.workdir(path),
        }
    }

    /// The escape character of the text that the instruction comes from.
    fn lexer(&self) -> Lexer {
        Lexer::new(self.builder.stages.escape())
    }

    /// Expands a word. Variables without a value are worth a warning.
    pub(super) fn expand(&mut self, word: &Word) -> Result<String, Diagnostic> {
        let lexer = self.lexer();
        Ok(self.expand_with(lexer, word)?.text)
    }

    /// Expands a word that may stand for several.
    pub(super) fn expand_words(&mut self, word: &Word) -> Result<Vec<String>, Diagnostic> {
        let lexer = self.lexer();
        Ok(self.expand_with(lexer, word)?.words)
    }

    pub(super) fn expand_with(
        &mut self,
        lexer: Lexer,
        word: &Word,
    ) -> Result<crate::expand::Expanded, Diagnostic> {
        let expanded = lexer.expand(&word.text, &self.state.env).map_err(|error| {
            let shown = shortened(&word.text);
            Diagnostic::error(format!("failed to process `{shown}`: {error}"), word.span)
        })?;
        for name in &expanded.unset {
            if self.builder.findings.takes_warnings()
                && !self.state.args.iter().any(|(declared, _)| declared == name)
            {
                let finding = lint::undefined_var::finding(name, word.span, self.state.env.names());
                self.warn(finding);
            }
        }
        Ok(expanded)
    }

    /// Adds a finding.
    pub(super) fn warn(&mut self, finding: Diagnostic) {
        self.builder.findings.add(finding);
    }

    /// The step's name: the instruction as written, variables expanded where they can be.
    pub(super) fn name(&mut self, text: &str, lexer: Lexer, env: &dyn Variables) -> String {
        let text = match lexer.expand(text, env) {
            Ok(expanded) => expanded.text,
            Err(_) => text.to_owned(),
        };
        let (keyword, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let text = format!("{} {rest}", keyword.to_uppercase());
        let node = &self.builder.stages.nodes[self.number];
        let platform = self.builder.platform_in_names(node, env);
        self.namer
            .next(&platform, text.trim_end(), self.command.on_build)
    }

    /// Adds a step that extends the stage's files. `more` are its inputs behind those files.
    pub(super) fn push_step(
        &mut self,
        kind: StepKind,
        name: String,
        more: &[NodeId],
    ) -> Result<NodeId, Diagnostic> {
        self.builder
            .charge(name.len() + 256, self.instruction.span)?;
        let base = match self.builder.step_of(&self.state.root) {
            Some(root) => root,
            None => self.builder.scratch(),
        };
        let inputs: Vec<_> = std::iter::once(base).chain(more.iter().copied()).collect();
        let stages = self.builder.stages;
        let node = &stages.nodes[self.number];
        let step = Step {
            kind,
            name,
            span: Some(self.instruction.span),
            stage: node.name.clone(),
            platform: stages.platform(node).clone(),
        };
        let id = self.builder.graph.add(step, &inputs);
        self.state.root = Root::Step(id);
        Ok(id)
    }

    /// Whose files another stage or image has: an input that is added to `inputs`, or nothing.
    pub(super) fn source(
        &self,
        number: usize,
        what: &str,
        span: Span,
        inputs: &mut Vec<NodeId>,
    ) -> Result<Source, Diagnostic> {
        let node = &self.builder.stages.nodes[number];
        let Some(state) = self.builder.results.get(&number) else {
            let current = &self.builder.stages.nodes[self.number].name;
            return Err(Diagnostic::error(
                format!(
                    "cannot {what} stage `{}`, it needs to be defined before current stage `{current}`",
                    node.name
                ),
                span,
            )
            .with_note("the stage is defined here", node.stage.map(|stage| stage.span)));
        };
        Ok(match &state.root {
            Root::Empty => Source::Empty,
            Root::Context(name, _) => Source::Named(name.clone()),
            Root::Step(step) => as_input(*step, inputs),
        })
    }

    /// All files of a named context: an input that is added to `inputs`.
    pub(super) fn whole_context(
        &mut self,
        name: String,
        span: Span,
        inputs: &mut Vec<NodeId>,
    ) -> Source {
        let step = self.builder.step_of(&Root::Context(name, span));
        step.map_or(Source::Empty, |step| as_input(step, inputs))
    }

    /// Adds an entry without a layer.
    pub(super) fn commit(&mut self, text: String) -> Result<(), Diagnostic> {
        self.commit_step(text, None)
    }

    /// Adds an entry with the layer of a step.
    pub(super) fn commit_step(
        &mut self,
        text: String,
        step: Option<NodeId>,
    ) -> Result<(), Diagnostic> {
        self.builder
            .charge(text.len() + 128, self.instruction.span)?;
        self.state.image.history.push(History {
            created: None,
            created_by: text,
            author: String::new(),
            comment: COMMENT.to_owned(),
            empty_layer: step.is_none(),
            step,
        });
        Ok(())
    }

    /// The value of a variable.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.state.env.value(name)
    }
}

/// The input of a step that another is, added to `inputs` if it is not among them.
fn as_input(step: NodeId, inputs: &mut Vec<NodeId>) -> Source {
    // Input 0 is what the step extends.
    let known = inputs.iter().position(|input| *input == step);
    Source::Input(
        1 + known.unwrap_or_else(|| {
            inputs.push(step);
            inputs.len() - 1
        }),
    )
}
