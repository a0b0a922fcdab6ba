//! `rbuild run`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgAction, Args};
use engine::build::HostAddress;

use super::Context;
use crate::args::host::HostArg;
use crate::args::signal::SignalArg;
use crate::args::volume::VolumeArg;
use crate::args::{environment, key_value};
use crate::attach;
use crate::backend::{Backend, ContainerNetwork, PullPolicy, RunRequest, VolumeMount};
use crate::display::{Display, Mode};
use crate::error::Error;
use crate::settings::Settings;
use crate::signals::interruptible;
use crate::terminal;

/// Flags of `rbuild run`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct RunArgs {
    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
    /// Print the container's ID and let it run
    #[arg(short, long)]
    pub detach: bool,
    /// Keep standard input open
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the container a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Remove the container when it ends
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", hide_default_value = true, hide_possible_values = true)]
    pub rm: bool,
    /// Set a variable; without a value it comes from the environment
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = key_value)]
    pub env: Vec<(String, Option<String>)>,
    /// Read variables from a file
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Mount a path of this machine: `SOURCE:TARGET[:ro]`
    #[arg(short, long = "volume", value_name = "SPEC")]
    pub volumes: Vec<VolumeArg>,
    /// The working directory
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// The user: `name|uid[:group|gid]`
    #[arg(short, long)]
    pub user: Option<String>,
    /// Run this instead of the image's entrypoint; empty for none
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Name the container
    #[arg(long)]
    pub name: Option<String>,
    /// The container's network
    #[arg(long, alias = "net", value_name = "MODE", default_value = "default")]
    pub network: ContainerNetwork,
    /// The container's host name
    #[arg(short = 'h', long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Add a line to /etc/hosts
    #[arg(long = "add-host", value_name = "HOST:IP")]
    pub hosts: Vec<HostArg>,
    /// Make the container's root file system read-only
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", hide_default_value = true, hide_possible_values = true)]
    pub read_only: bool,
    /// When to fetch the image
    #[arg(long, value_name = "WHEN", default_value = "missing")]
    pub pull: PullPolicy,
    /// The signal that asks the container to stop
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<SignalArg>,
    /// Pass signals on to the container
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub sig_proxy: bool,
    /// The image, and what it is to run instead of its own command
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_names = ["IMAGE", "COMMAND"])]
    pub words: Vec<String>,
}

/// Makes a container and runs it.
pub(crate) async fn run<B: Backend>(args: RunArgs, cx: &mut Context<'_, B>) -> Result<u8, Error> {
    if args.tty && args.interactive && !args.detach && !terminal::input_is_terminal() {
        return Err(Error::Usage(
            "`-t` with `-i` needs a terminal on standard input".to_owned(),
        ));
    }
    let options = attach::Options {
        tty: args.tty,
        stdin: args.interactive,
        forward_signals: args.sig_proxy,
    };
    let detach = args.detach;
    let request = request(args, cx.settings)?;
    let id = create(request, cx).await?;
    if detach {
        cx.backend.start(&id).await?;
        cx.printer.line(&id)?;
        return Ok(0);
    }
    let started = cx.backend.start_attached(&id);
    Ok(attach::serve(started, options).await?.code())
}

/// Makes the container; what has to be fetched for it is shown on standard error.
async fn create<B: Backend>(request: RunRequest, cx: &mut Context<'_, B>) -> Result<String, Error> {
    let mode = match cx.settings.progress(None)? {
        // A container's own output follows: nothing is shown unless something is fetched, which makes rows.
        Mode::Tty if !terminal::shows_rows() => Mode::Plain,
        mode => mode.resolve(terminal::shows_rows())?,
    };
    let display = Arc::new(Display::start(
        mode,
        cx.settings.display("Pulling", cx.global.debug),
        terminal::error_size,
    ));
    let listener = Arc::clone(&display);
    let created = interruptible(async { Ok(cx.backend.create(request, listener).await?) }).await;
    display.finish();
    created
}

fn request(args: RunArgs, settings: &Settings) -> Result<RunRequest, Error> {
    let mut words = args.words.into_iter();
    let lookup = |name: &str| settings.lookup(name);
    Ok(RunRequest {
        image: words.next().unwrap_or_default(),
        args: words.collect(),
        entrypoint: args.entrypoint.map(|program| {
            if program.is_empty() {
                Vec::new()
            } else {
                vec![program]
            }
        }),
        name: args.name,
        env: environment::collect(&args.env_file, &args.env, &lookup)?,
        volumes: args
            .volumes
            .into_iter()
            .map(|volume| VolumeMount {
                source: volume.source,
                target: volume.target,
                read_only: volume.read_only,
            })
            .collect(),
        workdir: args.workdir,
        user: args.user,
        hostname: args.hostname,
        hosts: args
            .hosts
            .into_iter()
            .map(address)
            .collect::<Result<_, _>>()?,
        network: args.network,
        read_only: args.read_only,
        pull: args.pull,
        stop_signal: args.stop_signal.map(|signal| signal.0),
        tty: args.tty.then(terminal::input_size),
        stdin: args.interactive,
        remove: args.rm,
    })
}

/// A container's network need not lead to this machine.
fn address(host: HostArg) -> Result<(String, IpAddr), Error> {
    match host.address {
        HostAddress::Address(address) => Ok((host.name, address)),
        HostAddress::Gateway => Err(Error::Usage(format!(
            "`host-gateway` is known to builds only: give `{}` an address",
            host.name
        ))),
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
