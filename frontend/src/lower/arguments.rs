//! Build arguments that ask something of the builder itself.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, shortened};
use crate::syntax::is_built_in_frontend;

/// Another frontend than the one of the `syntax` directive.
const SYNTAX: &str = "BUILDKIT_SYNTAX";
/// The host name of steps.
const HOST_NAME: &str = "BUILDKIT_SANDBOX_HOSTNAME";
/// The longest name that a host can have (`HOST_NAME_MAX` of Linux).
const MAX_HOST_NAME: usize = 64;

/// Refuses what would be of no effect.
pub(super) fn check(given: &BTreeMap<&str, &str>) -> Result<(), Diagnostic> {
    if let Some(value) = asked(given, SYNTAX)
        && !is_built_in_frontend(value)
    {
        return Err(refused(SYNTAX, value)
            .with_help("only the frontend `docker/dockerfile` is supported, and it is built in"));
    }
    if let Some(value) = asked(given, HOST_NAME)
        && !is_host_name(value)
    {
        return Err(refused(HOST_NAME, value).with_help(format!(
            "a host name has at most {MAX_HOST_NAME} letters, digits, `-` and `.`"
        )));
    }
    Ok(())
}

/// The host name that steps are to see.
pub(super) fn host_name(given: &BTreeMap<&str, &str>) -> Option<String> {
    asked(given, HOST_NAME).map(str::to_owned)
}

fn asked<'a>(given: &BTreeMap<&str, &'a str>, name: &str) -> Option<&'a str> {
    given.get(name).copied().filter(|value| !value.is_empty())
}

fn refused(name: &str, value: &str) -> Diagnostic {
    let value = shortened(value);
    Diagnostic::error(
        format!("the build argument `{name}={value}` is not supported"),
        None,
    )
}

fn is_host_name(text: &str) -> bool {
    let part = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !part.is_empty() && !part.starts_with('-') && part.bytes().all(inner)
    };
    text.len() <= MAX_HOST_NAME && text.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_fit_into_files_and_the_kernel() {
        for name in ["box", "a-1.example", "build_1"] {
            assert!(is_host_name(name), "{name}");
        }
        let long = "a".repeat(MAX_HOST_NAME + 1);
        for name in ["", "a b", "a\nb", "-a", "a..b", ".", "ä", &long] {
            assert!(!is_host_name(name), "{name}");
        }
    }
}
