//! A tree with everything in it, sealed and then mounted by the kernel, is the same tree.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::FileType;
use support::{
    Layer, assert_same, make_node, name, set_mode, set_owner, set_time, set_xattr, snapshot,
    whiteout,
};

/// A tree of all kinds of entries.
fn populate(root: &Path) {
    let directory = root.join("dir");
    fs::create_dir_all(directory.join("sub/deeper")).unwrap();
    fs::write(directory.join("file"), b"content\n").unwrap();
    fs::write(directory.join("empty"), b"").unwrap();
    fs::write(directory.join("block"), [7; 512]).unwrap();
    fs::write(directory.join("odd"), vec![9; 5_000_001]).unwrap();
    fs::hard_link(directory.join("file"), root.join("another name")).unwrap();
    fs::hard_link(directory.join("file"), root.join("a first name")).unwrap();
    std::os::unix::fs::symlink("../x", directory.join("link")).unwrap();
    std::os::unix::fs::symlink("t".repeat(4095), directory.join("long link")).unwrap();
    std::os::unix::fs::symlink("t".repeat(300), directory.join("longish link")).unwrap();
    fs::hard_link(directory.join("link"), directory.join("link of link")).unwrap();
    make_node(&root.join("null"), FileType::CharacterDevice, 1, 3);
    make_node(&root.join("loop"), FileType::BlockDevice, 7, 300);
    make_node(&root.join("pipe"), FileType::Fifo, 0, 0);
    whiteout(&root.join("gone"));
    whiteout(&directory.join("gone too"));
    fs::create_dir(root.join("opaque")).unwrap();
    set_xattr(&root.join("opaque"), "trusted.overlay.opaque", b"y");
    set_xattr(&root.join("opaque"), "user.other", b"y");
    fs::write(root.join(name(b"\xff\xfe not utf-8")), b"x").unwrap();
    fs::write(root.join("größe"), b"x").unwrap();
    fs::write(root.join("n".repeat(255)), b"x").unwrap();
    let deep = (0..20).fold(root.join("deep"), |path, _| path.join("d".repeat(150)));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), b"deep").unwrap();
    let capable = root.join("capable");
    fs::write(&capable, b"elf").unwrap();
    set_owner(&capable, 4_000_000_000, 3_000_000);
    set_mode(&capable, 0o6755);
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    set_xattr(&capable, "security.capability", &capability);
    set_xattr(&capable, "user.empty", b"");
    set_xattr(&capable, "user.binary", b"\0=\n\xff");
    set_xattr(&capable, "trusted.large", &vec![b'v'; 3000]);
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(50_000_000).unwrap();
    sparse.write_all_at(b"middle", 20_000_000).unwrap();
    set_mode(&root.join("opaque"), 0o1777);
    for (at, path) in [
        "dir/file", "dir/link", "null", "sparse", "dir/sub", "opaque",
    ]
    .iter()
    .enumerate()
    {
        let seconds = [0, -1, 1, 1 << 33, 1_700_000_000, -5_000_000_000][at];
        set_time(&root.join(path), seconds, [0, 1, 999_999_999][at % 3]);
    }
}

/// What is not in a layer: the root's own metadata.
fn without_root(
    mut tree: std::collections::BTreeMap<std::path::PathBuf, support::Seen>,
) -> std::collections::BTreeMap<std::path::PathBuf, support::Seen> {
    tree.remove(Path::new(""));
    tree
}

#[test]
fn the_kernel_sees_what_was_sealed() {
    let upper = tempfile::tempdir().unwrap();
    populate(upper.path());
    let layer = Layer::seal(upper.path());
    let mounted = layer.mount();
    let expected = without_root(snapshot(upper.path()));
    assert_same(
        &expected,
        &without_root(snapshot(mounted.path())),
        "mounted",
    );
}

#[test]
fn sealing_is_deterministic_and_reading_its_tar_gives_the_same_index() {
    let upper = tempfile::tempdir().unwrap();
    populate(upper.path());
    let layer = Layer::seal(upper.path());
    let again = Layer::seal(upper.path());
    assert_eq!(layer.summary, again.summary);
    let tar = fs::read(layer.tar()).unwrap();
    assert!(tar == fs::read(again.tar()).unwrap());
    let index = fs::read(layer.index_file()).unwrap();
    assert!(index == fs::read(again.index_file()).unwrap());
    let streamed = Layer::of_tar(&tar).unwrap();
    assert_eq!(streamed.summary, layer.summary);
    assert!(tar == fs::read(streamed.tar()).unwrap());
    assert!(index == fs::read(streamed.index_file()).unwrap());
}
