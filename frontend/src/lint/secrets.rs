//! `SecretsUsedInArgOrEnv`: `ARG`s and `ENV`s whose names sound like secrets.

use super::rule::{Group, Rule};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

pub(crate) static RULE: Rule = Rule {
    name: "SecretsUsedInArgOrEnv",
    group: Group::Standard,
    summary: "Sensitive data should not be used in the ARG or ENV commands",
    why: "The values of `ARG` and `ENV` are in the image's config or history, where everybody who has the \
          image can read them. `RUN --mount=type=secret` leaves no trace.",
    bad: "FROM busybox\n\
          ARG API_TOKEN\n\
          RUN fetch\n\
          ",
    good: "FROM busybox\n\
          RUN --mount=type=secret,id=token,env=API_TOKEN fetch\n\
          ",
};

/// Parts of a name, between underscores, that tell of a secret.
const SUSPICIOUS: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
];
/// Parts that tell of the opposite.
const HARMLESS: [&str; 3] = ["public", "file", "version"];

/// Whether a name sounds like that of a secret.
pub(crate) fn is_suspicious(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let has = |list: &[&str]| lower.split('_').any(|part| list.contains(&part));
    has(&SUSPICIOUS) && !has(&HARMLESS)
}

pub(crate) fn finding(keyword: &str, name: &str, span: Span) -> Diagnostic {
    let message =
        format!("Do not use ARG or ENV instructions for sensitive data ({keyword} \"{name}\")");
    RULE.finding(message, span)
}

#[cfg(test)]
mod tests {
    use super::is_suspicious;

    #[test]
    fn names_are_judged() {
        for name in [
            "API_KEY",
            "token",
            "GITHUB_TOKEN",
            "secret_message",
            "DB_PASSWORD_X",
        ] {
            assert!(is_suspicious(name), "{name}");
        }
        for name in [
            "PUBLIC_KEY",
            "TOKENS",
            "MONKEY",
            "KEYRING",
            "TOKEN_FILE",
            "AUTHOR",
        ] {
            assert!(!is_suspicious(name), "{name}");
        }
    }
}
