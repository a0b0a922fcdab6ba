//! The program under test, with a store of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::command::{self, Outcome};

/// The program and a store that is gone at the end of the test.
#[derive(Debug)]
pub struct Rbuild {
    program: PathBuf,
    layers: Option<&'static str>,
    store: tempfile::TempDir,
}

impl Rbuild {
    /// The program at `path` with an empty store. `$RBUILD_PROGRAM` names another program to test in its place, for
    /// example an installed one.
    pub fn new(path: &str) -> Self {
        let program = std::env::var_os("RBUILD_PROGRAM").map_or_else(|| PathBuf::from(path), PathBuf::from);
        Self { program, layers: None, store: crate::scratch() }
    }

    /// The same with layers in one form only: `erofs` or `directory`.
    #[must_use]
    pub fn with_layers(self, form: &'static str) -> Self {
        Self { layers: Some(form), ..self }
    }

    /// The directory of the store.
    pub fn store(&self) -> &Path {
        self.store.path()
    }

    /// A command of the program on this store, in a clean environment.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.store()).env("RBUILD_STORE", self.store());
        if let Some(form) = self.layers {
            command.args(["--layers", form]);
        }
        command.args(args);
        command
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        command::run(&mut self.command(args))
    }

    /// Builds a context that must build, with plain progress; gives the progress text.
    #[track_caller]
    pub fn build(&self, context: &Path, flags: &[&str]) -> String {
        let outcome = self.try_build(context, flags);
        outcome.succeeded();
        outcome.stderr
    }

    /// Builds a context that may fail to build.
    #[track_caller]
    pub fn try_build(&self, context: &Path, flags: &[&str]) -> Outcome {
        let fixed = ["build", "--progress=plain"].iter().chain(flags).map(OsStr::new);
        command::run(&mut self.command(fixed.chain([context.as_os_str()])))
    }

    /// Starts a command whose output is read later.
    #[track_caller]
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap_or_else(|error| panic!("cannot run `{}`: {error}", self.program.display()))
    }
}
