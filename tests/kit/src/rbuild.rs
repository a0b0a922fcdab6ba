//! The program under test, with a store of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::command::{self, Outcome};

/// The program and a store that is gone at the end of the test.
#[derive(Debug)]
pub struct Rbuild {
    program: PathBuf,
    layers: Option<String>,
    store: tempfile::TempDir,
}

impl Rbuild {
    /// The program at `path` with an empty store. `$RBUILD_PROGRAM` names another program to test in its place, for
    /// example an installed one; `$RBUILD_TEST_LAYERS` is the form of layers, `erofs` or `directory`.
    pub fn new(path: &str) -> Self {
        let program =
            std::env::var_os("RBUILD_PROGRAM").map_or_else(|| PathBuf::from(path), PathBuf::from);
        Self {
            program,
            layers: std::env::var("RBUILD_TEST_LAYERS").ok(),
            store: crate::scratch(),
        }
    }

    /// The same with layers in one form only: `erofs` or `directory`.
    #[must_use]
    pub fn with_layers(self, form: &str) -> Self {
        Self {
            layers: Some(form.to_owned()),
            ..self
        }
    }

    /// The directory of the store.
    pub fn store(&self) -> &Path {
        self.store.path()
    }

    /// A command of the program on this store, in a clean environment.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", self.store())
            .env("RBUILD_STORE", self.store())
            // Only where it is tested: it would go on behind the end of a test.
            .env("RBUILD_GC", "off");
        if let Some(form) = &self.layers {
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
        let fixed = ["build", "--progress=plain"]
            .iter()
            .chain(flags)
            .map(OsStr::new);
        command::run(&mut self.command(fixed.chain([context.as_os_str()])))
    }

    /// Builds a context under a name, and runs the image's command with `args` after it.
    #[track_caller]
    pub fn build_and_run(&self, context: &Path, args: &[&str]) -> Outcome {
        self.build(context, &["-t", "built"]);
        self.run(["run", "--rm", "built"].iter().chain(args))
    }

    /// Panics unless the store holds nothing that is half made. Only right while no process uses the store.
    #[track_caller]
    pub fn assert_nothing_half_made(&self) {
        for place in ["tmp", "uppers"] {
            let Ok(entries) = std::fs::read_dir(self.store().join(place)) else {
                continue;
            };
            let left: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            assert!(left.is_empty(), "the store still holds {left:?}");
        }
    }

    /// Panics if something of this store is mounted, as every process of the machine sees it.
    #[track_caller]
    pub fn assert_nothing_mounted(&self) {
        let store = self.store().to_str().expect("scratch paths are UTF-8");
        for process in std::fs::read_dir("/proc")
            .expect("/proc is mounted")
            .flatten()
        {
            let mounts =
                std::fs::read_to_string(process.path().join("mountinfo")).unwrap_or_default();
            let mounted: Vec<_> = mounts.lines().filter(|line| line.contains(store)).collect();
            assert!(
                mounted.is_empty(),
                "process {} still sees {mounted:?}",
                process.path().display()
            );
        }
    }

    /// Starts a command whose output is read later.
    #[track_caller]
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Child {
        let mut command = self.command(args);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run `{}`: {error}", self.program.display()))
    }
}
