//! What the tests of several modules begin with.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;

use layer::{ContentDigest, DiffId, Digest};
use tempfile::TempDir;

use crate::{Layer, Store};

/// A store that is gone with the directory.
pub(crate) fn new() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

/// The name of a layer whose tar is a text.
pub(crate) fn diff_id(text: &str) -> DiffId {
    DiffId::new(Digest::of(text.as_bytes()))
}

/// A layer whose tar and index are a text.
pub(crate) fn add(store: &Store, text: &str) -> Layer {
    let draft = store.layers().begin().unwrap();
    fs::write(draft.tar(), text).unwrap();
    fs::write(draft.index(), text).unwrap();
    let content = ContentDigest::of(text.as_bytes());
    draft.commit(&diff_id(text), &content).unwrap()
}
