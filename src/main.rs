//! The program.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of flags are help texts, and BuildKit is a name"
)]

mod args;
mod attach;
mod backend;
mod cli;
mod commands;
mod display;
mod error;
mod printer;
mod program;
mod rootless;
mod settings;
mod signals;
mod table;
mod terminal;
mod timeline;
mod units;

use std::ffi::OsString;
use std::process::ExitCode;

use engine::containers::{SUPERVISOR, supervise};
use engine::retention::{COLLECTOR, collect};

use crate::backend::Local;
use crate::error::{Error, failure_code};
use crate::printer::Printer;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // The process that watches over a detached container is this program again.
    if arguments.get(1).is_some_and(|first| first == SUPERVISOR) {
        return supervise();
    }
    // So is the one that keeps the store within its limits.
    if arguments.get(1).is_some_and(|first| first == COLLECTOR) {
        return collect();
    }
    if cli::command_name(&arguments) == "exec"
        && let Err(error) = engine::seal_executable()
    {
        Printer::standard().say(&Error::from(error).report("exec"));
        return ExitCode::from(failure_code("exec"));
    }
    ExitCode::from(program::run(arguments, Local::open))
}
