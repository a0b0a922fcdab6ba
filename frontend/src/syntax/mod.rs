//! The grammar: bytes of a Dockerfile to an [`ast`] with a place for every token, or to all its errors.
//!
//! Layers, from the bottom: [`logical`] joins continued lines and remembers where each byte came from, [`split`]
//! takes such a line apart, [`mod@flags`] checks flags, [`instruction`] makes typed instructions, [`parser`] drives.

pub(crate) mod ast;
mod directive;
pub(crate) mod duration;
mod files;
mod flags;
pub(crate) mod heredoc;
mod include;
mod instruction;
pub(crate) mod logical;
mod parser;
mod run;
mod split;

pub(crate) use directive::is_built_in_frontend;
pub use include::{Included, Load};
pub use parser::{MAX_FILE, Parsed, parse, parse_including};
pub(crate) use parser::{parse_trigger, with_command};

/// A flag of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Its name, without the dashes.
    pub name: &'static str,
    /// It is on without a value, and takes `true` and `false`.
    pub switch: bool,
    /// It may be given more than once.
    pub repeats: bool,
}

/// The flags that an instruction knows.
pub fn flags(keyword: &str) -> Vec<Flag> {
    let known: &[(&'static str, flags::Takes)] = match keyword {
        "ADD" => &files::ADD_FLAGS,
        "COPY" => &files::COPY_FLAGS,
        "FROM" => &parser::FROM_FLAGS,
        "HEALTHCHECK" => &instruction::HEALTHCHECK_FLAGS,
        "RUN" => &run::FLAGS,
        _ => &[],
    };
    let flag = |(name, takes): &(&'static str, flags::Takes)| Flag {
        name,
        switch: *takes == flags::Takes::Bool,
        repeats: *takes == flags::Takes::Values,
    };
    known.iter().map(flag).collect()
}

#[cfg(test)]
mod cross_check;
#[cfg(test)]
mod tests;
