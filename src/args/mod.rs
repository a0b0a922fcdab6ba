//! Values of flags, parsed at the edge into types that cannot be wrong.

pub(crate) mod build_context;
pub(crate) mod call;
pub(crate) mod csv;
pub(crate) mod entitlement;
pub(crate) mod environment;
pub(crate) mod host;
pub(crate) mod output;
pub(crate) mod platform;
pub(crate) mod quantity;
pub(crate) mod secret;
pub(crate) mod signal;
pub(crate) mod ssh;
pub(crate) mod ulimit;
pub(crate) mod volume;

/// A flag's value that cannot be used; the text is for the user and names what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadValue(pub String);

impl BadValue {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Splits `NAME=VALUE`; the value may be missing.
pub(crate) fn key_value(text: &str) -> Result<(String, Option<String>), BadValue> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text, None),
    };
    if key.is_empty() {
        return Err(BadValue::new("a name is missing before `=`"));
    }
    Ok((key.to_owned(), value))
}

/// Parses `NAME=VALUE` where a missing value is an empty one, as for labels.
pub(crate) fn label(text: &str) -> Result<(String, String), BadValue> {
    key_value(text).map(|(key, value)| (key, value.unwrap_or_default()))
}

/// What can only be turned off, as it is never on.
pub(crate) fn off(text: &str) -> Result<(), BadValue> {
    match text {
        "false" | "0" => Ok(()),
        _ => Err(BadValue::new(
            "it is not supported: only `false` can be given",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_split_at_the_first_sign() {
        assert_eq!(
            key_value("a=b=c"),
            Ok(("a".to_owned(), Some("b=c".to_owned())))
        );
        assert_eq!(key_value("a"), Ok(("a".to_owned(), None)));
        assert!(key_value("=b").is_err());
        assert_eq!(label("a"), Ok(("a".to_owned(), String::new())));
    }
}
