//! Terminals in builds: `rbuild debug`, `--on-error` and `--invoke`.

use clap::Args;
use engine::build::Debug;

use super::Context;
use super::build::{self, BuildArgs};
use crate::attach;
use crate::backend::Backend;
use crate::error::{BackendError, Error};
use crate::terminal;

/// What terminals and commands are started with.
const SHELL: &str = "/bin/sh";

/// Flags of `rbuild debug`.
#[derive(Debug, Args)]
pub(crate) struct DebugArgs {
    /// The step: its line in the Dockerfile, its place (`2/5`), or a part of its name
    #[arg(value_name = "STEP")]
    pub step: String,
    #[command(flatten)]
    pub build: BuildArgs,
}

/// What is done when a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OnError {
    /// A terminal in the step, as its command left it
    Shell,
}

/// What is to be looked into, and with which command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub what: Debug,
    /// `None`: a shell, in a terminal.
    command: Option<String>,
}

/// Builds what a step needs and opens a terminal where it would run.
pub(crate) async fn run<B: Backend>(args: DebugArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    build::build(args.build, Some(args.step), cx).await
}

impl Wish {
    /// What flags ask for; refused where a terminal is needed and there is none.
    pub(super) fn of(args: &BuildArgs, step: Option<String>) -> Result<Option<Self>, Error> {
        let (what, flag) = match (step, args.on_error) {
            (Some(step), None) => (Debug::Before(step), "rbuild debug"),
            (Some(_), Some(_)) => {
                let message = "`--on-error` is for whole builds, not for `rbuild debug`";
                return Err(Error::Usage(message.to_owned()));
            }
            (None, Some(OnError::Shell)) => (Debug::Failure, "--on-error=shell"),
            (None, None) if args.invoke.is_some() => (Debug::Result, "--invoke"),
            (None, None) => return Ok(None),
        };
        let command = args.invoke.clone().filter(|command| !command.is_empty());
        if command.is_none() && !terminal::input_is_terminal() {
            let instead = match what {
                Debug::Failure => {
                    "`rbuild debug STEP PATH --invoke=COMMAND` runs a command in a step"
                }
                Debug::Before(_) | Debug::Result => "`--invoke=COMMAND` runs a command instead",
            };
            return Err(Error::Usage(format!(
                "`{flag}` needs a terminal on standard input; {instead}"
            )));
        }
        Ok(Some(Self { what, command }))
    }

    /// Runs the command where a build was opened, and gives its exit code.
    pub(super) async fn serve<B: Backend>(
        &self,
        session: &B::Session,
        cx: &Context<'_, B>,
    ) -> Result<u8, Error> {
        let tty = terminal::input_is_terminal();
        let args = match &self.command {
            Some(command) => vec![SHELL.to_owned(), "-c".to_owned(), command.clone()],
            None => vec![SHELL.to_owned()],
        };
        let options = attach::Options {
            tty,
            stdin: true,
            forward_signals: true,
        };
        let started = cx
            .backend
            .enter(session, args, tty.then(terminal::input_size));
        Ok(attach::serve(started, options).await?.code())
    }

    /// Opens the step that failed, and ends with its error.
    pub(super) async fn serve_failure<B: Backend>(
        &self,
        error: BackendError,
        session: Option<B::Session>,
        cx: &mut Context<'_, B>,
    ) -> Result<u8, Error> {
        let error = Error::from(error);
        let Some(session) = session else {
            return Err(error);
        };
        cx.printer.say(&error.report("build"));
        cx.printer
            .say("This is a terminal in the step that failed; `exit` ends the build.\n");
        self.serve(&session, cx).await?;
        Err(Error::Reported)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, run_command};

    #[test]
    fn a_terminal_is_asked_for_before_anything_is_built() {
        let fake = Fake::default();
        for words in [
            &["build", "--on-error=shell", "."][..],
            &["build", "--invoke", "."],
            &["debug", "3", "."],
        ] {
            let done = run_command(&fake, words);
            assert_eq!(done.code, 1, "{words:?}");
            let needed = "needs a terminal on standard input";
            assert!(done.err.contains(needed), "{}", done.err);
        }
        assert!(fake.builds.lock().expect("no panic").is_empty());
    }
}
