//! A Dockerfile as its grammar sees it: stages of instructions, nothing expanded.

use std::sync::Arc;

use super::directive::Directives;
use super::heredoc::Heredoc;
use super::logical::Word;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// A parsed Dockerfile.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    pub(crate) directives: Directives,
    /// `ARG`s in front of the first `FROM`.
    pub(crate) global_args: Vec<Arc<Instruction>>,
    /// At least one.
    pub(crate) stages: Vec<Stage>,
    /// What the parser found worth a warning.
    pub(crate) warnings: Vec<Diagnostic>,
}

impl Dockerfile {
    /// The names of the stages, in order; `None` for those without one.
    pub fn stage_names(&self) -> impl Iterator<Item = Option<&str>> {
        self.stages.iter().map(|stage| stage.name.as_deref())
    }
}

/// `FROM` and what follows it.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    /// The name after `AS`, in lower case.
    pub(crate) name: Option<String>,
    /// The name and its `AS` as written.
    pub(crate) named: Option<(Word, Word)>,
    pub(crate) base: Word,
    pub(crate) platform: Option<Word>,
    /// `FROM` as written.
    pub(crate) keyword: Word,
    /// The `FROM` line.
    pub(crate) span: Span,
    pub(crate) comments: Vec<String>,
    pub(crate) instructions: Vec<Arc<Instruction>>,
}

/// An instruction other than `FROM`.
#[derive(Debug, Clone)]
pub(crate) struct Instruction {
    pub(crate) kind: Kind,
    /// The keyword as written.
    pub(crate) keyword: Word,
    /// The whole logical line, continuations joined.
    pub(crate) code: String,
    /// All of it, here-documents left out.
    pub(crate) span: Span,
    /// The comments right above.
    pub(crate) comments: Vec<String>,
}

/// What an instruction says.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Add(AddFlags, Sources),
    Arg(Vec<Argument>),
    Cmd(CommandLine),
    Copy(CopyFlags, Sources),
    Entrypoint(CommandLine),
    Env(KeyValues),
    Expose(Vec<Word>),
    Healthcheck(Healthcheck),
    Label(KeyValues),
    Maintainer(Word),
    Onbuild(Onbuild),
    Run(RunFlags, CommandLine),
    Shell(Vec<String>),
    Stopsignal(Word),
    User(Word),
    Volume(Vec<Word>),
    Workdir(Word),
}

/// `NAME` or `NAME=value` of an `ARG`.
#[derive(Debug, Clone)]
pub(crate) struct Argument {
    pub(crate) name: Word,
    pub(crate) default: Option<Word>,
}

/// The pairs of an `ENV` or `LABEL`.
#[derive(Debug, Clone)]
pub(crate) struct KeyValues {
    pub(crate) pairs: Vec<(Word, Word)>,
    /// Written in the old form, `KEY value`.
    pub(crate) legacy: bool,
}

/// A command.
#[derive(Debug, Clone)]
pub(crate) struct CommandLine {
    /// The strings of the exec form; the one line of the shell form, or nothing.
    pub(crate) args: Vec<String>,
    /// Written for the shell.
    pub(crate) shell: bool,
    pub(crate) heredocs: Vec<Heredoc>,
    pub(crate) span: Span,
}

/// What a `COPY` or `ADD` copies, and where to.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) paths: Vec<Word>,
    /// Those that are files, and where they are named.
    pub(crate) heredocs: Vec<(Heredoc, Span)>,
    pub(crate) dest: Word,
}

/// The flags that `COPY` and `ADD` share.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileFlags {
    pub(crate) chown: Option<Word>,
    pub(crate) chmod: Option<Word>,
    pub(crate) link: Option<Switch>,
    pub(crate) if_exists: Option<Switch>,
    pub(crate) exclude: Vec<Word>,
}

/// A boolean flag and its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Switch {
    pub(crate) on: bool,
    pub(crate) span: Span,
}

/// The flags of `COPY`.
#[derive(Debug, Clone, Default)]
pub(crate) struct CopyFlags {
    pub(crate) files: FileFlags,
    pub(crate) from: Option<Word>,
    pub(crate) parents: Option<Switch>,
}

/// The flags of `ADD`.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddFlags {
    pub(crate) files: FileFlags,
    pub(crate) checksum: Option<Word>,
    pub(crate) keep_git_dir: Option<Switch>,
    pub(crate) unpack: Option<Switch>,
}

/// The flags of `RUN`.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunFlags {
    pub(crate) mounts: Vec<MountFlag>,
    pub(crate) network: Option<Word>,
    pub(crate) security: Option<Word>,
    pub(crate) devices: Vec<Word>,
    pub(crate) no_cache: Option<Switch>,
    pub(crate) cache_ttl: Option<Word>,
    pub(crate) services: Vec<ServiceFlag>,
}

/// A `--service`.
#[derive(Debug, Clone)]
pub(crate) struct ServiceFlag {
    /// What its host is called.
    pub(crate) name: String,
    /// The stage or image.
    pub(crate) image: String,
    pub(crate) span: Span,
}

/// A `--mount`: its fields, nothing expanded.
#[derive(Debug, Clone)]
pub(crate) struct MountFlag {
    pub(crate) fields: Vec<MountField>,
    /// `from`, which may hold no variable.
    pub(crate) from: Option<String>,
    pub(crate) span: Span,
}

/// A field of a `--mount`.
#[derive(Debug, Clone)]
pub(crate) struct MountField {
    /// In lower case.
    pub(crate) key: String,
    /// What is behind the `=`, if there is one.
    pub(crate) value: Option<String>,
    pub(crate) span: Span,
}

/// `HEALTHCHECK`: durations in nanoseconds, 0 for those not given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Healthcheck {
    pub(crate) test: Vec<String>,
    pub(crate) interval: u64,
    pub(crate) timeout: u64,
    pub(crate) start_period: u64,
    pub(crate) start_interval: u64,
    pub(crate) retries: u64,
}

/// `ONBUILD`.
#[derive(Debug, Clone)]
pub(crate) struct Onbuild {
    /// The instruction as an image keeps it, its here-documents included.
    pub(crate) expression: String,
    /// What it says.
    pub(crate) trigger: Box<Kind>,
}
