//! Secrets of a build: read when a step needs them, kept in memory only, and kept out of its output.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::StepError;

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file of the host.
    File(PathBuf),
    /// A value given by the caller, such as one taken from its environment.
    Value(SecretValue),
}

/// A secret's bytes; `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Vec<u8>);

impl SecretValue {
    /// The secret that has these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

/// The secrets of a build, by id.
#[derive(Debug, Clone, Default)]
pub struct Secrets(BTreeMap<String, SecretSource>);

impl Secrets {
    /// Adds a secret; a second one of the same id takes the first one's place.
    pub fn insert(&mut self, id: String, source: SecretSource) {
        self.0.insert(id, source);
    }

    /// Reads a secret; `None` when none of this id was given.
    pub(crate) fn read(&self, id: &str) -> Result<Option<SecretValue>, StepError> {
        match self.0.get(id) {
            None => Ok(None),
            Some(SecretSource::Value(value)) => Ok(Some(value.clone())),
            Some(SecretSource::File(path)) => match std::fs::read(path) {
                Ok(bytes) => Ok(Some(SecretValue(bytes))),
                Err(source) => Err(StepError::Secret {
                    id: id.to_owned(),
                    source,
                }),
            },
        }
    }
}

/// What a secret is shown as.
const MASK: &[u8] = b"*****";
/// Shorter lines of a secret of several lines are too common to hide one by one.
const SHORTEST_LINE: usize = 6;

/// Replaces secrets in a stream of output, across the borders of its pieces.
#[derive(Debug)]
pub(super) struct Masker {
    /// Longest first, so that a secret within another does not leave a rest of it.
    needles: Vec<Vec<u8>>,
    held: Vec<u8>,
}

impl Masker {
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretValue>) -> Self {
        let mut needles: Vec<Vec<u8>> = Vec::new();
        for secret in secrets {
            let whole = secret.as_bytes().trim_ascii_end();
            let lines = whole.split(|byte| *byte == b'\n');
            needles.extend(
                lines
                    .filter(|line| line.len() >= SHORTEST_LINE)
                    .map(<[u8]>::to_vec),
            );
            if !whole.is_empty() {
                needles.push(whole.to_vec());
            }
        }
        needles.sort_by(|left, right| right.len().cmp(&left.len()).then(left.cmp(right)));
        needles.dedup();
        Self {
            needles,
            held: Vec::new(),
        }
    }

    /// Takes a piece and gives what can be shown of it and of earlier ones. What might be the start of a secret is
    /// held back until more comes.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        if self.needles.is_empty() {
            return piece.to_vec();
        }
        self.held.extend_from_slice(piece);
        self.mask(false)
    }

    /// The rest, at the end of the stream.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.mask(true)
    }

    fn mask(&mut self, last: bool) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let mut shown = Vec::with_capacity(held.len());
        let mut at = 0;
        while at < held.len() {
            let rest = &held[at..];
            let begins = |needle: &Vec<u8>| needle.len() > rest.len() && needle.starts_with(rest);
            if !last && self.needles.iter().any(begins) {
                self.held = rest.to_vec();
                break;
            }
            if let Some(needle) = self.needles.iter().find(|needle| rest.starts_with(needle)) {
                shown.extend_from_slice(MASK);
                at += needle.len();
            } else {
                shown.push(held[at]);
                at += 1;
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(secrets: &[&str], pieces: &[&str]) -> String {
        let secrets: Vec<_> = secrets
            .iter()
            .map(|secret| SecretValue::new(secret.as_bytes().to_vec()))
            .collect();
        let mut masker = Masker::new(&secrets);
        let mut shown = Vec::new();
        for piece in pieces {
            shown.extend(masker.push(piece.as_bytes()));
        }
        shown.extend(masker.finish());
        String::from_utf8(shown).expect("text in, text out")
    }

    #[test]
    fn secrets_are_masked_wherever_pieces_break() {
        let text = "token=hunter2!\nnext hunter2";
        let expected = "token=*****!\nnext *****";
        for border in 0..=text.len() {
            let (left, right) = text.split_at(border);
            assert_eq!(mask(&["hunter2\n"], &[left, right]), expected, "{border}");
        }
    }

    #[test]
    fn text_that_only_begins_like_a_secret_is_shown() {
        assert_eq!(
            mask(&["hunter2"], &["hunt", "ing hunter"]),
            "hunting hunter"
        );
    }

    #[test]
    fn lines_of_a_long_secret_are_masked_alone() {
        assert_eq!(
            mask(&["first line\nab\nlast line"], &["last line, ab"]),
            "*****, ab"
        );
    }

    #[test]
    fn the_longer_of_two_secrets_wins() {
        assert_eq!(mask(&["abc", "abcdef"], &["abcdef abc"]), "***** *****");
        assert_eq!(
            mask(&["abc", "abcdef"], &["abc", "def", " abc"]),
            "***** *****"
        );
    }

    #[test]
    fn debug_output_has_no_secret() {
        let mut secrets = Secrets::default();
        let value = SecretSource::Value(SecretValue::new(b"hunter2".to_vec()));
        secrets.insert("id".into(), value);
        assert!(!format!("{secrets:?}").contains("hunter2"));
    }
}
