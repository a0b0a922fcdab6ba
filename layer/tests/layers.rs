//! Layers from plans, views of them, and what is done without mounting them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::cell::Cell;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rbuild_layer::{
    ContentDigest, EntryKind, Error, FileSource, Index, LayerPath, LayerTree, Metadata,
    PlanProblem, PlannedEntry, PlannedFile, PlannedNode, Timestamp, UnpackOptions, View,
    WriteOptions,
};
use support::{Layer, Mounted, assert_same, count_links, snapshot, whiteout, xattrs};

fn path(text: &str) -> LayerPath {
    LayerPath::new(text.as_bytes()).unwrap()
}

fn entry(at: &str, node: PlannedNode) -> PlannedEntry {
    let mode = if matches!(node, PlannedNode::Directory { .. }) {
        0o755
    } else {
        0o644
    };
    PlannedEntry {
        path: path(at),
        metadata: Metadata {
            mode,
            ..Metadata::default()
        },
        node,
    }
}

fn text(at: &str, bytes: &str) -> PlannedEntry {
    entry(
        at,
        PlannedNode::file(FileSource::Bytes(bytes.as_bytes().into())),
    )
}

fn directory(at: &str) -> PlannedEntry {
    entry(at, PlannedNode::Directory { opaque: false })
}

fn opaque(at: &str) -> PlannedEntry {
    entry(at, PlannedNode::Directory { opaque: true })
}

fn symlink(at: &str, to: &str) -> PlannedEntry {
    entry(at, PlannedNode::Symlink(to.into()))
}

fn device(at: &str, major: u32, minor: u32) -> PlannedEntry {
    entry(at, PlannedNode::Char { major, minor })
}

fn link(at: &str, to: &str) -> PlannedEntry {
    entry(at, PlannedNode::HardLink(path(to)))
}

fn hidden(at: &str) -> PlannedEntry {
    entry(at, PlannedNode::Whiteout)
}

fn view(layers: &[&Layer]) -> View {
    let trees = layers
        .iter()
        .map(|layer| Arc::new(layer.index()) as Arc<dyn LayerTree>);
    View::new(trees.collect())
}

fn read(view: &View, at: &str) -> Option<String> {
    let (_, node) = view.resolve(at.as_bytes(), true).unwrap()?;
    Some(String::from_utf8(node.read(1 << 20).unwrap()).unwrap())
}

#[test]
fn the_order_of_a_plan_does_not_matter() {
    let mut entries = vec![
        directory("a"),
        text("a/x", "1"),
        text("a.b", "2"),
        directory("a/b"),
        text("a/b/c", "3"),
        link("a/z", "a.b"),
        link("0", "a/z"),
        symlink("s", "a"),
        hidden("w"),
        opaque("o"),
    ];
    let first = Layer::of(entries.clone());
    entries.reverse();
    let second = Layer::of(entries);
    assert_eq!(first.summary, second.summary);
    assert!(fs::read(first.tar()).unwrap() == fs::read(second.tar()).unwrap());
    assert_eq!(first.summary.implied_dirs, [LayerPath::root()]);
    // The file is at the first of its names, wherever the plan had it.
    let tar = fs::read(first.tar()).unwrap();
    let mut archive = tar::Archive::new(&tar[..]);
    let names: Vec<(String, u8)> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            (name, entry.header().entry_type().as_byte())
        })
        .collect();
    let expected = [
        ("0", b'0'),
        ("a/", b'5'),
        ("a/b/", b'5'),
        ("a/b/c", b'0'),
        ("a/x", b'0'),
        ("a/z", b'1'),
        ("a.b", b'1'),
        ("o/", b'5'),
        ("o/.wh..wh..opq", b'0'),
        ("s", b'2'),
        (".wh.w", b'0'),
    ];
    let expected = expected.map(|(name, kind)| (name.to_owned(), kind));
    assert_eq!(names, expected);
}

#[test]
fn plans_that_make_no_layer_are_refused() {
    let xattr = |name: &str| {
        let mut entry = text("x", "");
        entry.metadata.xattrs = vec![(name.into(), b"y".to_vec())];
        vec![entry]
    };
    let cases: Vec<(Vec<PlannedEntry>, PlanProblem)> = vec![
        (vec![text("x", ""), directory("x")], PlanProblem::Twice),
        (
            vec![text("x", ""), text("x/y/z", "")],
            PlanProblem::NotADirectory(path("x")),
        ),
        (vec![text("", "")], PlanProblem::Root),
        (vec![text("a/.wh.x", "")], PlanProblem::ReservedName),
        (vec![link("x", "y")], PlanProblem::LinkTarget(path("y"))),
        (vec![link("x", "x")], PlanProblem::LinkTarget(path("x"))),
        (
            vec![link("x", "d"), directory("d")],
            PlanProblem::LinkTarget(path("d")),
        ),
        (vec![symlink("x", "")], PlanProblem::SymlinkTarget),
        (vec![device("x", 0, 0)], PlanProblem::WhiteoutDevice),
        (
            vec![device("x", 4096, 1)],
            PlanProblem::DeviceNumber(4096, 1),
        ),
        (
            xattr("unknown.a"),
            PlanProblem::Xattr("unknown.a".to_owned()),
        ),
        (xattr("user.a=b"), PlanProblem::Xattr("user.a=b".to_owned())),
        (
            xattr("trusted.overlay.opaque"),
            PlanProblem::Xattr("trusted.overlay.opaque".to_owned()),
        ),
    ];
    for (entries, expected) in cases {
        let written = Layer::make(|tar, index| {
            rbuild_layer::write_layer(entries, tar, index, &WriteOptions::default())
        });
        match written {
            Err(Error::Plan { source, .. }) => assert_eq!(source, expected),
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("{expected:?} was not found"),
        }
    }
}

#[test]
fn files_that_changed_are_told() {
    let host = tempfile::tempdir().unwrap();
    fs::write(host.path().join("file"), b"now this").unwrap();
    let root: Arc<OwnedFd> = Arc::new(fs::File::open(host.path()).unwrap().into());
    let file = |size, expected: &[u8]| {
        let source = FileSource::Host {
            root: Arc::clone(&root),
            path: b"file".to_vec(),
            size,
            version: None,
        };
        let expected = Some(ContentDigest::of(expected));
        vec![entry(
            "x",
            PlannedNode::File(PlannedFile { source, expected }),
        )]
    };
    assert!(Layer::of(file(8, b"now this")).summary.changed.is_empty());
    assert!(Layer::of(file(3, b"now")).summary.changed.is_empty());
    assert_eq!(Layer::of(file(8, b"was that")).summary.changed, [path("x")]);
    let shorter = Layer::make(|tar, index| {
        rbuild_layer::write_layer(file(9, b""), tar, index, &WriteOptions::default())
    });
    assert!(matches!(shorter, Err(Error::Changed { .. })));
}

#[test]
fn writing_can_be_cancelled_and_times_clamped() {
    let asked = Cell::new(0);
    let cancelled = || asked.replace(asked.get() + 1) >= 2;
    let options = WriteOptions {
        clamp: None,
        cancelled: &cancelled,
    };
    let entries: Vec<_> = (0..10).map(|at| text(&at.to_string(), "")).collect();
    let layer = Layer::make(|tar, index| rbuild_layer::write_layer(entries, tar, index, &options));
    assert!(matches!(layer, Err(Error::Cancelled)));
    let mut late = text("late", "");
    late.metadata.mtime = Timestamp {
        seconds: 100,
        nanos: 1,
    };
    let mut early = text("early", "");
    early.metadata.mtime = Timestamp {
        seconds: 99,
        nanos: 1,
    };
    let options = WriteOptions {
        clamp: Some(100),
        ..WriteOptions::default()
    };
    let layer = Layer::make(|tar, index| {
        rbuild_layer::write_layer(vec![late, early], tar, index, &options)
    });
    let layer = layer.unwrap();
    let index = layer.index();
    let time = |at| {
        let nid = index.lookup(&path(at)).unwrap().unwrap();
        index.inode(nid).unwrap().metadata().unwrap().mtime
    };
    assert_eq!(time("late"), Timestamp::from_seconds(100));
    assert_eq!(
        time("early"),
        Timestamp {
            seconds: 99,
            nanos: 1
        }
    );
}

#[test]
fn a_view_resolves_links_beneath_its_root() {
    let base = Layer::of(vec![
        text("usr/lib/x", "x"),
        symlink("lib", "usr/lib"),
        symlink("abs", "/lib"),
        symlink("up", "../../../etc"),
        text("etc/passwd", "root"),
        symlink("loop", "loop"),
        symlink("usr/home", ".."),
    ]);
    let top = Layer::of(vec![hidden("usr/lib/x"), text("usr/lib/y", "y")]);
    let view = view(&[&base, &top]);
    for (at, expected) in [
        ("/lib/y", Some("y")),
        ("abs/../lib/y", Some("y")),
        ("usr/home/usr/home/lib/y", Some("y")),
        ("up/passwd", Some("root")),
        ("../../etc/passwd", Some("root")),
        ("lib/x", None),
        ("etc/passwd/x", None),
    ] {
        assert_eq!(read(&view, at).as_deref(), expected, "{at}");
    }
    assert!(matches!(
        view.resolve(b"loop", true),
        Err(Error::TooManyLinks { .. })
    ));
    let (at, node) = view.resolve(b"abs", false).unwrap().unwrap();
    assert_eq!((at, node.kind()), (path("abs"), EntryKind::Symlink));
    let (at, _) = view.resolve(b"abs", true).unwrap().unwrap();
    assert_eq!(at, path("usr/lib"));
    assert!(view.lookup(&path("lib/y")).unwrap().is_none());
    let empty = View::new(Vec::new());
    assert!(empty.root().unwrap().entries().unwrap().is_empty());
    assert!(empty.lookup(&path("x")).unwrap().is_none());
}

#[test]
fn content_digests_ignore_times_and_layers() {
    let whole = Layer::of(vec![directory("d"), text("d/a", "1"), text("d/b", "2")]);
    let lower = Layer::of(vec![directory("d"), text("d/a", "0"), text("d/gone", "")]);
    let upper = Layer::of(vec![text("d/a", "1"), text("d/b", "2"), hidden("d/gone")]);
    let digest = |view: &View| {
        view.lookup(&path("d"))
            .unwrap()
            .unwrap()
            .content_digest()
            .unwrap()
    };
    let expected = digest(&view(&[&whole]));
    assert_eq!(digest(&view(&[&lower, &upper])), expected);
    assert_ne!(digest(&view(&[&lower])), expected);
    let mut later = vec![directory("d"), text("d/a", "1"), text("d/b", "2")];
    later[1].metadata.mtime.seconds = 7;
    let later = Layer::of(later);
    assert_eq!(later.summary.content, whole.summary.content);
    assert_ne!(later.summary.diff_id, whole.summary.diff_id);
}

#[test]
fn files_are_copied_from_layer_to_layer_by_ranges() {
    let base = Layer::of(vec![
        directory("src"),
        text("src/a", "one"),
        link("src/b", "src/a"),
    ]);
    let view = view(&[&base]);
    let (_, top) = view.resolve(b"src", true).unwrap().unwrap();
    let copy = Layer::of(view.plan(&top).unwrap());
    let index = copy.index();
    let a = index.lookup(&path("a")).unwrap();
    assert_eq!(a, index.lookup(&path("b")).unwrap());
    assert_eq!(
        index.inode(a.unwrap()).unwrap().digest(),
        Some(ContentDigest::of(b"one"))
    );
    assert_eq!(index.implied_count(), 0);
}

#[test]
fn implied_directories_take_after_lower_layers() {
    let mut usr = directory("usr");
    usr.metadata = Metadata {
        mode: 0o1777,
        uid: 3,
        xattrs: vec![(b"user.a".to_vec(), b"b".to_vec())],
        ..Metadata::default()
    };
    let mut root = directory("");
    root.metadata.mode = 0o555;
    let base = Layer::of(vec![
        root,
        usr,
        text("usr/lib/x", "x"),
        symlink("lib", "usr/lib"),
    ]);
    let top = Layer::of(vec![
        text("usr/new", "n"),
        text("lib/y", "y"),
        text("fresh/z", "z"),
    ]);
    let lower = view(&[&base]);
    let out = fs::File::create_new(top.directory.path().join("variant")).unwrap();
    rbuild_layer::reindex(&top.index(), &lower, &out)
        .unwrap()
        .unwrap();
    fs::rename(top.directory.path().join("variant"), top.index_file()).unwrap();
    let mounts = [base.mount(), top.mount()];
    let overlay = Mounted::overlay(&[mounts[0].path(), mounts[1].path()]);
    let seen = snapshot(overlay.path());
    let at = |at: &str| &seen[Path::new(at)];
    assert_eq!(at("").mode & 0o7777, 0o555);
    assert_eq!((at("usr").mode & 0o7777, at("usr").uid), (0o1777, 3));
    assert_eq!(at("usr").xattrs, [(b"user.a".to_vec(), b"b".to_vec())]);
    assert_eq!(at("lib").content, b"usr/lib");
    assert_eq!(at("usr/lib/y").content, b"y");
    assert_eq!(at("usr/lib/x").content, b"x");
    assert_eq!(at("fresh").mode & 0o7777, 0o755);
    // On top of what it already fits there is nothing to do.
    let again = tempfile::tempfile().unwrap();
    let merged = view(&[&base]);
    assert!(
        rbuild_layer::reindex(&top.index(), &merged, &again)
            .unwrap()
            .is_none()
    );
    assert_eq!(top.index().diff_id(), top.summary.diff_id);
}

#[test]
fn nothing_is_written_outside_of_the_destination() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("victim"), b"safe").unwrap();
    let destination = tempfile::tempdir().unwrap();
    let to = destination.path();
    std::os::unix::fs::symlink(outside.path(), to.join("dir")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("victim"), to.join("file")).unwrap();
    fs::write(to.join("stays"), b"x").unwrap();
    let layer = Layer::of(vec![
        directory("dir"),
        text("dir/victim", "evil"),
        text("file", "new"),
    ]);
    rbuild_layer::flatten_directory(&view(&[&layer]), to, false, None).unwrap();
    assert_eq!(fs::read(outside.path().join("victim")).unwrap(), b"safe");
    assert_eq!(fs::read(to.join("dir/victim")).unwrap(), b"evil");
    assert_eq!(fs::read(to.join("file")).unwrap(), b"new");
    assert_eq!(fs::read(to.join("stays")).unwrap(), b"x");
    fs::create_dir(to.join("stuck")).unwrap();
    let layer = Layer::of(vec![text("stuck", "")]);
    assert!(rbuild_layer::flatten_directory(&view(&[&layer]), to, false, None).is_err());
}

#[test]
fn flattened_tars_hold_the_merged_tree() {
    let base = Layer::of(vec![directory("d"), text("d/a", "1"), text("gone", "")]);
    let top = Layer::of(vec![
        hidden("gone"),
        text("d/b", &"2".repeat(300_000)),
        link("c", "d/b"),
    ]);
    let view = view(&[&base, &top]);
    let mut bytes = Vec::new();
    rbuild_layer::flatten_tar(&[(LayerPath::root(), view)], &mut bytes, None, &|| false).unwrap();
    let flat = Layer::of_tar(&bytes).unwrap();
    let mounts = [base.mount(), top.mount()];
    let overlay = Mounted::overlay(&[mounts[0].path(), mounts[1].path()]);
    let mut expected = snapshot(overlay.path());
    count_links(&mut expected);
    assert_same(&expected, &snapshot(flat.mount().path()), "flattened");
}

#[test]
fn squashed_layers_have_the_effect_of_all() {
    let base = Layer::of(vec![
        directory("d"),
        text("d/a", "1"),
        text("d/gone", ""),
        directory("emptied"),
        text("emptied/x", ""),
        directory("replaced"),
        text("replaced/old", ""),
        text("file", "1"),
        text("gone", ""),
        directory("kept"),
        text("kept/k", "k"),
    ]);
    let mut kept = directory("kept");
    kept.metadata.mode = 0o700;
    let upper = [
        Layer::of(vec![
            hidden("d/gone"),
            hidden("gone"),
            text("only-here", ""),
            hidden("replaced"),
            opaque("emptied"),
            text("emptied/y", "y"),
            text("d/twice", "1"),
            kept.clone(),
        ]),
        Layer::of(vec![
            hidden("only-here"),
            directory("replaced"),
            text("replaced/new", "n"),
            text("d/twice", "22"),
            link("d/link", "d/twice"),
            hidden("file"),
            hidden("never"),
        ]),
        Layer::of(vec![
            directory("file"),
            text("file/in", "i"),
            kept,
            text("kept/n", ""),
        ]),
    ];
    let merged = view(&[&upper[0], &upper[1], &upper[2]]);
    let entries = rbuild_layer::squash(&merged, &view(&[&base])).unwrap();
    // What none of the layers has in the end, and the base has not either, leaves no trace.
    for gone in ["only-here", "never"] {
        assert!(!entries.iter().any(|entry| entry.path == path(gone)));
    }
    let one = Layer::of(entries);
    let all = [&base, &upper[0], &upper[1], &upper[2]].map(Layer::mount);
    let several = Mounted::overlay(&all.each_ref().map(Mounted::path));
    let mut expected = snapshot(several.path());
    count_links(&mut expected);
    let mounts = [base.mount(), one.mount()];
    let single = Mounted::overlay(&[mounts[0].path(), mounts[1].path()]);
    let mut found = snapshot(single.path());
    count_links(&mut found);
    assert_same(&expected, &found, "squashed");
}

#[test]
fn extracting_a_directory_takes_its_metadata() {
    let mut cache = directory("var/cache");
    cache.metadata.mode = 0o2770;
    let layer = Layer::of(vec![
        cache,
        text("var/cache/x", "x"),
        symlink("link", "var/cache"),
    ]);
    let to = tempfile::tempdir().unwrap();
    let options = UnpackOptions::default();
    rbuild_layer::extract_directory(&view(&[&layer]), b"/link", to.path(), options).unwrap();
    assert_eq!(fs::read(to.path().join("x")).unwrap(), b"x");
    assert_eq!(snapshot(to.path())[Path::new("")].mode & 0o7777, 0o2770);
}

#[test]
fn unpacking_marks_opaque_directories_as_the_mount_wants_them() {
    let layer = Layer::of(vec![opaque("o"), hidden("w")]);
    for (userxattr, name) in [
        (false, "trusted.overlay.opaque"),
        (true, "user.overlay.opaque"),
    ] {
        let to = tempfile::tempdir().unwrap();
        let options = UnpackOptions { userxattr };
        rbuild_layer::unpack_with(&layer.index(), to.path(), options).unwrap();
        assert_eq!(xattrs(&to.path().join("o")), [(name.into(), b"y".to_vec())]);
        let sealed = Layer::seal(to.path());
        assert_eq!(sealed.summary.content, layer.summary.content);
    }
}

#[test]
fn upper_directories_that_refer_elsewhere_are_refused() {
    let upper = tempfile::tempdir().unwrap();
    fs::create_dir(upper.path().join("moved")).unwrap();
    support::set_xattr(
        &upper.path().join("moved"),
        "trusted.overlay.redirect",
        b"old",
    );
    let scanned = rbuild_layer::scan_upper(upper.path(), &[]);
    assert!(matches!(
        scanned,
        Err(Error::Plan {
            source: PlanProblem::OverlayFeature(_),
            ..
        })
    ));
    assert!(
        rbuild_layer::scan_upper(upper.path(), &[path("moved")])
            .unwrap()
            .is_empty()
    );
}

#[test]
fn sockets_are_left_out_and_marked_files_are_whiteouts() {
    let upper = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(upper.path().join("socket")).unwrap();
    whiteout(&upper.path().join("device"));
    fs::write(upper.path().join("marked"), b"").unwrap();
    support::set_xattr(&upper.path().join("marked"), "user.overlay.whiteout", b"y");
    let entries = rbuild_layer::scan_upper(upper.path(), &[]).unwrap();
    let paths: Vec<String> = entries.iter().map(|entry| entry.path.to_string()).collect();
    assert_eq!(paths, ["/device", "/marked"]);
    assert!(
        entries
            .iter()
            .all(|entry| matches!(entry.node, PlannedNode::Whiteout))
    );
}

#[test]
fn a_huge_directory_is_listed_and_searched() {
    const COUNT: usize = 200_000;
    let entries = (0..COUNT).map(|at| entry(&format!("d/name {at:x}"), PlannedNode::Fifo));
    let layer = Layer::of(entries.collect());
    let mounted = layer.mount();
    assert_eq!(
        fs::read_dir(mounted.path().join("d")).unwrap().count(),
        COUNT
    );
    let index = layer.index();
    for at in (0..COUNT).step_by(997) {
        let name = format!("d/name {at:x}");
        assert!(index.lookup(&path(&name)).unwrap().is_some());
        assert!(mounted.path().join(&name).symlink_metadata().is_ok());
        assert!(index.lookup(&path(&format!("{name}x"))).unwrap().is_none());
    }
}

#[test]
fn damaged_indexes_are_errors() {
    let layer = Layer::of(vec![
        directory("d"),
        text("d/a", "1"),
        link("b", "d/a"),
        symlink("s", "target"),
        symlink("long", &"t".repeat(400)),
        opaque("o"),
    ]);
    let bytes = fs::read(layer.index_file()).unwrap();
    let damaged = tempfile::tempdir().unwrap();
    let file = damaged.path().join("index");
    for at in 1024..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] ^= flip;
            fs::write(&file, bytes).unwrap();
            read_all(&file, &layer.tar());
        }
    }
    for length in (0..bytes.len()).step_by(7) {
        fs::write(&file, &bytes[..length]).unwrap();
        assert!(Index::open(&file, &layer.tar()).is_err(), "{length}");
    }
    let short = damaged.path().join("tar");
    fs::write(&short, b"").unwrap();
    assert!(Index::open(&layer.index_file(), &short).is_err());
}

/// Reads everything that an index has; whether it makes sense does not matter.
fn read_all(index: &Path, tar: &Path) {
    let Ok(index) = Index::open(index, tar) else {
        return;
    };
    let view = View::new(vec![Arc::new(index)]);
    let Ok(root) = view.root() else { return };
    let walked = view.walk(&root, |_, node| {
        node.metadata().map(drop).ok();
        node.planned().map(drop).ok();
        node.link_id().map(drop).ok();
        Ok(())
    });
    walked.ok();
    root.content_digest().map(drop).ok();
}
