//! The settings of a `check`: `skip=A,B|all;error=true;experimental=A,B|all`, in the directive at the top of a file, in
//! the build argument `BUILDKIT_DOCKERFILE_CHECK`, or in a comment right above an instruction.

use super::rule::{Group, Rule};

/// The settings of one `check`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings {
    skip: Names,
    experimental: Names,
    /// Findings stop the build.
    pub(super) error: bool,
}

/// Names of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    all: bool,
    list: Vec<String>,
}

impl Names {
    fn parse(text: &str) -> Self {
        if text == "all" {
            return Self {
                all: true,
                list: Vec::new(),
            };
        }
        Self {
            all: false,
            list: text.split(',').map(|name| name.trim().to_owned()).collect(),
        }
    }

    fn have(&self, rule: &Rule) -> bool {
        self.all || self.list.iter().any(|name| name == rule.name)
    }
}

/// What is wrong with a `check`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SettingsError {
    #[error("invalid check option `{0}`: it has no value")]
    NoValue(String),
    #[error("invalid check option `{0}`")]
    Unknown(String),
    #[error("invalid value of the check option `error`: `{0}`")]
    NotBool(String),
}

/// The options there are.
pub(super) const OPTIONS: [&str; 3] = ["skip", "error", "experimental"];

impl Settings {
    pub(super) fn parse(text: &str) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        for part in text.trim().split(';').filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(SettingsError::NoValue(part.trim().to_owned()));
            };
            let (key, value) = (key.trim(), value.trim());
            match key {
                "skip" => settings.skip = Names::parse(value),
                "experimental" => settings.experimental = Names::parse(value),
                "error" => {
                    settings.error =
                        boolean(value).ok_or_else(|| SettingsError::NotBool(value.to_owned()))?;
                }
                other => return Err(SettingsError::Unknown(other.to_owned())),
            }
        }
        Ok(settings)
    }

    /// The settings of the first `check` in the comments above an instruction. One that is wrong says nothing, as with
    /// `BuildKit`: it may be a sentence.
    pub(super) fn of_comments(comments: &[String]) -> Option<Self> {
        let check = comments.iter().find_map(|comment| {
            let (key, value) = comment.split_once('=')?;
            key.trim().eq_ignore_ascii_case("check").then_some(value)
        })?;
        Self::parse(check).ok()
    }

    /// Whether these settings turn a rule off. `skip` does not reach experimental rules.
    pub(super) fn skips(&self, rule: &Rule) -> bool {
        rule.group != Group::Experimental && self.skip.have(rule)
    }

    /// Whether these settings turn an experimental rule on.
    pub(super) fn turns_on(&self, rule: &Rule) -> bool {
        self.experimental.have(rule)
    }
}

/// What Go takes for a boolean (`strconv.ParseBool`).
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{json_args, undefined_var};
    use super::*;

    #[test]
    fn settings_are_read() {
        let settings = Settings::parse(" skip=JSONArgsRecommended, X;error=1;experimental=all");
        let Ok(settings) = settings else {
            panic!("{settings:?}");
        };
        assert!(settings.error);
        assert!(settings.skips(&json_args::RULE));
        assert!(!settings.skips(&undefined_var::RULE));
        assert!(settings.turns_on(&undefined_var::RULE));
        assert!(Settings::parse("skip=all").is_ok_and(|all| all.skips(&undefined_var::RULE)));
    }

    #[test]
    fn wrong_settings_are_refused() {
        for (text, message) in [
            (
                "nonsense",
                "invalid check option `nonsense`: it has no value",
            ),
            (
                "error=perhaps",
                "invalid value of the check option `error`: `perhaps`",
            ),
            ("other=1", "invalid check option `other`"),
        ] {
            let error = Settings::parse(text).map_err(|error| error.to_string());
            assert_eq!(error, Err(message.to_owned()));
        }
    }

    #[test]
    fn the_first_check_in_comments_counts() {
        let of = |comments: &[&str]| {
            let comments: Vec<_> = comments.iter().map(|&comment| comment.to_owned()).collect();
            Settings::of_comments(&comments)
        };
        let skip = Settings::parse("skip=A").ok();
        assert_eq!(of(&["about it", "Check = skip=A", "check=skip=B"]), skip);
        assert_eq!(of(&["check=this", "check=skip=A"]), None);
        assert_eq!(of(&["about it"]), None);
    }
}
