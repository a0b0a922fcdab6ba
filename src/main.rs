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
mod settings;
mod signals;
mod table;
mod terminal;
mod units;

fn main() {}
