//! The flags of an instruction (`--name`, `--name=value`), checked against those it knows.

use super::ast::Switch;
use super::logical::Word;
use crate::diagnostic::{Diagnostic, shortened};
use crate::span::Span;
use crate::suggest;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// `true` or `false`; without a value it is `true`.
    Bool,
    /// A value, once.
    Value,
    /// A value, any number of times.
    Values,
}

/// The flags that an instruction was given.
#[derive(Debug, Default)]
pub(super) struct Flags {
    given: Vec<(&'static str, Word)>,
}

impl Flags {
    /// Checks the flags in front of an instruction's arguments.
    pub(super) fn read(
        words: &[Word],
        known: &[(&'static str, Takes)],
    ) -> Result<Self, Diagnostic> {
        let mut flags = Self::default();
        for word in words {
            let text = word.text.strip_prefix("--").unwrap_or(&word.text);
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (text, None),
            };
            let Some((name, takes)) = known.iter().find(|(known, _)| *known == name) else {
                return Err(unknown(name, known, word.span));
            };
            if *takes != Takes::Values && flags.find(name).is_some() {
                return Err(Diagnostic::error(
                    format!("duplicate flag specified: `--{name}`"),
                    word.span,
                ));
            }
            let value = checked_value(name, *takes, value, word.span)?;
            let word = Word {
                text: value,
                span: word.span,
            };
            flags.given.push((name, word));
        }
        Ok(flags)
    }

    fn find(&self, name: &str) -> Option<&Word> {
        let mut given = self.given.iter();
        given
            .find(|(given, _)| *given == name)
            .map(|(_, word)| word)
    }

    /// The value of a flag. An empty one counts as none, as it does in BuildKit.
    pub(super) fn value(&self, name: &str) -> Option<Word> {
        self.find(name)
            .filter(|word| !word.text.is_empty())
            .cloned()
    }

    /// All values of a flag.
    pub(super) fn values(&self, name: &str) -> Vec<Word> {
        let given = self.given.iter().filter(|(given, _)| *given == name);
        given.map(|(_, word)| word.clone()).collect()
    }

    /// A boolean flag.
    pub(super) fn switch(&self, name: &str) -> Option<Switch> {
        self.find(name).map(|word| Switch {
            on: word.text == "true",
            span: word.span,
        })
    }
}

fn unknown(name: &str, known: &[(&'static str, Takes)], span: Span) -> Diagnostic {
    let message = format!("unknown flag: `--{}`", shortened(name));
    let error = Diagnostic::error(message, span);
    match suggest::nearest(name, known.iter().map(|(known, _)| *known)) {
        Some(near) => error.with_help(format!("did you mean `--{near}`?")),
        None if known.is_empty() => error.with_help("this instruction has no flags"),
        None => {
            let known: Vec<_> = known
                .iter()
                .map(|(known, _)| format!("`--{known}`"))
                .collect();
            error.with_help(format!("the flags here are {}", known.join(", ")))
        }
    }
}

fn checked_value(
    name: &str,
    takes: Takes,
    value: Option<&str>,
    span: Span,
) -> Result<String, Diagnostic> {
    let missing = || Diagnostic::error(format!("missing a value on flag: `--{name}`"), span);
    if takes != Takes::Bool {
        return value.map(str::to_owned).ok_or_else(missing);
    }
    match value.map(str::to_ascii_lowercase).as_deref() {
        None => Ok("true".to_owned()),
        Some("") => Err(missing()),
        Some(value @ ("true" | "false")) => Ok(value.to_owned()),
        Some(_) => Err(Diagnostic::error(
            format!(
                "expecting boolean value for flag `--{name}`, not: `{}`",
                value.unwrap_or_default()
            ),
            span,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [(&str, Takes); 3] = [
        ("link", Takes::Bool),
        ("chown", Takes::Value),
        ("exclude", Takes::Values),
    ];

    fn read(words: &[&str]) -> Result<Flags, Diagnostic> {
        let words: Vec<_> = words
            .iter()
            .map(|word| Word {
                text: (*word).to_owned(),
                span: Span::default(),
            })
            .collect();
        Flags::read(&words, &KNOWN)
    }

    #[test]
    fn values_are_found() -> Result<(), Diagnostic> {
        let flags = read(&["--link", "--chown=a=b", "--exclude=x", "--exclude="])?;
        assert!(flags.switch("link").is_some_and(|switch| switch.on));
        assert_eq!(
            flags.value("chown").map(|word| word.text),
            Some("a=b".to_owned())
        );
        assert_eq!(flags.values("exclude").len(), 2);
        let flags = read(&["--link=FALSE", "--chown="])?;
        assert!(flags.switch("link").is_some_and(|switch| !switch.on));
        assert!(flags.value("chown").is_none());
        Ok(())
    }

    #[test]
    fn wrong_flags_are_refused() {
        let cases: [(&[&str], &str); 6] = [
            (&["--chwon=1"], "unknown flag: `--chwon`"),
            (
                &["--link=yes"],
                "expecting boolean value for flag `--link`, not: `yes`",
            ),
            (&["--link="], "missing a value on flag: `--link`"),
            (&["--chown"], "missing a value on flag: `--chown`"),
            (&["--exclude"], "missing a value on flag: `--exclude`"),
            (
                &["--chown=1", "--chown=2"],
                "duplicate flag specified: `--chown`",
            ),
        ];
        for (words, message) in cases {
            let error = read(words).err().map(|error| error.message);
            assert_eq!(error.as_deref(), Some(message), "{words:?}");
        }
    }

    #[test]
    fn near_misses_are_suggested() {
        let help = read(&["--chwon=1"]).err().and_then(|error| error.help);
        assert_eq!(help.as_deref(), Some("did you mean `--chown`?"));
    }
}
