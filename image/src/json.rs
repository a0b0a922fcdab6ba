//! JSON as Go's `encoding/json` writes it, so that a document that other builders made of the same data has the same
//! digest.

use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};

/// Reads a document that is an object. Without the check a list of values would pass for one.
pub(crate) fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    match bytes.trim_ascii_start().first() {
        Some(b'{') | None => serde_json::from_slice(bytes),
        Some(_) => Err(serde_json::Error::custom("not an object")),
    }
}

/// One line, keys in the order of the fields.
pub(crate) fn compact<T: Serialize>(value: &T) -> Vec<u8> {
    let text = serde_json::to_string(value).expect("plain data without maps of odd keys");
    escape(&text)
}

/// Indented by two spaces, as manifests are stored.
pub(crate) fn indented<T: Serialize>(value: &T) -> Vec<u8> {
    let text = serde_json::to_string_pretty(value).expect("plain data without maps of odd keys");
    escape(&text)
}

/// Go escapes these five, so that JSON may stand in HTML and JavaScript. They occur in strings only.
fn escape(json: &str) -> Vec<u8> {
    let mut out = String::with_capacity(json.len() + json.len() / 16);
    for c in json.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_go_does() {
        let json = compact(&"a && b <c>\u{2028}\u{8}\u{1}\t\"é");
        assert_eq!(
            String::from_utf8_lossy(&json),
            r#""a \u0026\u0026 b \u003cc\u003e\u2028\b\u0001\t\"é""#
        );
    }
}
