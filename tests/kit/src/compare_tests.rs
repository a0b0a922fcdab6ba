//! The comparison must see each thing that it claims to compare: every property is changed once.

use std::process::Command;

use super::*;
use crate::command::shell;

/// A tree with one of each kind of file.
fn sample() -> Tree {
    let directory = crate::scratch();
    shell(
        directory.path(),
        "mkdir -p in/dir; cd in; echo text > file; ln file dir/hard; ln -s file link; mknod char c 1 3; mknod block b 7 0; \
         mkfifo pipe; chown 3:4 file; touch -d @1000000000 file; \
         python3 -c 'import os; os.setxattr(\"file\", \"user.note\", b\"a\\nb\")'; \
         tar --format=pax --xattrs --xattrs-include='*' -cf ../layer.tar .",
    );
    let mut tree = Tree::default();
    let layer =
        std::fs::File::open(directory.path().join("layer.tar")).expect("tar wrote the layer");
    tree.apply(layer).expect("tar writes what the reader reads");
    tree
}

fn found(change: impl FnOnce(&mut Tree)) -> Vec<String> {
    let (ours, mut theirs) = (sample(), sample());
    change(&mut theirs);
    trees(&ours, &theirs)
        .iter()
        .map(|difference| format!("{} {}", difference.place, difference.property))
        .collect()
}

fn with(name: &'static str, change: impl FnOnce(&mut Node)) -> Vec<String> {
    found(|tree| {
        let node = tree.get_mut(name.as_bytes());
        change(node.expect("the sample has the name"));
    })
}

#[test]
fn equal_trees_do_not_differ() {
    assert_eq!(found(|_| {}), Vec::<String>::new());
}

#[test]
fn every_property_is_compared() {
    let device = |kind: fn(u64, u64) -> Kind| move |node: &mut Node| node.kind = kind(9, 9);
    assert_eq!(with("char", device(Kind::CharDevice)), ["/char device"]);
    assert_eq!(with("block", device(Kind::BlockDevice)), ["/block device"]);
    assert_eq!(
        with("pipe", |node| node.kind = Kind::Directory),
        ["/pipe type"]
    );
    assert_eq!(
        with("link", |node| node.kind = Kind::Symlink(b"other".to_vec())),
        ["/link target"]
    );
    assert_eq!(with("dir", |node| node.mode = 0o1700), ["/dir mode"]);
    let both = |property: &str| vec![format!("/dir/hard {property}"), format!("/file {property}")];
    assert_eq!(with("file", |node| node.uid = 9), both("uid"));
    assert_eq!(with("file", |node| node.gid = 9), both("gid"));
    assert_eq!(with("file", |node| node.mode = 0o4755), both("mode"));
    assert_eq!(with("file", |node| node.mtime += 1), both("mtime"));
    assert_eq!(
        with("file", |node| node.kind = Kind::File {
            size: 5,
            content: 0
        }),
        both("content")
    );
    assert_eq!(
        with("file", |node| node.xattrs.clear()),
        both("xattr:user.note")
    );
}

#[test]
fn what_is_missing_and_what_is_unlinked_differ() {
    assert_eq!(found(|tree| tree.remove(b"pipe", false)), ["/pipe present"]);
    assert_eq!(
        found(|tree| tree.remove(b"dir", true)),
        ["/dir/hard present", "/file links"]
    );
}

#[test]
fn layers_replace_and_hide_what_is_below() {
    let directory = crate::scratch();
    let script = "mkdir -p one/a/sub one/b one/c; touch one/a/old one/a/sub/x one/b/gone one/c/file; \
         mkdir -p two/a two/b two/c/file; touch two/a/new two/a/.wh..wh..opq two/b/.wh.gone two/c/file/in; \
         tar -C one -cf one.tar .; tar -C two -cf two.tar a/new a/.wh..wh..opq b c";
    shell(directory.path(), script);
    let mut tree = Tree::default();
    for layer in ["one.tar", "two.tar"] {
        let file = std::fs::File::open(directory.path().join(layer)).expect("tar wrote the layer");
        tree.apply(file).expect("tar writes what the reader reads");
    }
    let names: Vec<_> = tree
        .iter()
        .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
        .collect();
    assert_eq!(names, ["", "a", "a/new", "b", "c", "c/file", "c/file/in"]);
}

#[test]
fn configurations_differ_by_member_and_emptiness_is_one() {
    let ours =
        serde_json::json!({"os": "linux", "config": {"Env": ["A=1"], "Cmd": [], "Labels": null}});
    let theirs = serde_json::json!({"os": "linux", "config": {"Env": ["A=2"], "Entrypoint": null, "User": ""}});
    let found: Vec<_> = configs(&ours, &theirs)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        [r#"config.Env value ["A=1"]   (the other: ["A=2"])"#]
    );
}

#[test]
fn formats_of_tar_give_one_tree() {
    let directory = crate::scratch();
    let script = "mkdir in; long=$(printf '%090d' 1); mkdir -p in/$long; echo x > in/$long/short; \
         ln -s $long/short in/link; mknod in/dev c 260 70000; for f in pax gnu ustar; do tar --format=$f -C in -cf $f.tar .; done";
    shell(directory.path(), script);
    let tree = |format: &str| {
        let mut tree = Tree::default();
        let file = std::fs::File::open(directory.path().join(format!("{format}.tar")))
            .expect("tar wrote the layer");
        tree.apply(file).expect("tar writes what the reader reads");
        tree
    };
    for format in ["gnu", "ustar"] {
        assert_eq!(trees(&tree("pax"), &tree(format)), [], "{format}");
    }
}

#[test]
fn images_of_skopeo_and_layouts_read_alike() {
    let directory = crate::scratch();
    let layout = crate::bases::directory().join("busybox");
    let copied = directory.path().join("copy");
    let (from, to) = (
        format!("oci:{}", layout.display()),
        format!("dir:{}", copied.display()),
    );
    crate::command::run(Command::new("skopeo").args(["copy", "-q", &from, &to])).succeeded();
    assert_eq!(
        images(
            &Image::from_layout(&layout),
            &Image::from_directory(&copied)
        ),
        []
    );
}
