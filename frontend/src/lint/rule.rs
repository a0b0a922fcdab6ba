//! What a rule is: its name, and the texts that its documentation is made of.

use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// A rule that findings can be of.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as `check=skip=` takes it.
    pub name: &'static str,
    /// Which rules it belongs to.
    pub group: Group,
    /// What it asks for: one line, no final period.
    pub summary: &'static str,
    /// Why: some sentences.
    pub why: &'static str,
    /// A Dockerfile in which it finds something.
    pub bad: &'static str,
    /// The same, as the rule wants it.
    pub good: &'static str,
}

/// When a rule is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// `BuildKit` has it: in every build and every check.
    Standard,
    /// `BuildKit` has it, off until `check=experimental=` turns it on.
    Experimental,
    /// Only rbuild has it: commands of `RUN`, in checks only.
    Shell,
    /// Only rbuild has it: what is not in the standard language, in every build and every check.
    Extension,
}

impl Rule {
    /// A finding of this rule.
    pub(super) fn finding(
        &'static self,
        message: impl Into<String>,
        span: impl Into<Option<Span>>,
    ) -> Diagnostic {
        Diagnostic::warning(message, span).with_rule(self)
    }

    /// Where Docker describes it, if it does.
    pub fn url(&self) -> Option<String> {
        let described = matches!(self.group, Group::Standard | Group::Experimental)
            && self.name != "InvalidBaseImagePlatform";
        described.then(|| {
            format!(
                "https://docs.docker.com/go/dockerfile/rule/{}/",
                hyphenated(self.name)
            )
        })
    }
}

/// `JSONArgsRecommended` as `json-args-recommended`.
fn hyphenated(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut text = String::with_capacity(name.len() + 4);
    for (at, letter) in letters.iter().enumerate() {
        let ends_word = at > 0
            && letter.is_ascii_uppercase()
            && (letters[at - 1].is_ascii_lowercase()
                || letters.get(at + 1).is_some_and(char::is_ascii_lowercase));
        if ends_word {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::hyphenated;

    #[test]
    fn names_become_addresses() {
        for (name, expected) in [
            ("JSONArgsRecommended", "json-args-recommended"),
            ("SecretsUsedInArgOrEnv", "secrets-used-in-arg-or-env"),
            ("UndefinedVar", "undefined-var"),
        ] {
            assert_eq!(hyphenated(name), expected);
        }
    }
}
