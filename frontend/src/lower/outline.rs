//! What can be given to a build (`--call=outline`), and what it can build (`--call=targets`).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::globals::Globals;
use super::stage::Builder;
use super::{Halt, ImageRequest, Need, Options, Reach, Work};
use crate::diagnostic::{Diagnostic, Findings};
use crate::expand::{Lexer, Variables};
use crate::lint::Selection;
use crate::plan::{BaseImage, MountKind, StepKind};
use crate::span::Span;
use crate::syntax::ast::{Argument, Dockerfile, Instruction, Kind};

/// How far an outline came.
#[derive(Debug)]
pub enum Outlining {
    /// These images must be looked up, and the outline made again with them and all earlier ones.
    Needs(Vec<Need>),
    /// Everything is known.
    Done(Outline),
}

/// What can be given to the build of a target.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The target's name; empty for a stage without one.
    pub name: String,
    /// The comment above it that begins with its name, without that.
    pub description: String,
    /// The arguments that it and the stages below it use, in the order of the file.
    pub args: Vec<OutlineArg>,
    /// The secrets that are mounted, in the order of the file.
    pub secrets: Vec<OutlineSecret>,
    /// The SSH agents that are mounted, in the order of the file.
    pub ssh: Vec<OutlineSecret>,
}

/// An argument.
#[derive(Debug, PartialEq, Eq)]
pub struct OutlineArg {
    /// Its name.
    pub name: String,
    /// The comment above it that begins with its name, without that.
    pub description: String,
    /// Its value in this build; empty for none.
    pub value: String,
    /// The `ARG`.
    pub span: Span,
}

/// A secret or an agent.
#[derive(Debug, PartialEq, Eq)]
pub struct OutlineSecret {
    /// What it is asked for by.
    pub id: String,
    /// A build without it fails.
    pub required: bool,
    /// The `RUN` that mounts it.
    pub span: Span,
}

/// A stage that can be built.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name; empty for none.
    pub name: String,
    /// It is built when no target is asked for.
    pub default: bool,
    /// The comment above it that begins with its name, without that.
    pub description: String,
    /// Its base as written.
    pub base: String,
    /// Its `--platform` as written; empty for none.
    pub platform: String,
    /// Its `FROM`.
    pub span: Span,
}

/// The stages of a file.
pub fn targets(dockerfile: &Dockerfile) -> Vec<Target> {
    let last = dockerfile.stages.len() - 1;
    let stages = dockerfile.stages.iter().enumerate();
    stages
        .map(|(number, stage)| Target {
            name: stage.name.clone().unwrap_or_default(),
            default: number == last,
            description: description(&stage.comments, stage.name.as_deref().unwrap_or_default()),
            base: stage.base.text.clone(),
            platform: stage
                .platform
                .as_ref()
                .map(|word| word.text.clone())
                .unwrap_or_default(),
            span: stage.span,
        })
        .collect()
}

/// The rest of the comment that begins with a name.
fn description(comments: &[String], name: &str) -> String {
    let described = comments.iter().find_map(|comment| {
        let rest = comment.strip_prefix(name).filter(|_| !name.is_empty())?;
        rest.strip_prefix(' ')
    });
    described.unwrap_or_default().to_owned()
}

/// Tells what can be given to the build of the target.
///
/// # Errors
/// Everything that is found wrong in the needed part of the Dockerfile.
pub fn outline(
    dockerfile: &Dockerfile,
    options: &Options,
    images: &BTreeMap<ImageRequest, BaseImage>,
) -> Result<Outlining, Vec<Diagnostic>> {
    let selection = Selection::new(dockerfile, options, false).map_err(|error| vec![error])?;
    let work = Work {
        dockerfile,
        options,
        images,
    };
    let outlined = work.walk(
        Reach::Target,
        Findings::new(selection),
        |builder, target| {
            if !builder.findings.errors.is_empty() {
                return Err(builder.findings.errors);
            }
            Ok(Outliner::new(dockerfile, &builder).outline(target))
        },
    );
    match outlined {
        Ok(outline) => outline.map(Outlining::Done),
        Err(Halt::Needs(needs)) => Ok(Outlining::Needs(needs)),
        Err(Halt::Failed(findings)) => Err(findings.errors),
    }
}

struct Outliner<'a, 'b> {
    dockerfile: &'a Dockerfile,
    builder: &'a Builder<'b>,
    args: BTreeMap<String, OutlineArg>,
}

impl<'a, 'b> Outliner<'a, 'b> {
    fn new(dockerfile: &'a Dockerfile, builder: &'a Builder<'b>) -> Self {
        Self {
            dockerfile,
            builder,
            args: BTreeMap::new(),
        }
    }

    fn outline(mut self, target: usize) -> Outline {
        // The target's own arguments come before those of what it is made from.
        let stages: Vec<_> = self.builder.built().rev().collect();
        let mut used = BTreeSet::new();
        for number in stages {
            let Some(stage) = self.builder.stages.nodes[number].stage else {
                continue;
            };
            for word in std::iter::once(&stage.base).chain(&stage.platform) {
                used.extend(self.names_in(&word.text));
            }
            for instruction in &stage.instructions {
                self.add_args(number, instruction, &mut used);
            }
        }
        self.add_globals(used);
        let stage = self.builder.stages.nodes[target].stage;
        let name = stage
            .and_then(|stage| stage.name.clone())
            .unwrap_or_default();
        let mut args: Vec<_> = self.args.into_values().collect();
        args.sort_by_key(|arg| arg.span);
        Outline {
            description: stage.map_or(String::new(), |stage| description(&stage.comments, &name)),
            name,
            args,
            secrets: mounted(self.builder, |kind| match kind {
                MountKind::Secret(secret) => Some((&secret.id, secret.required)),
                _ => None,
            }),
            ssh: mounted(self.builder, |kind| match kind {
                MountKind::Ssh(agent) => Some((&agent.id, agent.required)),
                _ => None,
            }),
        }
    }

    /// The `ARG`s of a stage. One that only takes over a global one is described where that is.
    fn add_args(&mut self, number: usize, instruction: &Instruction, used: &mut BTreeSet<String>) {
        let Kind::Arg(arguments) = &instruction.kind else {
            return;
        };
        let globals = &self.builder.globals.values;
        for argument in arguments {
            let name = argument.name.text.as_str();
            let given = self.builder.given.contains_key(name);
            if argument.default.is_none() && !given && globals.value(name).is_some() {
                used.insert(name.to_owned());
                continue;
            }
            let value = self.builder.argument(number, name).unwrap_or_default();
            self.add(argument, instruction, value);
        }
    }

    /// Global arguments that are used, and those that their defaults use.
    fn add_globals(&mut self, mut used: BTreeSet<String>) {
        let dockerfile = self.dockerfile;
        for instruction in dockerfile.global_args.iter().rev() {
            let Kind::Arg(arguments) = &instruction.kind else {
                continue;
            };
            for argument in arguments.iter().rev() {
                if !used.contains(&argument.name.text) {
                    continue;
                }
                if let Some(default) = &argument.default {
                    used.extend(self.names_in(&default.text));
                }
                let value = self.builder.globals.values.value(&argument.name.text);
                let value = value.unwrap_or_default().to_owned();
                self.add(argument, instruction, value);
            }
        }
    }

    fn add(&mut self, argument: &Argument, instruction: &Instruction, value: String) {
        let name = argument.name.text.clone();
        let arg = OutlineArg {
            description: description(&instruction.comments, &name),
            name: name.clone(),
            value,
            span: instruction.span,
        };
        self.args.entry(name).or_insert(arg);
    }

    /// The variables that a text uses.
    fn names_in(&self, text: &str) -> BTreeSet<String> {
        let seen = Seen {
            globals: self.builder.globals,
            names: RefCell::default(),
        };
        // What cannot be expanded was reported when it was lowered.
        let _expanded = Lexer::new(self.dockerfile.directives.escape).expand(text, &seen);
        seen.names.into_inner()
    }
}

/// Global variables that take note of what is asked for.
struct Seen<'a> {
    globals: &'a Globals,
    names: RefCell<BTreeSet<String>>,
}

impl Variables for Seen<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.names.borrow_mut().insert(name.to_owned());
        self.globals.values.value(name)
    }
}

/// What all steps mount of one kind, each where it is mounted first.
fn mounted(
    builder: &Builder<'_>,
    wanted: fn(&MountKind) -> Option<(&String, bool)>,
) -> Vec<OutlineSecret> {
    let mut secrets: Vec<OutlineSecret> = Vec::new();
    for step in builder.graph.ids().map(|id| builder.graph.get(id)) {
        let (StepKind::Run(run), Some(span)) = (&step.kind, step.span) else {
            continue;
        };
        for mount in &run.mounts {
            let Some((id, required)) = wanted(&mount.kind) else {
                continue;
            };
            match secrets.iter_mut().find(|known| known.id == *id) {
                Some(known) => known.required |= required,
                None => secrets.push(OutlineSecret {
                    id: id.clone(),
                    required,
                    span,
                }),
            }
        }
    }
    secrets.sort_by_key(|secret| secret.span);
    secrets
}
