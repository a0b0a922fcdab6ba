//! Findings about a text, as values: what is wrong, where, and what helps. [`render()`] turns one into text.

mod render;

pub use render::render;

use crate::lint::{Rule, Selection};
use crate::span::Span;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The build cannot go on.
    Error,
    /// The build goes on.
    Warning,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The rule that found it; `None` for what no rule is about.
    pub rule: Option<&'static Rule>,
    /// What is wrong: one line, no final period.
    pub message: String,
    /// Where; `None` when it is about no place in the text.
    pub span: Option<Span>,
    /// What else is to be known.
    pub notes: Vec<Note>,
    /// What to do about it.
    pub help: Option<String>,
}

/// A remark that belongs to a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The remark.
    pub message: String,
    /// The place it is about.
    pub span: Option<Span>,
}

impl Diagnostic {
    /// Something that stops the build.
    pub fn error(message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        Self {
            severity: Severity::Error,
            rule: None,
            message: message.into(),
            span: span.into(),
            notes: Vec::new(),
            help: None,
        }
    }

    /// Something that does not stop the build.
    pub fn warning(message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(message, span)
        }
    }

    /// With what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With a remark on another place.
    #[must_use]
    pub fn with_note(mut self, message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        self.notes.push(Note {
            message: message.into(),
            span: span.into(),
        });
        self
    }

    /// With the question whether the nearest of `candidates` was meant, if any is near `word`.
    #[must_use]
    pub(crate) fn with_suggestion<'a>(
        self,
        word: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        match crate::suggest::nearest(word, candidates) {
            Some(nearest) => self.with_help(format!("did you mean `{nearest}`?")),
            None => self,
        }
    }

    /// With the rule that found it.
    #[must_use]
    pub(crate) fn with_rule(mut self, rule: &'static Rule) -> Self {
        self.rule = Some(rule);
        self
    }
}

/// The first characters of a text from outside, at most a line: enough for a message.
pub(crate) fn shortened(text: &str) -> String {
    const LENGTH: usize = 60;
    let end = text
        .char_indices()
        .enumerate()
        .find(|(count, (_, next))| *count == LENGTH || next.is_control())
        .map(|(_, (end, _))| end);
    match end {
        Some(end) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The most findings of one severity that are kept: a text of nothing but mistakes must not fill the memory.
pub(crate) const MAX_FINDINGS: usize = 200;

/// Collects findings while work goes on: errors, and of the rules' findings those that are wanted.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) errors: Vec<Diagnostic>,
    pub(crate) warnings: Vec<Diagnostic>,
    selection: Selection,
}

impl Findings {
    pub(crate) fn new(selection: Selection) -> Self {
        Self {
            selection,
            ..Self::default()
        }
    }

    /// Adds one, unless its rule is off or there are too many already.
    pub(crate) fn add(&mut self, finding: Diagnostic) {
        let unwanted = |rule| !self.selection.wants(rule, finding.span);
        if finding.rule.is_some_and(unwanted) {
            return;
        }
        let list = match finding.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        if list.len() < MAX_FINDINGS {
            list.push(finding);
        }
    }

    /// Makes errors of the rules' findings that stop a build.
    pub(crate) fn apply_levels(&mut self) {
        let (stopping, others) = std::mem::take(&mut self.warnings)
            .into_iter()
            .partition(|finding| finding.rule.is_some() && self.selection.is_error(finding.span));
        self.warnings = others;
        let stopping: Vec<Diagnostic> = stopping;
        for mut finding in stopping {
            finding.severity = Severity::Error;
            self.add(finding);
        }
    }

    /// Whether warnings are still taken.
    pub(crate) fn takes_warnings(&self) -> bool {
        self.warnings.len() < MAX_FINDINGS
    }

    /// Whether there are so many errors that going on has no use.
    pub(crate) fn is_full(&self) -> bool {
        self.errors.len() >= MAX_FINDINGS
    }
}

#[cfg(test)]
mod tests;
