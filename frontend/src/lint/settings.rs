//! Which rules count: the `check` directive (`# check=skip=A,B;error=true`), and comments of that form above an
//! instruction, which turn rules off for it alone.

use crate::diagnostic::{Diagnostic, Findings, Severity};
use crate::syntax::ast::Dockerfile;

/// The settings of one `check`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Settings<'a> {
    skip: Vec<&'a str>,
    skip_all: bool,
    error: bool,
}

impl<'a> Settings<'a> {
    /// Reads `skip=A,B|all;error=true;experimental=A|all`. No rule here is experimental.
    fn parse(text: &'a str) -> Result<Self, String> {
        let mut settings = Self::default();
        for part in text
            .split(';')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("invalid check option `{part}`"))?;
            match key.trim() {
                "skip" if value.trim() == "all" => settings.skip_all = true,
                "skip" => settings.skip.extend(value.split(',').map(str::trim)),
                "error" => {
                    settings.error = value
                        .trim()
                        .parse()
                        .map_err(|_| format!("invalid check option `{part}`"))?;
                }
                "experimental" => {}
                other => return Err(format!("invalid check option `{other}`")),
            }
        }
        Ok(settings)
    }

    fn skips(&self, rule: &str) -> bool {
        self.skip_all || self.skip.contains(&rule)
    }
}

/// Whether a comment above an instruction turns the rule off.
pub(crate) fn skipped_by_comments(comments: &[String], rule: Option<&str>) -> bool {
    let Some(rule) = rule else {
        return false;
    };
    comments
        .iter()
        .filter_map(|comment| comment.strip_prefix("check="))
        .filter_map(|text| Settings::parse(text).ok())
        .any(|settings| settings.skips(rule))
}

/// Applies the file's `check` directive to all findings of rules.
pub(crate) fn apply_check(dockerfile: &Dockerfile, findings: &mut Findings) {
    let Some(check) = &dockerfile.directives.check else {
        return;
    };
    let settings = match Settings::parse(&check.text) {
        Ok(settings) => settings,
        Err(message) => {
            findings.add(Diagnostic::error(message, check.span));
            return;
        }
    };
    findings
        .warnings
        .retain(|finding| !finding.rule.is_some_and(|rule| settings.skips(rule)));
    if settings.error {
        let (rules, others) = std::mem::take(&mut findings.warnings)
            .into_iter()
            .partition(|finding| finding.rule.is_some());
        findings.warnings = others;
        let rules: Vec<Diagnostic> = rules;
        for mut finding in rules {
            finding.severity = Severity::Error;
            findings.add(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        let skip = Settings {
            skip: vec!["A", "B"],
            skip_all: false,
            error: true,
        };
        assert_eq!(Settings::parse("skip=A, B;error=true"), Ok(skip));
        assert!(Settings::parse("skip=all").is_ok_and(|settings| settings.skips("X")));
        assert!(Settings::parse("nonsense").is_err());
        assert!(Settings::parse("error=perhaps").is_err());
        assert!(Settings::parse("other=1").is_err());
    }

    #[test]
    fn comments_turn_rules_off() {
        let comments = ["about it".to_owned(), "check=skip=A".to_owned()];
        assert!(skipped_by_comments(&comments, Some("A")));
        assert!(!skipped_by_comments(&comments, Some("B")));
        assert!(!skipped_by_comments(&comments, None));
    }
}
