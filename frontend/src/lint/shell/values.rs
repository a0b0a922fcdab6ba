//! Which variables are known to be one word that is not empty, so that nothing can be split, expanded or missing.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::expand::{Lexer, Variables};
use crate::syntax::ast::{Argument, Instruction, KeyValues, Kind};

/// The names of such variables.
#[derive(Debug, Clone, Default)]
pub(super) struct Values(BTreeSet<String>);

/// Predefined arguments that always are one word.
const PREDEFINED: [&str; 6] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDARCH",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
];

impl Variables for Values {
    fn value(&self, name: &str) -> Option<&str> {
        self.has(name).then_some("x")
    }
}

impl Values {
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// How many there are.
    pub(super) fn size(&self) -> usize {
        self.0.len()
    }

    /// Those of `NAME=value` entries.
    pub(super) fn of_environment(entries: &[String]) -> Self {
        let mut values = Self::default();
        for (name, value) in entries.iter().filter_map(|entry| entry.split_once('=')) {
            values.note(name, is_word(value));
        }
        values
    }

    /// Those of the arguments in front of the first stage.
    pub(super) fn of_globals(instructions: &[Arc<Instruction>], escape: char) -> Self {
        let mut values = Self(PREDEFINED.iter().map(|&name| name.to_owned()).collect());
        for instruction in instructions {
            if let Kind::Arg(arguments) = &instruction.kind {
                let before = values.clone();
                values.declare(arguments, &before, escape);
            }
        }
        values
    }

    /// `ARG`. A default counts as what is expected of the value that a build may give.
    pub(super) fn declare(&mut self, arguments: &[Argument], global: &Self, escape: char) {
        for argument in arguments {
            let name = argument.name.text.as_str();
            let known = match &argument.default {
                Some(default) => self.gives_word(&default.text, escape),
                None => global.has(name) || self.has(name),
            };
            self.note(name, known);
        }
    }

    /// `ENV`.
    pub(super) fn set(&mut self, pairs: &KeyValues, escape: char) {
        let known: Vec<_> = pairs
            .pairs
            .iter()
            .map(|(name, value)| (&name.text, self.gives_word(&value.text, escape)))
            .collect();
        for (name, known) in known {
            self.note(name, known);
        }
    }

    /// Takes note of whether a variable is one word now.
    pub(super) fn note(&mut self, name: &str, known: bool) {
        if known {
            self.0.insert(name.to_owned());
        } else {
            self.0.remove(name);
        }
    }

    fn gives_word(&self, text: &str, escape: char) -> bool {
        let expanded = Lexer::new(escape).expand(text, self);
        expanded.is_ok_and(|expanded| expanded.unset.is_empty() && is_word(&expanded.text))
    }
}

/// Whether a value is neither empty, nor split, nor taken for a pattern.
pub(super) fn is_word(value: &str) -> bool {
    let odd = |letter: char| letter.is_whitespace() || matches!(letter, '*' | '?' | '[');
    !value.is_empty() && !value.contains(odd)
}
