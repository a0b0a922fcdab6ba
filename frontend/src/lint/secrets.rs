//! `SecretsUsedInArgOrEnv`: `ARG`s and `ENV`s whose names sound like secrets.
//!
//! Their values end up in the image and its history; `RUN --mount=type=secret` leaves no trace.

use crate::diagnostic::Diagnostic;
use crate::span::Span;

const NAME: &str = "SecretsUsedInArgOrEnv";

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
    Diagnostic::warning(message, span).with_rule(NAME)
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
