//! Shell text as far as rules look at it: words with their quotes and substitutions ([`words`]), and the commands they
//! make with what joins them ([`script`]).
//!
//! This is for reading only: what is not understood becomes plain text, so a rule rather misses something than says
//! something wrong. Nothing here is needed to build.

mod script;
mod words;

use std::ops::Range;

pub(crate) use script::{Command, Joint, Script};
pub(crate) use words::{Part, Word};

/// Substitutions in substitutions beyond this are plain text.
const MAX_DEPTH: usize = 16;

/// The longest script that is read. Words take many times the memory of their text.
const MAX_SCRIPT: usize = 64 << 10;

/// Reads a script. One that is too long has no commands.
pub(crate) fn parse(text: &str) -> Script {
    if text.len() > MAX_SCRIPT {
        return Script::default();
    }
    script::Reader::new(text, 0..text.len(), 0).read()
}

/// A part of a text.
type Extent = Range<usize>;

#[cfg(test)]
mod tests;
