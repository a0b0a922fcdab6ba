//! Identities and other names as file names.

use std::fmt::Display;

/// The hexadecimal digits of an identity, without the name of its hash.
pub(crate) fn digits(identity: &impl Display) -> String {
    let mut text = identity.to_string();
    if let Some(colon) = text.rfind(':') {
        text.drain(..=colon);
    }
    text
}

/// The hash of a name that may hold any characters.
pub(crate) fn hashed(name: &str) -> String {
    blake3::hash(name.as_bytes()).to_string()
}

/// Bytes as lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_string()
}
