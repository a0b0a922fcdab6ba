//! What the tests of the program share.
//!
//! The kit starts what a test needs beside the program (base images, a registry, `dockerd`), runs the program and its
//! peers, and reads the images that they make with code of its own, so that a fault in the program's own readers
//! cannot hide itself. It fails by panicking: every panic is a test's failure and names the command or file at fault.

#![allow(clippy::missing_panics_doc, reason = "a panic is how a test fails")]

pub mod bases;
pub mod cgroup;
pub mod chance;
pub mod command;
pub mod compare;
pub mod context;
pub mod disk;
pub mod docker;
pub mod expect;
pub mod faults;
pub mod image;
pub mod progress;
pub mod rbuild;
pub mod registry;
pub mod supervise;
pub mod tar;
pub mod tree;
pub mod user;
pub mod web;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The root of the checkout.
pub fn checkout() -> PathBuf {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR"));
    kit.ancestors()
        .nth(2)
        .expect("the kit is two levels below the root")
        .to_path_buf()
}

/// A directory that is gone at the end of the test, on the file system of the target directory: that is where builds
/// happen in earnest, and what overlayfs and EROFS are mounted from.
pub fn scratch() -> tempfile::TempDir {
    static PARENT: OnceLock<PathBuf> = OnceLock::new();
    let parent = PARENT.get_or_init(|| {
        let parent = checkout().join("target/test-scratch");
        fs::create_dir_all(&parent).expect("the target directory can be written");
        remove_abandoned(&parent);
        parent
    });
    let prefix = format!("{}-", std::process::id());
    tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir_in(parent)
        .expect("a temporary directory can be made")
}

/// Removes the directories of test processes that are no more: what lives as long as a process outlives its test.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent)
        .expect("the directory was just made")
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(process).exists() {
            // Another test process may be removing it too.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}
