#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use layer::{FileSource, Index, LayerTree};

use super::*;
use crate::files::node::File;

const NOW: Timestamp = Timestamp::from_seconds(1_000);

fn metadata(mode: u32, uid: u32) -> Metadata {
    Metadata {
        mode,
        uid,
        gid: uid,
        mtime: Timestamp::from_seconds(5),
        xattrs: Vec::new(),
    }
}

fn file(content: &str) -> Node {
    let bytes: Arc<[u8]> = content.as_bytes().into();
    let digest = ContentDigest::of(&bytes);
    Node {
        metadata: metadata(0o640, 7),
        kind: Kind::File(File::new(FileSource::Bytes(bytes), digest)),
        passed: false,
    }
}

fn linked(content: &str) -> Node {
    let mut node = file(content);
    if let Kind::File(file) = &mut node.kind {
        file.link = Some(LinkId(1, 1).into());
    }
    node
}

fn directory(children: Vec<(&str, Node)>) -> Node {
    let children = children.into_iter();
    Node {
        metadata: metadata(0o700, 8),
        kind: Kind::Directory(
            children
                .map(|(name, node)| (name.as_bytes().into(), node))
                .collect(),
        ),
        passed: false,
    }
}

/// A root file system: names ending in `/` are directories, `a->b` links, others files.
fn base(entries: &[&str]) -> View {
    let planned = entries.iter().map(|entry| {
        let (path, node) = if let Some((path, target)) = entry.split_once("->") {
            (path, PlannedNode::Symlink(target.as_bytes().to_vec()))
        } else if let Some(path) = entry.strip_suffix('/') {
            (path, PlannedNode::Directory { opaque: false })
        } else {
            (*entry, PlannedNode::file(FileSource::Bytes(Arc::new([]))))
        };
        PlannedEntry {
            path: LayerPath::new(path.as_bytes()).unwrap(),
            metadata: metadata(0o711, 3),
            node,
        }
    });
    let (tar, index) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    layer::write_layer(
        planned.collect(),
        &tar,
        &index,
        &layer::WriteOptions::default(),
    )
    .unwrap();
    let index: Arc<dyn LayerTree> = Arc::new(Index::open_files(&index, &tar).unwrap());
    View::new(vec![index])
}

/// The plan, an entry a line: type, mode, owner, path.
fn listing(planner: &Planner<'_>) -> Vec<String> {
    let entries = planner.entries().collect::<Result<Vec<_>, _>>().unwrap();
    let lines = entries.into_iter().map(|entry| {
        let kind = match entry.node {
            PlannedNode::Directory { .. } => "dir".to_owned(),
            PlannedNode::File(file) => format!("file({})", file.source.size()),
            PlannedNode::HardLink(to) => format!("link({to})"),
            PlannedNode::Symlink(to) => format!("symlink({})", String::from_utf8(to).unwrap()),
            _ => "other".to_owned(),
        };
        let Metadata { mode, uid, .. } = entry.metadata;
        format!("{kind} {mode:o} {uid} {}", entry.path)
    });
    lines.collect()
}

fn copied(root: &View, name: &str, node: &Node, dest: &str) -> Result<Vec<String>, FileError> {
    let mut planner = Planner::new(root, None, None, NOW);
    planner.copy(name.as_bytes(), node, dest.as_bytes())?;
    Ok(listing(&planner))
}

#[test]
fn a_file_goes_where_its_destination_says() {
    let root = base(&["dir/", "file", "link->dir"]);
    let cases: [(&str, &[&str]); 6] = [
        ("/new", &["file(1) 640 7 /new"]),
        ("/new/", &["dir 755 0 /new", "file(1) 640 7 /new/f"]),
        ("/dir", &["dir 711 3 /dir", "file(1) 640 7 /dir/f"]),
        ("/link/", &["dir 711 3 /dir", "file(1) 640 7 /dir/f"]),
        ("/file", &["file(1) 640 7 /file"]),
        (
            "/a/b/c",
            &["dir 755 0 /a", "dir 755 0 /a/b", "file(1) 640 7 /a/b/c"],
        ),
    ];
    for (dest, expected) in cases {
        let mut planned = copied(&root, "f", &file("x"), dest).unwrap();
        planned.retain(|line| !line.ends_with(" /"));
        let same = planned
            .iter()
            .filter(|line| expected.contains(&line.as_str()))
            .count();
        assert_eq!(
            (same, planned.len()),
            (expected.len(), expected.len()),
            "{dest}: {planned:?}"
        );
    }
}

#[test]
fn directories_are_merged_and_only_those_below_the_top_take_metadata() {
    let root = base(&["to/", "to/sub/"]);
    let node = directory(vec![("sub", directory(vec![("f", file("x"))]))]);
    let planned = copied(&root, "from", &node, "/to").unwrap();
    assert_eq!(
        planned,
        [
            "dir 711 3 /to",
            "dir 700 8 /to/sub",
            "file(1) 640 7 /to/sub/f"
        ]
    );
    let planned = copied(&root, "from", &node, "/new/").unwrap();
    assert_eq!(
        planned,
        [
            "dir 755 0 /new",
            "dir 700 8 /new/sub",
            "file(1) 640 7 /new/sub/f"
        ]
    );
}

#[test]
fn files_and_directories_do_not_replace_one_another() {
    let root = base(&["d/", "d/x/", "file", "link->d"]);
    let over_directory = directory(vec![("x", file("y"))]);
    let error = copied(&root, "s", &over_directory, "/d").unwrap_err();
    assert!(matches!(error, FileError::FileOverDirectory(path) if path == "/d/x"));
    let error = copied(&root, "s", &directory(vec![]), "/file").unwrap_err();
    assert!(matches!(error, FileError::DirectoryOverFile(path) if path == "/file"));
    let through_link = directory(vec![("link", directory(vec![]))]);
    let error = copied(&root, "s", &through_link, "/").unwrap_err();
    assert!(matches!(error, FileError::DirectoryOverFile(path) if path == "/link"));
    let error = copied(&root, "f", &file("x"), "/file/sub").unwrap_err();
    assert!(matches!(error, FileError::NotADirectory(path) if path == "/file"));
}

#[test]
fn links_in_the_destination_never_lead_out() {
    let root = base(&["etc/", "up->../../etc", "abs->/etc", "dangling->/new/place"]);
    for dest in ["/up/", "/abs/", "/../../abs/", "/etc/../abs/"] {
        let planned = copied(&root, "f", &file("x"), dest).unwrap();
        assert_eq!(planned.last().unwrap(), "file(1) 640 7 /etc/f", "{dest}");
    }
    let planned = copied(&root, "f", &file("x"), "/dangling/").unwrap();
    assert_eq!(planned.last().unwrap(), "file(1) 640 7 /new/place/f");
}

#[test]
fn owner_and_mode_are_those_of_the_copy() {
    let root = base(&["old/"]);
    let owner = Some(Owner { uid: 42, gid: 43 });
    let mut planner = Planner::new(&root, owner, "4755".parse().ok(), NOW);
    let node = directory(vec![("f", file("x"))]);
    planner.copy(b"d", &node, b"/old/new/").unwrap();
    let expected = [
        "dir 711 3 /old",
        "dir 755 42 /old/new",
        "file(1) 4755 42 /old/new/f",
    ];
    assert_eq!(listing(&planner), expected);
}

#[test]
fn hard_links_stay_within_one_copy() {
    let root = base(&[]);
    let node = directory(vec![("a", linked("x")), ("b", linked("x"))]);
    let mut planner = Planner::new(&root, None, None, NOW);
    planner.copy(b"one", &node, b"/one/").unwrap();
    planner.copy(b"two", &node, b"/two/").unwrap();
    let mut links = listing(&planner);
    links.retain(|line| line.starts_with("link"));
    assert_eq!(
        links,
        ["link(/one/a) 640 7 /one/b", "link(/two/a) 640 7 /two/b"]
    );
}

#[test]
fn a_replaced_file_takes_no_links_with_it() {
    let root = base(&[]);
    let mut planner = Planner::new(&root, None, None, NOW);
    let node = directory(vec![("a", linked("x")), ("b", linked("x"))]);
    planner.copy(b"d", &node, b"/d/").unwrap();
    let longer = file("longer");
    planner.copy(b"a", &longer, b"/d/a").unwrap();
    let lines = listing(&planner);
    assert_eq!(lines[1..], ["file(6) 640 7 /d/a", "file(1) 640 7 /d/b"]);
}

#[test]
fn an_archive_replaces_what_stands_in_its_place() {
    let root = base(&["lib->usr/lib", "usr/", "usr/lib/", "was-dir/", "was-dir/x"]);
    let tree = directory(vec![
        ("lib", directory(vec![("f", file("x"))])),
        ("was-dir", file("y")),
    ]);
    let mut planner = Planner::new(&root, None, None, NOW);
    planner
        .unpack(&tree, b"/", &HashSet::from([b"lib".to_vec()]))
        .unwrap();
    let lines = listing(&planner);
    assert!(
        lines.contains(&"file(1) 640 7 /usr/lib/f".to_owned()),
        "{lines:?}"
    );
    assert!(
        lines.contains(&"file(1) 640 7 /was-dir".to_owned()),
        "{lines:?}"
    );
    let mut planner = Planner::new(&root, None, None, NOW);
    planner.unpack(&tree, b"/", &HashSet::new()).unwrap();
    let lines = listing(&planner);
    assert!(lines.contains(&"dir 700 8 /lib".to_owned()), "{lines:?}");
}

#[test]
fn the_content_leaves_times_out_and_nothing_else() {
    let root = base(&["d/"]);
    let digest = |change: &dyn Fn(&mut Node)| {
        let mut node = file("x");
        change(&mut node);
        let mut planner = Planner::new(&root, None, None, NOW);
        planner.copy(b"f", &node, b"/d/").unwrap();
        planner.content()
    };
    let plain = digest(&|_| {});
    assert_eq!(digest(&|node| node.metadata.mtime = NOW), plain);
    let changes: [&dyn Fn(&mut Node); 4] = [
        &|node| node.metadata.mode = 0o600,
        &|node| node.metadata.uid = 1,
        &|node| {
            node.metadata
                .xattrs
                .push((b"user.a".to_vec(), b"b".to_vec()));
        },
        &|node| *node = file("y"),
    ];
    for (number, change) in changes.iter().enumerate() {
        assert_ne!(digest(*change), plain, "change {number}");
    }
}

#[test]
fn symbolic_modes_change_each_entry_from_what_it_was() {
    let root = base(&["old/"]);
    let node = directory(vec![("f", file("x"))]);
    let chmod = "u=rwX,go=rX".parse().ok();
    let mut planner = Planner::new(&root, None, chmod, NOW);
    planner.copy(b"d", &node, b"/old/").unwrap();
    planner.copy(b"d", &node, b"/new/").unwrap();
    let expected = [
        "dir 755 0 /new",
        "file(1) 644 7 /new/f",
        "dir 711 3 /old",
        "file(1) 644 7 /old/f",
    ];
    assert_eq!(listing(&planner), expected);
}
