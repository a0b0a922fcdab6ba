//! Tars from outside: written by other programs, by nobody in their right mind, or by somebody who means harm.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rbuild_layer::{
    EntryKind, Error, Index, LayerPath, Limits, TarProblem, Whiteouts, index_archive, index_tar,
};
use support::{Layer, assert_same, run, snapshot};
use tar::{Builder, EntryType, Header};

/// Writes tars entry by entry.
struct Tar(Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    /// Adds an entry with a name that is not checked.
    fn add(mut self, kind: EntryType, name: &[u8], link: &[u8], data: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(9);
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    fn file(self, name: &str, data: &str) -> Self {
        self.add(EntryType::Regular, name.as_bytes(), b"", data.as_bytes())
    }

    fn dir(self, name: &str) -> Self {
        self.add(EntryType::Directory, name.as_bytes(), b"", b"")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.add(EntryType::Symlink, name.as_bytes(), target.as_bytes(), b"")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.add(EntryType::Link, name.as_bytes(), target.as_bytes(), b"")
    }

    fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (1..10)
                .find(|digits| (rest + digits).to_string().len() == *digits)
                .unwrap();
            data.extend(format!("{} {key}={value}\n", rest + length).bytes());
        }
        self.add(EntryType::XHeader, b"pax", b"", &data)
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn index(self) -> Layer {
        Layer::of_tar(&self.bytes()).unwrap()
    }

    fn problem(self) -> TarProblem {
        problem(&self.bytes())
    }
}

fn problem(bytes: &[u8]) -> TarProblem {
    match Layer::of_tar(bytes) {
        Err(Error::Tar { source, .. }) => source,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was taken"),
    }
}

/// What is at a path, and the bytes of a file or the target of a link.
fn at(index: &Index, path: &str) -> Option<(EntryKind, Vec<u8>)> {
    let nid = index
        .lookup(&LayerPath::new(path.as_bytes()).unwrap())
        .unwrap()?;
    let inode = index.inode(nid).unwrap();
    let bytes = match inode.kind() {
        EntryKind::File => {
            let mut bytes = vec![0; inode.size() as usize];
            for extent in inode.extents().unwrap() {
                let to = &mut bytes[extent.offset as usize..][..extent.length as usize];
                index.tar().read_exact_at(to, extent.position).unwrap();
            }
            assert_eq!(
                inode.digest(),
                Some(rbuild_layer::ContentDigest::of(&bytes))
            );
            bytes
        }
        EntryKind::Symlink => inode.link_target().unwrap().to_vec(),
        _ => Vec::new(),
    };
    Some((inode.kind(), bytes))
}

fn file(text: &str) -> (EntryKind, Vec<u8>) {
    (EntryKind::File, text.as_bytes().to_vec())
}

#[test]
fn names_are_taken_as_extraction_takes_them() {
    let layer = Tar::new()
        .file("./dotted", "1")
        .file("/absolute", "2")
        .file("a//b/./c", "3")
        .dir("a/")
        .symlink("lib", "usr/lib")
        .file("lib/x", "4")
        .symlink("loop", "../../a")
        .file("loop/y", "5")
        .index();
    let index = layer.index();
    for (path, text) in [
        ("dotted", "1"),
        ("absolute", "2"),
        ("a/b/c", "3"),
        ("usr/lib/x", "4"),
        ("a/y", "5"),
    ] {
        assert_eq!(at(&index, path), Some(file(text)), "{path}");
    }
    let implied: Vec<String> = layer
        .summary
        .implied_dirs
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(implied, ["/", "/a/b", "/usr", "/usr/lib"]);
    layer.mount();
}

#[test]
fn later_entries_replace_earlier_ones() {
    let layer = Tar::new()
        .file("twice", "old")
        .file("twice", "new")
        .file("dir/below", "x")
        .file("dir", "now a file")
        .file("plain", "x")
        .dir("plain")
        .file("plain/below", "y")
        .file("kept/below", "z")
        .dir("kept")
        .file("target", "first")
        .link("link", "target")
        .file("target", "second")
        .link("target2", "./target")
        .index();
    let index = layer.index();
    for (path, text) in [
        ("twice", "new"),
        ("dir", "now a file"),
        ("plain/below", "y"),
        ("kept/below", "z"),
        ("link", "first"),
        ("target", "second"),
        ("target2", "second"),
    ] {
        assert_eq!(at(&index, path), Some(file(text)), "{path}");
    }
    assert_eq!(at(&index, "dir/below"), None);
    let links = |path: &str| {
        let nid = index
            .lookup(&LayerPath::new(path.as_bytes()).unwrap())
            .unwrap()
            .unwrap();
        index.inode(nid).unwrap().links()
    };
    assert_eq!((links("link"), links("target")), (1, 2));
}

#[test]
fn whiteouts_hide_lower_layers_only_in_any_order() {
    let layer = Tar::new()
        .file("dir/.wh.gone", "")
        .file("new/x", "x")
        .file(".wh.new", "")
        .file(".wh.file", "")
        .file("file", "here")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/x", "x")
        .file(".wh..wh.plnk/1.2", "")
        .file(".wh..wh.aufs", "")
        .link(".wh.linked", "file")
        .index();
    let index = layer.index();
    let whiteout = Some((EntryKind::Whiteout, Vec::new()));
    assert_eq!(at(&index, "dir/gone"), whiteout);
    assert_eq!(at(&index, "linked"), whiteout);
    assert_eq!(at(&index, "file"), Some(file("here")));
    let is_opaque = |path: &[u8]| {
        let nid = index
            .lookup(&LayerPath::new(path).unwrap())
            .unwrap()
            .unwrap();
        index.inode(nid).unwrap().is_opaque()
    };
    assert!(is_opaque(b"new") && is_opaque(b"opaque") && !is_opaque(b"dir"));
    let names = index.read_dir(index.root()).unwrap();
    let names: Vec<&[u8]> = names.iter().map(|entry| entry.name).collect();
    assert_eq!(names, [&b"dir"[..], b"file", b"linked", b"new", b"opaque"]);
}

#[test]
fn an_archive_keeps_names_that_look_like_whiteouts() {
    let bytes = Tar::new().file("dir/.wh.x", "text").bytes();
    let layer = Layer::make(|tar, index| index_archive(&bytes[..], tar, index)).unwrap();
    assert_eq!(at(&layer.index(), "dir/.wh.x"), Some(file("text")));
    assert_ne!(Whiteouts::Keep, Whiteouts::Interpret);
}

#[test]
fn extended_headers_count_in_their_order() {
    let layer = Tar::new()
        .add(
            EntryType::XGlobalHeader,
            b"global",
            b"",
            b"12 uid=4711\n16 path=ignored\n",
        )
        .pax(&[
            ("path", "over/ridden"),
            ("uid", "3000000000"),
            ("mtime", "-1.25"),
            ("SCHILY.xattr.user.a", "b=c"),
            ("SCHILY.xattr.trusted.overlay.opaque", "y"),
            ("SCHILY.xattr.unknown.name", "y"),
            ("comment", "x"),
        ])
        .file("name", "text")
        .pax(&[("path", ""), ("uid", "")])
        .file("second", "text")
        .index();
    let index = layer.index();
    let nid = index
        .lookup(&LayerPath::new(b"over/ridden").unwrap())
        .unwrap()
        .unwrap();
    let metadata = index.inode(nid).unwrap().metadata().unwrap();
    assert_eq!(
        (metadata.uid, metadata.gid, metadata.mode),
        (3_000_000_000, 8, 0o644)
    );
    assert_eq!(
        (metadata.mtime.seconds, metadata.mtime.nanos),
        (-2, 750_000_000)
    );
    assert_eq!(metadata.xattrs, [(b"user.a".to_vec(), b"b=c".to_vec())]);
    let nid = index
        .lookup(&LayerPath::new(b"second").unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(index.inode(nid).unwrap().metadata().unwrap().uid, 7);
}

#[test]
fn hostile_entries_are_refused() {
    type Make = fn(Tar) -> Tar;
    type Expected = fn(&TarProblem) -> bool;
    let cases: [(Make, Expected); 13] = [
        (
            |tar| tar.file("../x", ""),
            |p| matches!(p, TarProblem::Path(_)),
        ),
        (
            |tar| tar.file("a/../../x", ""),
            |p| matches!(p, TarProblem::Path(_)),
        ),
        (
            |tar| tar.link("x", "missing"),
            |p| matches!(p, TarProblem::LinkTarget(_)),
        ),
        (
            |tar| tar.link("x", "x"),
            |p| matches!(p, TarProblem::LinkTarget(_)),
        ),
        (
            |tar| tar.dir("d").link("x", "d"),
            |p| matches!(p, TarProblem::LinkTarget(_)),
        ),
        (
            |tar| tar.symlink("x", ""),
            |p| matches!(p, TarProblem::SymlinkTarget),
        ),
        (
            |tar| tar.symlink("x", "x").file("x/y", ""),
            |p| matches!(p, TarProblem::TooManyLinks),
        ),
        (
            |tar| tar.file("x", "").file("x/y", ""),
            |p| matches!(p, TarProblem::NotADirectory),
        ),
        (|tar| tar.file("/", ""), |p| matches!(p, TarProblem::Root)),
        (
            |tar| tar.file("d/.wh.", ""),
            |p| matches!(p, TarProblem::Whiteout),
        ),
        (
            |tar| tar.file(".wh...", ""),
            |p| matches!(p, TarProblem::Whiteout),
        ),
        (
            |tar| tar.add(EntryType::Char, b"x", b"", b""),
            |p| matches!(p, TarProblem::WhiteoutDevice),
        ),
        (
            |tar| tar.add(EntryType::new(b'M'), b"x", b"", b""),
            |p| matches!(p, TarProblem::Type(b'M')),
        ),
    ];
    for (number, (make, expected)) in cases.iter().enumerate() {
        let problem = make(Tar::new()).problem();
        assert!(expected(&problem), "{number}: {problem:?}");
    }
}

#[test]
fn lies_about_sizes_are_refused() {
    let large = "v".repeat(70_000);
    let problem_of = |tar: Tar| tar.problem();
    let pax = |key, value| Tar::new().pax(&[(key, value)]).file("x", "data");
    assert!(matches!(
        problem_of(pax("size", "99999999")),
        TarProblem::Truncated
    ));
    assert!(matches!(
        problem_of(pax("size", "x")),
        TarProblem::Number("size")
    ));
    assert!(matches!(
        problem_of(pax("uid", "4294967296")),
        TarProblem::Number("uid")
    ));
    assert!(matches!(
        problem_of(pax("mtime", "soon")),
        TarProblem::Number("mtime")
    ));
    assert!(matches!(
        problem_of(pax("SCHILY.xattr.user.a", &large)),
        TarProblem::Xattrs
    ));
    let huge = "v".repeat((1 << 20) + 1);
    assert!(matches!(
        problem_of(pax("comment", &huge)),
        TarProblem::LargeHeader(_)
    ));
    for (map, size) in [
        ("0,4,9", "9"),
        ("0,5", "4"),
        ("512,4", "4"),
        ("0,4", "9"),
        ("1,4", "9"),
    ] {
        let tar = Tar::new().pax(&[("GNU.sparse.map", map), ("GNU.sparse.size", size)]);
        let problem = tar.file("x", "data").problem();
        let expected = matches!(problem, TarProblem::SparseMap | TarProblem::UnalignedSparse);
        assert!(expected, "{map} {size}: {problem:?}");
    }
    let hole = Tar::new()
        .pax(&[
            ("GNU.sparse.map", ""),
            ("GNU.sparse.size", "18446744073709551615"),
        ])
        .file("x", "");
    assert!(matches!(problem_of(hole), TarProblem::Limit { .. }));
}

#[test]
fn limits_hold() {
    let many = |count| {
        (0..count)
            .fold(Tar::new(), |tar, at| tar.file(&format!("{at}"), ""))
            .bytes()
    };
    let limits = Limits {
        entries: 100,
        ..Limits::default()
    };
    let index = |bytes: &[u8], limits: &Limits| {
        Layer::make(|tar, index| index_tar(bytes, tar, index, limits)).map(drop)
    };
    assert!(index(&many(99), &limits).is_ok());
    assert!(index(&many(101), &limits).is_err());
    let deep = Tar::new()
        .file(&"d/".repeat(49), "")
        .pax(&[("path", &"d/".repeat(150))]);
    assert!(index(&deep.file("x", "").bytes(), &limits).is_err());
    let limits = Limits {
        tar: 5000,
        ..Limits::default()
    };
    assert!(index(&many(20), &limits).is_err());
    let limits = Limits {
        metadata: 10,
        ..Limits::default()
    };
    assert!(index(&many(20), &limits).is_err());
}

#[test]
fn whatever_follows_the_archive_belongs_to_the_layer() {
    let mut bytes = Tar::new().file("x", "data").bytes();
    bytes.extend(b"garbage that is no block");
    let layer = Layer::of_tar(&bytes).unwrap();
    assert_eq!(layer.summary.tar_size, bytes.len() as u64);
    assert_eq!(
        layer.summary.diff_id.digest(),
        &rbuild_layer::Digest::of(&bytes)
    );
    assert_eq!(fs::read(layer.tar()).unwrap(), bytes);
    let without_end = Tar::new().file("x", "data").bytes();
    let layer = Layer::of_tar(&without_end[..1024]).unwrap();
    assert_eq!(at(&layer.index(), "x"), Some(file("data")));
    assert_eq!(Layer::of_tar(b"").unwrap().summary.entries, 0);
}

#[test]
fn damaged_tars_never_panic() {
    let bytes = Tar::new()
        .pax(&[("path", "a/b"), ("SCHILY.xattr.user.a", "b")])
        .file("x", "some data")
        .symlink("s", "a")
        .link("l", "a/b")
        .bytes();
    for length in 0..bytes.len() - 1024 {
        if length % 512 != 0 {
            assert!(
                matches!(problem(&bytes[..length]), TarProblem::Truncated),
                "{length}"
            );
        }
    }
    for at in (0..bytes.len()).step_by(3) {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            Layer::of_tar(&damaged).ok();
        }
    }
}

/// Files with holes in every form that GNU tar knows.
#[test]
fn sparse_files_of_gnu_tar() {
    let tree = tempfile::tempdir().unwrap();
    let sparse = fs::File::create(tree.path().join("sparse")).unwrap();
    sparse.set_len(30_000_000).unwrap();
    for at in 0..40 {
        sparse.write_all_at(&[at as u8; 100], at * 500_000).unwrap();
    }
    let tail = fs::File::create(tree.path().join("tail")).unwrap();
    tail.write_all_at(b"end", 5_000_001).unwrap();
    fs::File::create(tree.path().join("hole"))
        .unwrap()
        .set_len(100_000_000)
        .unwrap();
    fs::write(tree.path().join("dense"), vec![5; 100_000]).unwrap();
    let expected = snapshot(tree.path());
    for format in [
        "--format=gnu",
        "--sparse-version=0.0",
        "--sparse-version=0.1",
        "--sparse-version=1.0",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let tar = directory.path().join("tar");
        let pax = if format.contains("version") {
            "--format=posix"
        } else {
            format
        };
        run(
            "tar",
            &[
                "--create".as_ref(),
                "--sparse".as_ref(),
                pax.as_ref(),
                format.as_ref(),
                "--file".as_ref(),
                tar.as_ref(),
                "--directory".as_ref(),
                tree.path().as_ref(),
                ".".as_ref(),
            ],
        );
        let layer = Layer::of_tar(&fs::read(&tar).unwrap()).unwrap();
        let mounted = layer.mount();
        let mut seen = snapshot(mounted.path());
        let mut expected = expected.clone();
        // GNU tar's own format has whole seconds only.
        for entry in seen.values_mut().chain(expected.values_mut()) {
            entry.mtime.1 = 0;
        }
        assert_same(&expected, &seen, format);
        let directory = tempfile::tempdir().unwrap();
        rbuild_layer::unpack(&layer.index(), directory.path()).unwrap();
        let mut unpacked = snapshot(directory.path());
        for entry in unpacked.values_mut() {
            entry.mtime.1 = 0;
        }
        assert_same(&expected, &unpacked, format);
        assert!(blocks(&directory.path().join("hole")) < 100);
    }
}

fn blocks(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(&fs::metadata(path).unwrap())
}
