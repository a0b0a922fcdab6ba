//! Which rules count where: for the whole file by its `check` directive or the build argument that takes its place, for
//! single instructions by the comments above them.

use super::rule::{Group, Rule};
use super::settings::{OPTIONS, Settings, SettingsError};
use crate::diagnostic::Diagnostic;
use crate::lower::Options;
use crate::span::Span;
use crate::syntax::ast::Dockerfile;

/// The build argument that takes the place of the directive.
const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// Which rules count where.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    file: Settings,
    /// Instructions that have settings of their own, by where they begin.
    own: Vec<(u32, Settings)>,
    /// Where each instruction begins, in order; empty when none has settings.
    starts: Vec<u32>,
    /// Rules of checks count, too.
    checking: bool,
}

impl Selection {
    /// Reads the settings of a file. `checking`: a check rather than a build.
    pub(crate) fn new(
        dockerfile: &Dockerfile,
        options: &Options,
        checking: bool,
    ) -> Result<Self, Diagnostic> {
        let argument = options
            .build_args
            .iter()
            .rev()
            .find_map(|(name, value)| value.as_deref().filter(|_| name == ARGUMENT));
        let directive = dockerfile.directives.check.as_ref();
        let (text, span) = match (argument, directive) {
            (Some(text), _) => (text, None),
            (None, Some(word)) => (word.text.as_str(), Some(word.span)),
            (None, None) => ("", None),
        };
        let file = Settings::parse(text).map_err(|error| refusal(&error, span))?;
        let mut selection = Self {
            file,
            own: Vec::new(),
            starts: Vec::new(),
            checking,
        };
        selection.read_comments(dockerfile);
        Ok(selection)
    }

    fn read_comments(&mut self, dockerfile: &Dockerfile) {
        let stages = dockerfile.stages.iter().flat_map(|stage| {
            let from = std::iter::once((stage.span, &stage.comments));
            let instructions = stage.instructions.iter();
            from.chain(instructions.map(|instruction| (instruction.span, &instruction.comments)))
        });
        let global = dockerfile.global_args.iter();
        let all = global.map(|instruction| (instruction.span, &instruction.comments));
        let mut starts = Vec::new();
        for (span, comments) in all.chain(stages) {
            starts.push(span.start);
            if let Some(settings) = Settings::of_comments(comments) {
                self.own.push((span.start, settings));
            }
        }
        if !self.own.is_empty() {
            self.starts = starts;
        }
    }

    /// The settings of the instruction that a place is in.
    fn own(&self, span: Option<Span>) -> Option<&Settings> {
        let place = span?.start;
        let before = self.starts.partition_point(|start| *start <= place);
        let start = self.starts.get(before.checked_sub(1)?)?;
        let at = self.own.binary_search_by_key(start, |(begin, _)| *begin);
        at.ok().map(|at| &self.own[at].1)
    }

    /// Whether a rule counts at a place.
    pub(crate) fn wants(&self, rule: &Rule, span: Option<Span>) -> bool {
        let own = self.own(span);
        let by_own = |test: fn(&Settings, &Rule) -> bool| own.is_some_and(|own| test(own, rule));
        match rule.group {
            Group::Shell if !self.checking => false,
            Group::Experimental => self.file.turns_on(rule) || by_own(Settings::turns_on),
            Group::Standard | Group::Shell | Group::Extension => {
                !self.file.skips(rule) && !by_own(Settings::skips)
            }
        }
    }

    /// Whether a finding at a place stops a build.
    pub(crate) fn is_error(&self, span: Option<Span>) -> bool {
        self.file.error || self.own(span).is_some_and(|own| own.error)
    }
}

fn refusal(error: &SettingsError, span: Option<Span>) -> Diagnostic {
    let diagnostic = match span {
        Some(span) => Diagnostic::error(error.to_string(), span),
        None => Diagnostic::error(format!("{ARGUMENT}: {error}"), None),
    };
    match error {
        SettingsError::NoValue(name) | SettingsError::Unknown(name) => {
            let list = "the options are `skip=RULE,...`, `error=true` and `experimental=RULE,...`";
            match crate::suggest::nearest(name, OPTIONS) {
                Some(near) => diagnostic.with_help(format!("did you mean `{near}=`?")),
                None => diagnostic.with_help(list),
            }
        }
        SettingsError::NotBool(_) => diagnostic.with_help("write `error=true` or `error=false`"),
    }
}
