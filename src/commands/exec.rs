//! `rbuild exec`.

use std::path::PathBuf;

use clap::Args;

use super::Context;
use crate::args::{environment, key_value};
use crate::attach;
use crate::backend::{Backend, ExecRequest};
use crate::error::Error;
use crate::terminal;

/// Flags of `rbuild exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// Do not wait for the command
    #[arg(short, long)]
    pub detach: bool,
    /// Keep standard input open
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Set a variable; without a value it comes from the environment
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = key_value)]
    pub env: Vec<(String, Option<String>)>,
    /// Read variables from a file
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// The user: `name|uid[:group|gid]`
    #[arg(short, long)]
    pub user: Option<String>,
    /// The working directory
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// The container, the command and its arguments
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_names = ["CONTAINER", "COMMAND"])]
    pub words: Vec<String>,
}

/// Runs a command in a running container.
pub(crate) async fn run<B: Backend>(args: ExecArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    if args.tty && args.interactive && !args.detach && !terminal::input_is_terminal() {
        return Err(Error::Usage(
            "`-t` with `-i` needs a terminal on standard input".to_owned(),
        ));
    }
    let mut words = args.words.into_iter();
    let container = words.next().unwrap_or_default();
    let command: Vec<String> = words.collect();
    if command.is_empty() {
        return Err(Error::Usage(
            "a command is missing after the container".to_owned(),
        ));
    }
    let lookup = |name: &str| cx.settings.lookup(name);
    let request = ExecRequest {
        container,
        args: command,
        env: environment::collect(&args.env_file, &args.env, &lookup)?,
        workdir: args.workdir,
        user: args.user,
        tty: args.tty.then(terminal::input_size),
        stdin: args.interactive && !args.detach,
        detach: args.detach,
    };
    if args.detach {
        cx.backend.exec(request).await?;
        return Ok(0);
    }
    let options = attach::Options {
        tty: args.tty,
        stdin: args.interactive,
        // As with Docker's exec, Ctrl-C ends this program and not the command.
        forward_signals: false,
    };
    let started = cx.backend.exec(request);
    Ok(attach::serve(started, options).await?.code())
}
