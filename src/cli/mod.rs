//! The command line: which command is meant, its flags, and errors that say what to do.

mod unsupported;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    build, builds, containers, debug, du, exec, explain, graph, history, images, inspect, login,
    logs, prune, pull, push, run, save, stop, store,
};

/// Builds Dockerfiles: in parallel, from cache, without a daemon; and runs the result
#[derive(Debug, Parser)]
#[command(
    name = "rbuild",
    version,
    disable_version_flag = true,
    override_usage = "rbuild [OPTIONS] PATH\n       rbuild COMMAND",
    after_help = "Without a command, `rbuild [OPTIONS] PATH` builds: `rbuild -t myimage .`",
    subcommand_required = true,
    args_override_self = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
    /// Print the version
    #[arg(short = 'v', long, short_alias = 'V', action = clap::ArgAction::Version)]
    version: Option<bool>,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Where images, layers, the cache and containers are kept [env: RBUILD_STORE]
    #[arg(long, global = true, value_name = "DIR", display_order = 900)]
    pub store: Option<PathBuf>,
    /// Where registries are configured: a directory with REGISTRY/hosts.toml [env: RBUILD_REGISTRIES]
    #[arg(long, global = true, value_name = "DIR", display_order = 900)]
    pub registries: Option<PathBuf>,
    /// How layers are put together for steps and containers
    #[arg(
        long,
        global = true,
        alias = "layers-form",
        value_name = "FORM",
        default_value = "auto",
        display_order = 901
    )]
    pub layers: LayersForm,
    /// Show more: warnings with their source, errors with all their causes
    #[arg(short = 'D', long, global = true, display_order = 902)]
    pub debug: bool,
}

/// How layers are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LayersForm {
    /// Mounted where the kernel can, else unpacked
    Auto,
    /// Mounted through their index
    Erofs,
    /// Unpacked into directories
    Directory,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build an image from a Dockerfile
    Build(Box<build::BuildArgs>),
    /// Show what is remembered of past builds
    #[command(subcommand)]
    Builds(builds::BuildsCommand),
    /// Tell why the steps of a build ran: what had changed since their last results
    Explain(explain::ExplainArgs),
    /// Draw the graph of a build: its stages, steps, and what they have of each other
    Graph(Box<graph::GraphArgs>),
    /// Build what a step needs, and open a terminal where it would run
    Debug(Box<debug::DebugArgs>),
    /// Run a command in a new container
    Run(Box<run::RunArgs>),
    /// Run a command in a running container
    Exec(exec::ExecArgs),
    /// List containers
    Ps(containers::PsArgs),
    /// Show the output of a container
    Logs(logs::LogsArgs),
    /// Stop containers: ask, then kill
    Stop(stop::StopArgs),
    /// Send a signal to containers
    Kill(stop::KillArgs),
    /// Remove containers
    Rm(stop::RmArgs),
    /// Wait until containers end, and print their exit codes
    Wait(stop::WaitArgs),
    /// List images
    Images(images::ImagesArgs),
    /// Fetch images from a registry
    Pull(pull::PullArgs),
    /// Send an image to a registry
    Push(push::PushArgs),
    /// Log in to a registry
    Login(login::LoginArgs),
    /// Log out of a registry
    Logout(login::LogoutArgs),
    /// Give an image another name
    Tag(images::TagArgs),
    /// Remove images
    Rmi(images::RmiArgs),
    /// Show images and containers as JSON
    Inspect(inspect::InspectArgs),
    /// Show how an image was made
    History(history::HistoryArgs),
    /// Write images to an archive
    Save(save::SaveArgs),
    /// Read images from an archive
    Load(save::LoadArgs),
    /// Tell what works here for this user, and why the rest does not
    Info,
    /// Show what takes space, since when it is not used, and why it is kept
    Du(du::DuArgs),
    /// Remove what builds left behind and nothing needs
    Prune(prune::PruneArgs),
    /// Check the store, pin cache mounts
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Print the version
    Version,
}

/// Reads the command line. The error is for [`clap::Error::exit`]-like handling: it also stands for help and version.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let written: Vec<OsString> = arguments.into_iter().collect();
    let arguments = with_build(&command, written.clone());
    let parsed = command
        .try_get_matches_from_mut(&arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let error = match parsed {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    if arguments.len() > written.len() && names_no_context(&written) {
        // A slip in the name of a command, rather than a build with arguments that are too many.
        command.try_get_matches_from_mut(&written)?;
    }
    Err(explain(error, &command_name(&arguments)))
}

/// Whether the first word could be meant for a command: it is a plain word, and there is nothing of that name.
fn names_no_context(arguments: &[OsString]) -> bool {
    let word = command_position(arguments).and_then(|at| arguments[at].to_str());
    word.is_some_and(|word| {
        word.bytes().all(|byte| byte.is_ascii_lowercase()) && !std::path::Path::new(word).exists()
    })
}

/// The command that arguments name, as far as it can be told without parsing them: for exit codes and hints.
pub(crate) fn command_name(arguments: &[OsString]) -> String {
    command_position(arguments)
        .and_then(|at| arguments[at].to_str())
        .unwrap_or("build")
        .to_owned()
}

/// Puts `build` in where no command is named.
fn with_build(command: &clap::Command, mut arguments: Vec<OsString>) -> Vec<OsString> {
    let Some(at) = command_position(&arguments) else {
        return arguments;
    };
    let first = arguments[at].to_string_lossy();
    let told = matches!(
        &*first,
        "help" | "-h" | "--help" | "-v" | "-V" | "--version"
    ) || command.find_subcommand(&*first).is_some();
    if !told {
        arguments.insert(at, "build".into());
    }
    arguments
}

/// Where the command stands, or what would be its place: after the program's name and the flags of every command.
fn command_position(arguments: &[OsString]) -> Option<usize> {
    let mut at = 1;
    loop {
        match arguments.get(at)?.to_str() {
            Some("--store" | "--registries" | "--layers" | "--layers-form") => at += 2,
            Some("-D" | "--debug") => at += 1,
            Some(flag)
                if flag.starts_with("--store=")
                    || flag.starts_with("--registries=")
                    || flag.starts_with("--layers") =>
            {
                at += 1;
            }
            _ => return Some(at),
        }
    }
}

/// Makes an unknown flag that Docker has into an error that says so.
fn explain(error: clap::Error, command: &str) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    if !unsupported::is_known(command, flag) {
        return error;
    }
    let message = format!("`{flag}` of `docker {command}` is not supported yet\n");
    clap::Error::raw(ErrorKind::UnknownArgument, message).with_cmd(&Cli::command())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
