//! `SOURCE_DATE_EPOCH`: a number of seconds, or what has a time: the build context, a named context, or a stage that is
//! nothing but one remote `ADD` (BuildKit's `resolveSourceDateEpochValue`).

use std::collections::BTreeMap;

use super::options::{NamedContext, Options};
use super::remote::{remote_file, remote_repository};
use crate::diagnostic::Diagnostic;
use crate::expand::{Environment, Lexer, Variables as _};
use crate::remote::{GitSource, RemoteSource, is_url};
use crate::span::Span;
use crate::syntax::ast::{AddFlags, Argument, Dockerfile, Kind, Sources, Stage};
use crate::syntax::logical::Word;

/// The argument.
pub(super) const NAME: &str = "SOURCE_DATE_EPOCH";
/// The value that stands for the build context.
const CONTEXT: &str = "context";

/// Something whose time is to be found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeSource {
    /// The build context.
    Context,
    /// What is on the network.
    Remote(RemoteSource),
    /// A directory or an image: as with BuildKit they have no time of their own.
    Timeless,
}

/// The time of everything that a build makes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Epoch {
    /// As it comes.
    #[default]
    Unset,
    /// Seconds since 1970.
    Seconds(i64),
    /// That of something.
    Of(TimeSource),
}

impl Epoch {
    pub(super) fn seconds(&self) -> Option<i64> {
        match self {
            Self::Seconds(seconds) => Some(*seconds),
            Self::Unset | Self::Of(_) => None,
        }
    }
}

/// What a value of the argument stands for. `values` are the global arguments.
pub(super) fn read(
    text: &str,
    span: Option<Span>,
    dockerfile: &Dockerfile,
    options: &Options,
    values: &Environment,
) -> Result<Epoch, Diagnostic> {
    if let Ok(seconds) = text.parse::<i64>()
        && seconds >= 0
    {
        return Ok(Epoch::Seconds(seconds));
    }
    if text == CONTEXT {
        return Ok(Epoch::Of(TimeSource::Context));
    }
    if let Some((_, context)) = options.context(text, &options.platform) {
        return Ok(Epoch::Of(match context {
            NamedContext::Remote(source) => TimeSource::Remote(source.clone()),
            NamedContext::Directory | NamedContext::Image(_) => TimeSource::Timeless,
        }));
    }
    let is_named = |stage: &&Stage| {
        let name = stage.name.as_deref();
        name.is_some_and(|name| name.eq_ignore_ascii_case(text))
    };
    let Some(stage) = dockerfile.stages.iter().find(is_named) else {
        return Err(
            Diagnostic::error(format!("invalid `{NAME}`: `{text}`"), span).with_help(
                "it is a number of seconds since 1970-01-01 00:00 UTC, `context`, or the name of a context or stage",
            ),
        );
    };
    let source = StageSource {
        stage,
        lexer: Lexer::new(dockerfile.directives.escape),
        given: options.arguments(),
        values: values.clone(),
    };
    source
        .find()
        .map(|source| Epoch::Of(TimeSource::Remote(source)))
}

/// A stage that is to be nothing but one remote source.
struct StageSource<'a> {
    stage: &'a Stage,
    lexer: Lexer,
    given: BTreeMap<&'a str, &'a str>,
    values: Environment,
}

impl StageSource<'_> {
    fn find(mut self) -> Result<RemoteSource, Diagnostic> {
        if self.expand(&self.stage.base)? != "scratch" {
            return Err(Diagnostic::error(
                format!("a stage that `{NAME}` names must use `FROM scratch`"),
                self.stage.base.span,
            ));
        }
        let one = |span: Span| {
            Diagnostic::error(
                format!("a stage that `{NAME}` names must contain exactly one remote `ADD`"),
                span,
            )
        };
        let mut found = None;
        for instruction in &self.stage.instructions {
            match &instruction.kind {
                Kind::Arg(arguments) => self.declare(arguments)?,
                Kind::Add(flags, sources) if found.is_none() => {
                    let source = self.source(flags, sources)?;
                    found = Some(source.ok_or_else(|| one(instruction.span))?);
                }
                Kind::Add(..) => return Err(one(instruction.span)),
                _ => {
                    return Err(Diagnostic::error(
                        format!(
                            "a stage that `{NAME}` names can only have `ARG` and one remote `ADD`"
                        ),
                        instruction.span,
                    ));
                }
            }
        }
        found.ok_or_else(|| one(self.stage.span))
    }

    fn declare(&mut self, arguments: &[Argument]) -> Result<(), Diagnostic> {
        for argument in arguments {
            let name = argument.name.text.as_str();
            if let Some(value) = self.given.get(name) {
                self.values.set(name, value);
            } else if let Some(default) = &argument.default {
                let value = self.expand(default)?;
                self.values.set(name, &value);
            }
        }
        Ok(())
    }

    /// The one source of an `ADD`, if it is remote.
    fn source(
        &self,
        flags: &AddFlags,
        sources: &Sources,
    ) -> Result<Option<RemoteSource>, Diagnostic> {
        let ([path], []) = (&*sources.paths, &*sources.heredocs) else {
            return Ok(None);
        };
        let path = self.word(path)?;
        let checksum = flags.checksum.as_ref();
        let checksum = checksum.map(|word| self.word(word)).transpose()?;
        if let Some(parsed) = GitSource::parse(&path.text) {
            let source = parsed
                .and_then(|source| remote_repository(source, flags, checksum.as_ref()))
                .map_err(|error| Diagnostic::error(error.to_string(), path.span))?;
            return Ok(Some(RemoteSource::Git(source)));
        }
        if !is_url(&path.text) {
            return Ok(None);
        }
        let source = remote_file(&path, false, checksum.as_ref())?;
        Ok(Some(RemoteSource::Http(source)))
    }

    fn word(&self, word: &Word) -> Result<Word, Diagnostic> {
        Ok(Word {
            text: self.expand(word)?,
            span: word.span,
        })
    }

    fn expand(&self, word: &Word) -> Result<String, Diagnostic> {
        let expanded = self.lexer.expand(&word.text, &self.values);
        expanded
            .map(|expanded| expanded.text)
            .map_err(|error| Diagnostic::error(error.to_string(), word.span))
    }
}

/// The value that the argument has: what was given, or the default of the Dockerfile.
pub(super) fn value(given: &BTreeMap<&str, &str>, values: &Environment) -> Option<String> {
    let value = given.get(NAME).copied().or_else(|| values.value(NAME));
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}
