//! One file per command, or per few that share their work: the flags, and what is done with them.

pub(crate) mod build;
mod build_arguments;
mod build_origin;
pub(crate) mod builds;
mod call;
pub(crate) mod containers;
pub(crate) mod debug;
mod dry_run;
pub(crate) mod du;
pub(crate) mod exec;
pub(crate) mod explain;
mod filter;
pub(crate) mod graph;
pub(crate) mod history;
pub(crate) mod images;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod login;
pub(crate) mod logs;
pub(crate) mod prune;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod run;
pub(crate) mod save;
pub(crate) mod stop;
pub(crate) mod store;
mod verify;

#[cfg(test)]
pub(crate) mod fake;

use std::time::SystemTime;

use jiff::Timestamp;

use crate::backend::Backend;
use crate::cli::{Command, Global};
use crate::display::{Display, Mode};
use crate::error::Error;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::{terminal, units};

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context<'a, B> {
    /// The engine.
    pub backend: &'a B,
    /// Where results and messages go.
    pub printer: &'a mut Printer,
    /// Flags of every command.
    pub global: &'a Global,
    /// The environment.
    pub settings: &'a Settings,
}

/// Runs a command and gives the program's exit code.
pub(crate) async fn dispatch<B: Backend>(
    command: Command,
    cx: &mut Context<'_, B>,
) -> Result<u8, Error> {
    match command {
        Command::Build(args) => build::run(*args, cx).await,
        Command::Builds(command) => builds::run(command, cx).await,
        Command::Debug(args) => debug::run(*args, cx).await,
        Command::Graph(args) => graph::run(*args, cx).await,
        Command::Explain(args) => explain::run(&args, cx).await,
        Command::Run(args) => run::run(*args, cx).await,
        Command::Exec(args) => exec::run(args, cx).await,
        Command::Ps(args) => containers::ps(&args, cx).await,
        Command::Logs(args) => logs::run(args, cx).await,
        Command::Stop(args) => stop::stop(args, cx).await,
        Command::Kill(args) => stop::kill(args, cx).await,
        Command::Rm(args) => stop::remove(args, cx).await,
        Command::Wait(args) => stop::wait(args, cx).await,
        Command::Images(args) => images::list(&args, cx).await,
        Command::Pull(args) => pull::run(args, cx).await,
        Command::Push(args) => push::run(args, cx).await,
        Command::Login(args) => login::login(args, cx).await,
        Command::Logout(args) => login::logout(args, cx).await,
        Command::Tag(args) => images::tag(&args, cx).await,
        Command::Rmi(args) => images::remove(args, cx).await,
        Command::Inspect(args) => inspect::run(args, cx).await,
        Command::History(args) => history::run(&args, cx).await,
        Command::Save(args) => save::save(args, cx).await,
        Command::Load(args) => save::load(args, cx).await,
        Command::Info => info::run(cx).await,
        Command::Du(args) => du::run(&args, cx).await,
        Command::Prune(args) => prune::run(args, cx).await,
        Command::Store(command) => store::run(command, cx).await,
        Command::Version => version(cx.printer),
    }
}

/// Prints the version.
pub(crate) fn version(printer: &mut Printer) -> Result<u8, Error> {
    printer.line(concat!("rbuild version ", env!("CARGO_PKG_VERSION")))?;
    Ok(0)
}

impl<B: Backend> Context<'_, B> {
    /// Starts the display of a mode from the command line.
    fn display(&self, mode: Option<Mode>, phase: &'static str) -> Result<(Display, Mode), Error> {
        let mode = self
            .settings
            .progress(mode)?
            .resolve(terminal::shows_rows())?;
        let options = self.settings.display(phase, self.global.debug);
        Ok((Display::start(mode, options, terminal::error_size), mode))
    }

    /// Does the same with several things: a failure is reported and the rest still done.
    async fn each(
        &mut self,
        command: &str,
        names: Vec<String>,
        mut work: impl AsyncFnMut(&B, &str) -> Result<String, Error>,
    ) -> Result<u8, Error> {
        let mut failed = false;
        for name in names {
            match work(self.backend, &name).await {
                Ok(text) => self.printer.line(&text)?,
                Err(error) => {
                    failed = true;
                    self.printer.say(&error.report(command));
                }
            }
        }
        if failed { Err(Error::Reported) } else { Ok(0) }
    }
}

/// How lists are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns under a heading
    #[default]
    Table,
    /// One JSON object a line
    Json,
}

/// One a line.
fn lines<'a>(items: impl Iterator<Item = &'a str>) -> String {
    items.flat_map(|item| [item, "\n"]).collect()
}

/// `2 hours ago`.
fn ago(time: SystemTime, now: SystemTime) -> String {
    format!(
        "{} ago",
        units::age(now.duration_since(time).unwrap_or_default())
    )
}

/// A time as Docker's JSON lists have it: `2024-01-31 12:00:00 +0000 UTC`.
fn list_time(time: SystemTime) -> String {
    timestamp(time)
        .strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
        .to_string()
}

/// A time as Docker's inspect has it (RFC 3339).
fn inspect_time(time: SystemTime) -> String {
    timestamp(time).to_string()
}

fn timestamp(time: SystemTime) -> Timestamp {
    // Times outside the years 0 to 9999 come only from broken images.
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}
