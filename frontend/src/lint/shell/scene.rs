//! What a rule for commands is given: the script, the options of its shell, and what is known of variables.

use std::ops::Range;

use super::values::Values;
use super::{
    apt_prompts, apt_update, cd_lost, cd_unchecked, curl_errors, pipe, remove_unset,
    script_goes_on, unquoted,
};
use crate::diagnostic::Findings;
use crate::shell::{Command, Part, Script, Word};
use crate::span::Span;

/// What is known of a base image.
#[derive(Debug, Clone, Default)]
pub(crate) struct Base {
    pub(crate) shell: Option<Vec<String>>,
    /// `NAME=value`.
    pub(crate) env: Vec<String>,
}

/// The options of a shell that rules ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ShellOptions {
    /// `-e`: it ends at the first command that fails.
    pub(super) errexit: bool,
    /// `-o pipefail`: a pipe fails when any command of it does.
    pub(super) pipefail: bool,
}

impl ShellOptions {
    /// Those of a `SHELL`, or of the one that there is without; `None` for a shell of another kind.
    pub(super) fn of_shell(shell: Option<&[String]>) -> Option<Self> {
        let Some(shell) = shell.filter(|shell| !shell.is_empty()) else {
            return Some(Self::default());
        };
        Self::of_words(shell.iter().map(String::as_str))
    }

    /// Those of a `#!` line.
    pub(super) fn of_interpreter(line: &str) -> Option<Self> {
        let words = line.split_whitespace();
        Self::of_words(words.filter(|word| !word.ends_with("/env") && *word != "-S"))
    }

    /// Those of a command that starts a shell and gives it no script.
    pub(super) fn of_call(command: &Command) -> Option<Self> {
        let (name, arguments) = command.call()?;
        let words: Option<Vec<_>> = arguments.iter().map(Word::literal).collect();
        let words = words?;
        let mut plain = words.iter().map(String::as_str);
        let has_script = plain.any(|word| {
            !word.starts_with('-') && !matches!(word, "pipefail" | "errexit" | "nounset" | "xtrace")
        });
        let words = std::iter::once(name.as_str()).chain(words.iter().map(String::as_str));
        if has_script {
            None
        } else {
            Self::of_words(words)
        }
    }

    fn of_words<'w>(mut words: impl Iterator<Item = &'w str>) -> Option<Self> {
        let program = words.next()?.rsplit('/').next()?;
        let mut options = Self::default();
        matches!(program, "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh").then(|| {
            options.take(words);
            options
        })
    }

    /// Takes over what `set` or a shell is given.
    fn take<'w>(&mut self, words: impl Iterator<Item = &'w str>) {
        let mut named = None;
        for word in words {
            if let Some(on) = named.take() {
                match word {
                    "pipefail" => self.pipefail = on,
                    "errexit" => self.errexit = on,
                    _ => {}
                }
                continue;
            }
            let (on, letters) = match (word.strip_prefix('-'), word.strip_prefix('+')) {
                (Some(letters), _) if !letters.starts_with('-') => (true, letters),
                (_, Some(letters)) => (false, letters),
                _ => continue,
            };
            if letters.contains('e') {
                self.errexit = on;
            }
            if letters.ends_with('o') {
                named = Some(on);
            }
        }
    }

    /// Takes over what a command changes of them, if it is `set`.
    pub(super) fn follow(&mut self, command: &Command) {
        if let Some((name, arguments)) = command.call()
            && name == "set"
        {
            let words: Vec<_> = arguments.iter().filter_map(Word::literal).collect();
            self.take(words.iter().map(String::as_str));
        }
    }
}

/// A script and all around it.
pub(super) struct Scene<'a> {
    pub(super) script: &'a Script,
    /// The options that the shell is started with.
    pub(super) options: ShellOptions,
    pub(super) values: &'a Values,
    /// Where in the file a part of the script stands.
    pub(super) place: &'a dyn Fn(&Range<usize>) -> Span,
    /// It is a here-document rather than a command on one logical line.
    pub(super) document: bool,
}

impl Scene<'_> {
    /// Runs the rules.
    pub(super) fn check(&self, findings: &mut Findings) {
        apt_prompts::check(self, findings);
        apt_update::check(self, findings);
        cd_lost::check(self, findings);
        cd_unchecked::check(self, findings);
        curl_errors::check(self, findings);
        pipe::check(self, findings);
        remove_unset::check(self, findings);
        script_goes_on::check(self, findings);
        unquoted::check(self, findings);
    }

    pub(super) fn place(&self, extent: &Range<usize>) -> Span {
        (self.place)(extent)
    }

    /// All commands, those in substitutions behind the one they are in.
    pub(super) fn each(&self, mut visit: impl FnMut(&Command)) {
        each(self.script, &mut visit);
    }
}

fn each(script: &Script, visit: &mut dyn FnMut(&Command)) {
    for command in &script.commands {
        visit(command);
        for word in command.assignments.iter().chain(&command.words) {
            for part in &word.parts {
                if let Part::Substitution(inner) = part {
                    each(inner, visit);
                }
            }
        }
    }
}

/// Whether words have one of some flags: long ones by name, short ones also among others (`-qy`). A short flag out of
/// `with_value` takes the rest of its word.
pub(super) fn has_flag(words: &[Word], long: &[&str], short: char, with_value: &str) -> bool {
    words.iter().filter_map(Word::literal).any(|word| {
        if let Some(name) = word.strip_prefix("--") {
            return long.contains(&name.split('=').next().unwrap_or_default());
        }
        let letters = word.strip_prefix('-').unwrap_or_default().chars();
        letters
            .take_while(|letter| !with_value.contains(*letter))
            .any(|letter| letter == short)
    })
}
