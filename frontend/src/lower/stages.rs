//! The stages of a build and what they need of each other: base images, bases that are stages, `--from`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::globals::Globals;
use super::options::{NamedContext, Options};
use super::reference;
use super::{ImageRequest, Need};
use crate::diagnostic::{Diagnostic, Findings, shortened};
use crate::expand::{Expanded, Lexer, Unset};
use crate::lint;
use crate::plan::{BaseImage, Platform};
use crate::span::Span;
use crate::syntax::ast::{Dockerfile, Instruction, Kind, Stage};
use crate::syntax::logical::Word;
use crate::syntax::parse_trigger;

/// What a stage begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Base {
    Scratch,
    Stage(usize),
    Image(ImageRequest),
    /// The files of a named context.
    Context(String),
}

/// An instruction with the stages whose files it reads.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) instruction: Arc<Instruction>,
    /// `COPY`: one for its `--from`. `RUN`: one a mount, `None` for those that have none.
    pub(super) sources: Vec<Option<usize>>,
    /// It came out of an `ONBUILD`.
    pub(super) on_build: bool,
}

/// A stage of the file, or an image that a `--from` names.
#[derive(Debug)]
pub(super) struct Node<'a> {
    /// `None` for an image of a `--from`.
    pub(super) stage: Option<&'a Stage>,
    /// The stage's name, or `stage-N`.
    pub(super) name: String,
    pub(super) base: Base,
    /// Where the base is named.
    pub(super) span: Span,
    pub(super) commands: Vec<Command>,
    /// The platform of its base: `--platform`, or that of the build.
    pub(super) platform: Platform,
    /// What its commands read, and where they say so.
    reads: Vec<(usize, Span)>,
    triggers_added: bool,
}

/// All stages, those of the file first.
#[derive(Debug)]
pub(super) struct Stages<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    by_name: BTreeMap<String, usize>,
    images: BTreeMap<String, usize>,
    /// How many are in the file.
    pub(super) written: usize,
    /// Whether step names leave the stage out: the file has one stage, and no image beside it.
    pub(super) single: bool,
    options: &'a Options,
    escape: char,
    platform: Platform,
}

impl<'a> Stages<'a> {
    /// Finds every stage's base and what its commands read.
    pub(super) fn new(
        dockerfile: &'a Dockerfile,
        options: &'a Options,
        globals: &Globals,
        findings: &mut Findings,
    ) -> Self {
        let mut stages = Self {
            nodes: Vec::new(),
            by_name: BTreeMap::new(),
            images: BTreeMap::new(),
            written: dockerfile.stages.len(),
            single: false,
            options,
            escape: dockerfile.directives.escape,
            platform: options.platform.clone(),
        };
        for (number, stage) in dockerfile.stages.iter().enumerate() {
            stages.add_stage(number, stage, globals, findings);
        }
        for (number, stage) in dockerfile.stages.iter().enumerate() {
            let name = stage.name.as_deref();
            let platform = &stages.nodes[number].platform;
            if name.is_some_and(|name| options.context(name, platform).is_some()) {
                // What takes a stage's place is all of it.
                continue;
            }
            for instruction in &stage.instructions {
                match stages.command(instruction, false) {
                    Ok(command) => stages.attach(number, command),
                    Err(error) => findings.add(error),
                }
            }
        }
        stages.single = stages.nodes.len() == 1;
        stages.check_cycles(findings);
        stages
    }

    fn add_stage(
        &mut self,
        number: usize,
        stage: &'a Stage,
        globals: &Globals,
        findings: &mut Findings,
    ) {
        let platform = match &stage.platform {
            Some(word) => self.stage_platform(word, globals, findings),
            None => Ok(self.platform.clone()),
        };
        let platform = platform.unwrap_or_else(|error| {
            findings.add(error);
            self.platform.clone()
        });
        let base = match self.expand_global(&stage.base, globals, findings) {
            Ok(expanded) if expanded.text.is_empty() => Err(Diagnostic::error(
                format!("base name (`{}`) should not be blank", stage.base.text),
                stage.base.span,
            )
            .with_help("give the `ARG` a default, or a value with `--build-arg`")),
            Ok(expanded) => match &stage.name {
                Some(name) if self.options.context(name, &platform).is_some() => {
                    self.named_context(name, &platform, stage.base.span)
                }
                _ => self.base(&expanded.text, &platform, stage.base.span),
            },
            Err(error) => Err(error),
        };
        let name = stage.name.clone();
        self.nodes.push(Node {
            stage: Some(stage),
            name: name.clone().unwrap_or_else(|| format!("stage-{number}")),
            base: base.unwrap_or_else(|error| {
                findings.add(error);
                Base::Scratch
            }),
            span: stage.base.span,
            commands: Vec::new(),
            platform,
            reads: Vec::new(),
            triggers_added: false,
        });
        if let Some(name) = name {
            self.by_name.insert(name, number);
        }
    }

    /// Expands a word of a `FROM`.
    fn expand_global(
        &self,
        word: &Word,
        globals: &Globals,
        findings: &mut Findings,
    ) -> Result<Expanded, Diagnostic> {
        let expanded = Lexer::new(self.escape)
            .expand(&word.text, &globals.values)
            .map_err(|error| {
                Diagnostic::error(
                    format!("failed to process `{}`: {error}", shortened(&word.text)),
                    word.span,
                )
            })?;
        for name in &expanded.unset {
            if !globals.is_declared(name) && findings.takes_warnings() {
                let known = globals.values.names();
                findings.add(lint::undefined_arg_in_from::finding(name, word.span, known));
            }
        }
        Ok(expanded)
    }

    fn stage_platform(
        &self,
        word: &Word,
        globals: &Globals,
        findings: &mut Findings,
    ) -> Result<Platform, Diagnostic> {
        let text = self.expand_global(word, globals, findings)?.text;
        if text.is_empty() {
            return Err(Diagnostic::error(
                format!("empty platform value from expression `{}`", word.text),
                word.span,
            ));
        }
        Platform::parse(&text, &self.options.build_platform).ok_or_else(|| {
            Diagnostic::error(format!("invalid platform `{text}`"), word.span)
                .with_help("write os/architecture, such as `linux/amd64`")
        })
    }

    /// What a name behind `FROM` or in a `--from` is, when it is no stage that can be used there.
    fn base(&self, name: &str, platform: &Platform, span: Span) -> Result<Base, Diagnostic> {
        if let Some(&stage) = self.by_name.get(&name.to_lowercase()) {
            return Ok(Base::Stage(stage));
        }
        if name == "scratch" {
            return Ok(Base::Scratch);
        }
        if self.options.context(name, platform).is_some() {
            return self.named_context(name, platform, span);
        }
        self.image(name, platform, span)
    }

    /// What the named context is that takes the place of a stage or an image.
    fn named_context(
        &self,
        name: &str,
        platform: &Platform,
        span: Span,
    ) -> Result<Base, Diagnostic> {
        match self.options.context(name, platform) {
            Some((_, NamedContext::Image(reference))) => Ok(Base::Image(ImageRequest {
                reference: reference.clone(),
                platform: platform.clone(),
            })),
            Some((name, NamedContext::Directory | NamedContext::Remote(_))) => {
                Ok(Base::Context(name.to_owned()))
            }
            None => self.image(name, platform, span),
        }
    }

    fn image(&self, name: &str, platform: &Platform, span: Span) -> Result<Base, Diagnostic> {
        let reference = reference::normalise(name).map_err(|error| {
            Diagnostic::error(
                format!("invalid image name `{}`: {error}", shortened(name)),
                span,
            )
            .with_suggestion(name, self.by_name.keys().map(String::as_str))
        })?;
        Ok(Base::Image(ImageRequest {
            reference,
            platform: platform.clone(),
        }))
    }

    /// Where the commands of a stage run: a stage that begins from another runs where that does.
    pub(super) fn platform<'s>(&'s self, node: &'s Node<'_>) -> &'s Platform {
        let mut node = node;
        while let Base::Stage(base) = node.base {
            node = &self.nodes[base];
        }
        &node.platform
    }

    /// The file's escape character.
    pub(super) fn escape(&self) -> char {
        self.escape
    }

    fn attach(&mut self, number: usize, command: Command) {
        let span = command.instruction.span;
        let node = &mut self.nodes[number];
        let sources = command.sources.iter().flatten();
        node.reads.extend(sources.map(|source| (*source, span)));
        node.commands.push(command);
    }

    /// Finds whose files an instruction reads.
    fn command(
        &mut self,
        instruction: &Arc<Instruction>,
        on_build: bool,
    ) -> Result<Command, Diagnostic> {
        let sources = match &instruction.kind {
            Kind::Copy(flags, _) => match &flags.from {
                Some(from) => vec![Some(self.copy_source(from)?)],
                None => Vec::new(),
            },
            Kind::Run(flags, _) => {
                let mut sources = Vec::with_capacity(flags.mounts.len());
                for mount in &flags.mounts {
                    let name = mount.from.as_deref().unwrap_or("scratch");
                    let source = self.source(name, mount.span)?;
                    sources.push(mount.from.is_some().then_some(source));
                }
                for service in &flags.services {
                    sources.push(Some(self.source(&service.image, service.span)?));
                }
                sources
            }
            _ => Vec::new(),
        };
        Ok(Command {
            instruction: Arc::clone(instruction),
            sources,
            on_build,
        })
    }

    /// `COPY --from`: a stage by number or name, or an image.
    fn copy_source(&mut self, from: &Word) -> Result<usize, Diagnostic> {
        let expanded = Lexer::new(self.escape).expand(&from.text, &Unset);
        if expanded.map_or(true, |expanded| expanded.text != from.text) {
            return Err(Diagnostic::error(
                "variable expansion is not supported for `--from`",
                from.span,
            )
            .with_help("define a stage with `FROM $image AS name`, and copy from that"));
        }
        match from.text.parse::<i64>() {
            Ok(number) => usize::try_from(number)
                .ok()
                .filter(|number| *number < self.written)
                .ok_or_else(|| {
                    Diagnostic::error(format!("invalid stage index {number}"), from.span)
                }),
            Err(_) => self.source(&from.text, from.span),
        }
    }

    /// A stage of that name, or the image.
    fn source(&mut self, name: &str, span: Span) -> Result<usize, Diagnostic> {
        if let Some(&stage) = self.by_name.get(&name.to_lowercase()) {
            return Ok(stage);
        }
        if let Some(&image) = self.images.get(name) {
            return Ok(image);
        }
        let base = self.base(name, &self.platform, span)?;
        self.nodes.push(Node {
            stage: None,
            name: String::new(),
            base,
            span,
            commands: Vec::new(),
            platform: self.platform.clone(),
            reads: Vec::new(),
            triggers_added: true,
        });
        let number = self.nodes.len() - 1;
        self.images.insert(name.to_owned(), number);
        Ok(number)
    }

    /// A stage that reads its own files, or those of one that reads its, can never be built.
    fn check_cycles(&self, findings: &mut Findings) {
        let mut done = vec![false; self.nodes.len()];
        let mut on_path = vec![false; self.nodes.len()];
        for first in 0..self.written {
            let mut path = vec![(first, 0)];
            while let Some((number, next)) = path.pop() {
                if next == 0 {
                    if done[number] {
                        continue;
                    }
                    on_path[number] = true;
                }
                let Some((read, span)) = self.nodes[number].reads.get(next) else {
                    on_path[number] = false;
                    done[number] = true;
                    continue;
                };
                if on_path[*read] {
                    findings.add(Diagnostic::error(
                        format!(
                            "circular dependency detected on stage: {}",
                            self.nodes[*read].name
                        ),
                        *span,
                    ));
                    return;
                }
                path.push((number, next + 1));
                path.push((*read, 0));
            }
        }
    }

    /// The stage to build.
    pub(super) fn target(&self, wanted: Option<&str>) -> Result<usize, Diagnostic> {
        let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
            return Ok(self.written - 1);
        };
        if let Some(&number) = self.by_name.get(&wanted.to_lowercase()) {
            return Ok(number);
        }
        if let Some(number) = wanted.parse().ok().filter(|number| *number < self.written) {
            return Ok(number);
        }
        Err(
            Diagnostic::error(format!("target stage `{wanted}` could not be found"), None)
                .with_suggestion(wanted, self.by_name.keys().map(String::as_str)),
        )
    }

    /// What some stages need, themselves included, in the order of the file.
    fn needed(&self, wanted: &[usize]) -> BTreeSet<usize> {
        let mut needed = BTreeSet::new();
        let mut open = wanted.to_vec();
        while let Some(number) = open.pop() {
            if needed.insert(number) {
                let node = &self.nodes[number];
                if let Base::Stage(base) = node.base {
                    open.push(base);
                }
                open.extend(node.reads.iter().map(|(read, _)| *read));
            }
        }
        needed
    }

    /// Puts the `ONBUILD` triggers of bases in front of the commands of the stages that are needed for those that are
    /// wanted, as far as the images are known. Triggers can make a stage need more, so this goes on until they do not.
    pub(super) fn add_triggers(
        &mut self,
        wanted: &[usize],
        images: &BTreeMap<ImageRequest, BaseImage>,
        findings: &mut Findings,
    ) -> BTreeSet<usize> {
        loop {
            let needed = self.needed(wanted);
            let mut added = false;
            for &number in &needed {
                if self.nodes[number].triggers_added {
                    continue;
                }
                let Some(triggers) = self.triggers(number, images) else {
                    continue;
                };
                self.nodes[number].triggers_added = true;
                added |= !triggers.is_empty();
                self.prepend(number, &triggers, findings);
            }
            if !added {
                return needed;
            }
        }
    }

    /// The triggers of a stage's base; `None` while its image is not known.
    fn triggers(
        &self,
        number: usize,
        images: &BTreeMap<ImageRequest, BaseImage>,
    ) -> Option<Vec<String>> {
        match &self.nodes[number].base {
            Base::Scratch | Base::Context(_) => Some(Vec::new()),
            Base::Image(request) => Some(images.get(request)?.config.on_build.clone()),
            Base::Stage(base) => {
                let stage = self.nodes[*base].stage?;
                let triggers = stage.instructions.iter();
                Some(
                    triggers
                        .filter_map(|instruction| match &instruction.kind {
                            Kind::Onbuild(trigger) => Some(trigger.expression.clone()),
                            _ => None,
                        })
                        .collect(),
                )
            }
        }
    }

    fn prepend(&mut self, number: usize, triggers: &[String], findings: &mut Findings) {
        let span = self.nodes[number]
            .stage
            .map_or(self.nodes[number].span, |stage| stage.span);
        let own = std::mem::take(&mut self.nodes[number].commands);
        for trigger in triggers {
            let command = parse_trigger(trigger, span)
                .and_then(|instruction| self.command(&Arc::new(instruction), true));
            match command {
                Ok(command) => self.attach(number, command),
                Err(error) => findings.add(error.with_note(
                    format!("in the trigger `ONBUILD {trigger}` of the base"),
                    None,
                )),
            }
        }
        self.nodes[number].commands.extend(own);
    }

    /// The images that are needed and not known yet.
    pub(super) fn missing(
        &self,
        needed: &BTreeSet<usize>,
        images: &BTreeMap<ImageRequest, BaseImage>,
    ) -> Vec<Need> {
        let mut asked = BTreeSet::new();
        let mut missing = Vec::new();
        for &number in needed {
            let node = &self.nodes[number];
            let Base::Image(request) = &node.base else {
                continue;
            };
            if !images.contains_key(request) && asked.insert(request) {
                missing.push(Need {
                    image: request.clone(),
                    span: node.span,
                    hint: self.hint(number),
                });
            }
        }
        missing
    }

    /// What may have been meant by an image that cannot be found.
    fn hint(&self, number: usize) -> Option<String> {
        let name = match self.nodes[number].stage {
            Some(stage) => &stage.base.text,
            None => self.images.iter().find(|(_, image)| **image == number)?.0,
        };
        if self.by_name.contains_key(&name.to_lowercase()) {
            return Some(format!(
                "the stage `{name}` needs to be defined before the stage that begins from it"
            ));
        }
        crate::suggest::nearest(name, self.by_name.keys().map(String::as_str))
            .map(|near| format!("did you mean the stage `{near}`?"))
    }
}
