//! The forms of mounts that older kernels need, which newer ones still have.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::Read;
use std::process::Command;

use rustix::fs::openat;

use super::*;
use crate::mount::Upper;

fn read(root: &OwnedFd, path: &str) -> String {
    let file = openat(
        root,
        path,
        rustix::fs::OFlags::RDONLY,
        rustix::fs::Mode::empty(),
    );
    let mut text = String::new();
    fs::File::from(file.unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn space(syntax: Syntax, backing: Backing) -> MountSpace {
    let space = MountSpace::new(Marks::Trusted).unwrap();
    space
        .worker
        .call(move |keeper| {
            keeper.syntax = syntax;
            keeper.backing = backing;
        })
        .unwrap();
    space
}

/// A directory with one file, and an image of it whose data is in a second file.
fn image(directory: &Path) -> Lower {
    let tree = directory.join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), "content ".repeat(2000)).unwrap();
    let (index, data) = (directory.join("index: 1,\\x"), directory.join("data"));
    let output = Command::new("mkfs.erofs")
        .arg("--chunksize=4096")
        .arg(format!("--blobdev={}", data.display()))
        .args([&index, &tree])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    Lower::Erofs {
        index,
        tar: Some(data),
    }
}

#[test]
fn images_are_mounted_from_files_and_loop_devices() {
    for backing in Backing::ALL {
        let directory = tempfile::tempdir().unwrap();
        let space = space(Syntax::Separate, backing);
        let lower = image(directory.path());
        let overlay = Overlay {
            lowers: vec![lower.clone()],
            upper: OverlayUpper::None,
            attributes: MountAttributes::READ_ONLY,
        };
        let root = space.overlay(overlay.clone()).unwrap();
        assert_eq!(read(&root, "file").len(), 16000, "{backing:?}");
        let count = || space.worker.call(|keeper| keeper.layers.len()).unwrap();
        drop(space.overlay(overlay).unwrap());
        assert_eq!(count(), 1);
        space.forget(&lower).unwrap();
        assert_eq!(count(), 0);
        assert_eq!(read(&root, "file").len(), 16000, "{backing:?}");
    }
}

#[test]
fn overlays_are_made_in_both_syntaxes() {
    for syntax in [Syntax::Separate, Syntax::Joined] {
        for durable in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let make = |name: &str| {
                let path = directory.path().join(name);
                fs::create_dir(&path).unwrap();
                path
            };
            let (low, high) = (make("low: a,b"), make("high"));
            fs::write(low.join("file"), "low").unwrap();
            fs::write(high.join("file"), "high").unwrap();
            let upper = Upper {
                directory: make("upper, :"),
                work: make("work"),
                durable,
            };
            let overlay = Overlay {
                lowers: vec![Lower::Directory(low), Lower::Directory(high)],
                upper: OverlayUpper::Directory(upper.clone()),
                attributes: MountAttributes::empty(),
            };
            let space = space(syntax, Backing::File);
            for _ in 0..2 {
                let root = space.overlay(overlay.clone()).unwrap();
                assert_eq!(read(&root, "file"), "high", "{syntax:?}");
                let mode = rustix::fs::Mode::RWXU;
                rustix::fs::mkdirat(&root, "made", mode).unwrap();
                drop(root);
                fs::remove_dir(upper.directory.join("made")).unwrap();
            }
        }
    }
}

#[test]
fn the_probe_finds_what_this_kernel_can() {
    let directory = tempfile::tempdir().unwrap();
    crate::erofs_supported(directory.path()).unwrap();
    let missing = crate::erofs_supported(Path::new("/no/such"));
    assert!(matches!(missing, Err(crate::Unsupported::NoFile(_))));
}
