//! House rules that no lint knows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every file that is tracked, or would be.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let args = [
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ];
    let output = Command::new("git")
        .args(args)
        .current_dir(root)
        .output()
        .expect("git is installed");
    assert!(output.status.success(), "the tests run in a checkout");
    let names = output
        .stdout
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    let paths = names.map(|name| root.join(String::from_utf8_lossy(name).as_ref()));
    paths
        .filter(|path| path.is_file() && !path.is_symlink())
        .collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    let rust = files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| (fs::read_to_string(&path).expect("sources are UTF-8"), path))
        .map(|(text, path)| (path, text))
        .collect()
}

#[track_caller]
fn assert_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n{}", offenders.join("\n"));
}

#[test]
fn every_source_file_says_what_it_is_for() {
    // A module's tests are told of by the module.
    let is_tests = |path: &Path| path.ends_with("tests.rs");
    let silent = sources()
        .into_iter()
        .filter(|(path, text)| !is_tests(path) && !text.starts_with("//! "));
    let silent: Vec<_> = silent.map(|(path, _)| path.display().to_string()).collect();
    assert_none("these begin without `//!`", &silent);
}

#[test]
fn no_source_file_is_too_long() {
    const LINES: usize = 800;
    let long = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES);
    let long: Vec<_> = long
        .map(|(path, lines)| format!("{} has {lines} lines", path.display()))
        .collect();
    assert_none("split these", &long);
}

#[test]
fn nothing_is_left_for_later() {
    // Written so that this file does not find itself.
    let marks = [
        "TO".to_owned() + "DO",
        "FIX".to_owned() + "ME",
        "XX".to_owned() + "X",
        "unimplemented".to_owned() + "!(",
    ];
    let mut found = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!(
                    "{}:{}: {}",
                    path.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    assert_none("do these now", &found);
}

#[test]
fn no_file_names_the_place_where_it_was_written() {
    let checkout = env!("CARGO_MANIFEST_DIR");
    // A place as short as `/src` is in many files with good reason.
    if checkout.len() < "/some/dir".len() {
        return;
    }
    let named = |path: &PathBuf| {
        let text = fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&text).contains(checkout)
    };
    let found: Vec<_> = files().into_iter().filter(named).collect();
    let found: Vec<_> = found
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    assert_none("these name a directory of one machine", &found);
}

#[test]
fn every_crate_takes_its_lints_and_versions_from_the_workspace() {
    let mut found = Vec::new();
    for path in files()
        .into_iter()
        .filter(|path| path.ends_with("Cargo.toml"))
    {
        let text = fs::read_to_string(&path).expect("manifests are UTF-8");
        if !text.contains("[lints]\nworkspace = true") {
            found.push(format!("{} has lints of its own", path.display()));
        }
    }
    assert_none("inherit", &found);
}

#[test]
fn every_expected_difference_belongs_to_a_case() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/differential");
    let mut found = Vec::new();
    for case in fs::read_dir(cases)
        .expect("the checkout has the cases")
        .flatten()
        .filter(|entry| entry.path().is_dir())
    {
        if !case.path().join("context/Dockerfile").is_file() {
            found.push(case.path().display().to_string());
        }
    }
    assert_none("these have no Dockerfile", &found);
}
