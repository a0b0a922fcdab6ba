//! The grammar: bytes of a Dockerfile to an [`ast`] with a place for every token, or to all its errors.
//!
//! Layers, from the bottom: [`logical`] joins continued lines and remembers where each byte came from, [`split`]
//! takes such a line apart, [`flags`] checks flags, [`instruction`] makes typed instructions, [`parser`] drives.

pub(crate) mod ast;
mod directive;
mod duration;
mod files;
mod flags;
pub(crate) mod heredoc;
mod instruction;
pub(crate) mod logical;
mod parser;
mod run;
mod split;

pub use parser::{MAX_FILE, Parsed, parse};
pub(crate) use parser::{parse_trigger, with_command};

#[cfg(test)]
mod cross_check;
#[cfg(test)]
mod tests;
