//! JSON as Go's `encoding/json` writes it, so that a document that other builders made of the same data has the same
//! digest.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Reads a document that is an object. Without the check a list of values would pass for one.
pub(crate) fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    match bytes.trim_ascii_start().first() {
        Some(b'{') | None => serde_json::from_slice(bytes),
        Some(_) => Err(serde_json::Error::custom("not an object")),
    }
}

/// The most entries of a list in a document. Images have a hundred layers or two, and some hundred lines of history; an
/// entry can be written in three bytes and takes a hundred in memory.
const LIST_MAX: usize = 10_000;

/// A list of at most [`LIST_MAX`] entries. Go writes `null` for one that was never set.
pub(crate) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_option(List(PhantomData))
}

struct List<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_none<E>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<Vec<T>, A::Error> {
        bounded(entries)
    }
}

/// A list of words; early versions of Docker wrote one word without a list.
pub(crate) fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(Words)
}

struct Words;

impl<'de> Visitor<'de> for Words {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of words")
    }

    fn visit_unit<E>(self) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_str<E>(self, word: &str) -> Result<Vec<String>, E> {
        Ok(vec![word.to_owned()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<Vec<String>, A::Error> {
        bounded(entries)
    }
}

fn bounded<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(
    mut entries: A,
) -> Result<Vec<T>, A::Error> {
    let mut list = Vec::new();
    while let Some(entry) = entries.next_element()? {
        if list.len() == LIST_MAX {
            return Err(A::Error::custom(format_args!(
                "a list has more than {LIST_MAX} entries"
            )));
        }
        list.push(entry);
    }
    Ok(list)
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
