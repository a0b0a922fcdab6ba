//! Directories compared with the layers that they are made from, or that were made from them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rbuild_layer::{Difference, UnpackOptions, compare};
use rustix::fs::FileType;
use support::{Layer, make_node, set_mode, set_owner, set_xattr, whiteout};

/// An upper directory with one of each kind.
fn upper() -> tempfile::TempDir {
    let upper = tempfile::tempdir().unwrap();
    let at = |name: &str| upper.path().join(name);
    fs::create_dir_all(at("d/opaque")).unwrap();
    set_xattr(&at("d/opaque"), "trusted.overlay.opaque", b"y");
    rewrite(upper.path(), "bytes");
    fs::hard_link(at("d/file"), at("another")).unwrap();
    symlink("d/file", at("link")).unwrap();
    make_node(&at("null"), FileType::CharacterDevice, 1, 3);
    make_node(&at("pipe"), FileType::Fifo, 0, 0);
    whiteout(&at("gone"));
    upper
}

/// Gives the file these bytes, and the capability that writing takes away.
fn rewrite(upper: &Path, bytes: &str) {
    let file = upper.join("d/file");
    fs::write(&file, bytes).unwrap();
    let mut capability = [0; 20];
    capability[..6].copy_from_slice(&[1, 0, 0, 2, 0, 4]);
    set_xattr(&file, "security.capability", &capability);
}

fn difference(
    layer: &Layer,
    directory: &Path,
    options: UnpackOptions,
) -> Option<(String, Difference)> {
    let found = compare(&layer.index(), directory, options).unwrap();
    found.map(|(path, difference)| (path.to_string(), difference))
}

#[test]
fn both_forms_of_a_layer_are_as_it_is() {
    let upper = upper();
    let layer = Layer::seal(upper.path());
    let unpacked = tempfile::tempdir().unwrap();
    rbuild_layer::unpack(&layer.index(), unpacked.path()).unwrap();
    for directory in [&upper, &unpacked] {
        let found = difference(&layer, directory.path(), UnpackOptions::default());
        assert_eq!(found, None);
    }
}

#[test]
fn each_change_is_found() {
    type Change = fn(&Path);
    let changes: [(Change, &str, Difference); 13] = [
        (|d| rewrite(d, "BYTES"), "another", Difference::Bytes),
        (|d| rewrite(d, "byte"), "another", Difference::Bytes),
        (|d| set_mode(&d.join("d"), 0o700), "d", Difference::Mode),
        (
            |d| set_owner(&d.join("link"), 1, 1),
            "link",
            Difference::Owner,
        ),
        (
            |d| set_xattr(&d.join("d"), "security.other", b"x"),
            "d",
            Difference::Xattrs,
        ),
        (
            |d| rustix::fs::removexattr(d.join("another"), "security.capability").unwrap(),
            "another",
            Difference::Xattrs,
        ),
        (
            |d| fs::remove_file(d.join("pipe")).unwrap(),
            "pipe",
            Difference::Missing,
        ),
        (
            |d| fs::remove_file(d.join("gone")).unwrap(),
            "gone",
            Difference::Missing,
        ),
        (
            |d| fs::write(d.join("a"), "").unwrap(),
            "a",
            Difference::Surplus,
        ),
        (
            |d| fs::write(d.join("z"), "").unwrap(),
            "z",
            Difference::Surplus,
        ),
        (
            |d| {
                fs::remove_file(d.join("link")).unwrap();
                symlink("d/other", d.join("link")).unwrap();
            },
            "link",
            Difference::Node,
        ),
        (
            |d| {
                fs::remove_file(d.join("null")).unwrap();
                make_node(&d.join("null"), FileType::CharacterDevice, 1, 5);
            },
            "null",
            Difference::Node,
        ),
        (
            |d| rustix::fs::removexattr(d.join("d/opaque"), "trusted.overlay.opaque").unwrap(),
            "d/opaque",
            Difference::Node,
        ),
    ];
    for (change, path, what) in changes {
        let upper = upper();
        let layer = Layer::seal(upper.path());
        change(upper.path());
        let found = difference(&layer, upper.path(), UnpackOptions::default());
        let (found_path, found) = found.unwrap();
        assert!(found_path.ends_with(path), "{found_path} for {path}");
        assert_eq!(found, what, "{path}");
    }
}

#[test]
fn a_link_that_became_a_file_of_its_own_is_found() {
    let upper = upper();
    let layer = Layer::seal(upper.path());
    let file = upper.path().join("d/file");
    let bytes = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, bytes).unwrap();
    let found = difference(&layer, upper.path(), UnpackOptions::default());
    assert!(found.unwrap().0.ends_with("d/file"));
}

#[test]
fn what_a_user_cannot_make_may_be_missing() {
    let upper = upper();
    let layer = Layer::seal(upper.path());
    fs::remove_file(upper.path().join("null")).unwrap();
    set_owner(&upper.path().join("link"), 1, 1);
    rustix::fs::removexattr(upper.path().join("another"), "security.capability").unwrap();
    let options = UnpackOptions { userxattr: true };
    assert_eq!(difference(&layer, upper.path(), options), None);
    fs::remove_file(upper.path().join("pipe")).unwrap();
    let found = difference(&layer, upper.path(), options).unwrap();
    assert_eq!(found.1, Difference::Missing);
}
