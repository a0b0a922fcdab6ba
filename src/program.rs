//! The life of the program: command line, engine, command, exit code.

use std::ffi::OsString;

use crate::backend::Backend;
use crate::cli::{self, Cli, Command, Global};
use crate::commands::{self, Context};
use crate::error::{Error, failure_code};
use crate::printer::Printer;
use crate::rootless::Caller;
use crate::settings::Settings;

/// Runs a command line on the engine that `open` gives, and returns the exit code. The engine and the threads that
/// serve it are only made for commands that need them.
pub(crate) fn run<B: Backend>(
    arguments: Vec<OsString>,
    open: impl FnOnce(&Global, &Settings, &Caller) -> Result<B, Error>,
) -> u8 {
    let command = cli::command_name(&arguments);
    let mut printer = Printer::standard();
    let cli = match cli::parse(arguments) {
        Ok(cli) => cli,
        Err(answer) => return answered(&answer, &command, &mut printer),
    };
    let result = execute(cli, open, &mut printer).and_then(|code| printer.flush().map(|()| code));
    result.unwrap_or_else(|error| {
        // What was already said stands; a second failure to write it would say nothing new.
        drop(printer.flush());
        printer.say(&error.report(&command));
        error.exit_code(&command)
    })
}

fn execute<B: Backend>(
    cli: Cli,
    open: impl FnOnce(&Global, &Settings, &Caller) -> Result<B, Error>,
    printer: &mut Printer,
) -> Result<u8, Error> {
    if matches!(cli.command, Command::Version) {
        return commands::version(printer);
    }
    let settings = Settings::from_env();
    let caller = Caller::enter(&cli.command, &cli.global, &settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .thread_stack_size(engine::STACK_SIZE)
        .enable_all()
        .build()
        .map_err(|source| Error::Io {
            action: "start threads",
            source,
        })?;
    let entered = runtime.enter();
    let backend = open(&cli.global, &settings, &caller)?;
    let mut cx = Context {
        backend: &backend,
        printer,
        global: &cli.global,
        settings: &settings,
    };
    let result = runtime.block_on(commands::dispatch(cli.command, &mut cx));
    drop(backend);
    drop(entered);
    // Nothing that matters still runs: what a command leaves behind only reads standard input or listens for signals.
    runtime.shutdown_background();
    result
}

/// Two at least: while one waits for a disk, the other serves the children.
fn workers() -> usize {
    std::thread::available_parallelism()
        .map_or(2, usize::from)
        .max(2)
}

/// Help and version go to standard output, mistakes to standard error.
fn answered(answer: &clap::Error, command: &str, printer: &mut Printer) -> u8 {
    let text = answer.render().to_string();
    if !answer.use_stderr() {
        let written = printer
            .bytes(text.as_bytes())
            .and_then(|()| printer.flush());
        return u8::from(written.is_err());
    }
    printer.say(&text);
    failure_code(command)
}
