//! Random trees, as a strategy and on disk.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use proptest::prelude::*;
use rustix::fs::FileType;

use super::{make_node, name, set_mode, set_owner, set_time, set_xattr, whiteout};

/// One attempt to create something; it fails quietly where the tree does not allow it.
#[derive(Debug, Clone)]
pub struct Attempt {
    path: Vec<Vec<u8>>,
    kind: Kind,
    mode: u32,
    owner: (u32, u32),
    time: (i64, i64),
    xattrs: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Clone)]
enum Kind {
    Directory {
        opaque: bool,
    },
    File(Vec<u8>),
    Sparse {
        at: u64,
        size: u64,
    },
    Symlink(Vec<u8>),
    /// A hard link to the earlier attempt of this number, modulo their count.
    HardLink(usize),
    Device(bool, u32, u32),
    Fifo,
    Whiteout,
}

fn file_name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "c", "d", ".e", "-f"]).prop_map(Vec::from),
        2 => "[a-z!%~. ]{1,20}".prop_map(Vec::from),
        1 => prop::collection::vec(1..=255_u8, 1..60),
        1 => (1..=255_u8).prop_map(|byte| vec![byte; 250]),
        1 => "[äö€x]{20,60}".prop_map(|name| name.bytes().take(250).collect()),
    ]
    .prop_map(|name: Vec<u8>| name.into_iter().filter(|byte| *byte != b'/').collect())
    .prop_filter("not a name", |name: &Vec<u8>| {
        !name.is_empty() && name != b"." && name != b".." && !name.starts_with(b".wh.")
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        6 => any::<bool>().prop_map(|opaque| Kind::Directory { opaque }),
        6 => prop::collection::vec(any::<u8>(), 0..2000).prop_map(Kind::File),
        1 => (1..200_000_usize, any::<u8>()).prop_map(|(size, byte)| Kind::File(vec![byte; size])),
        1 => (0..3_000_000_u64, 0..3_000_000_u64)
            .prop_map(|(at, more)| Kind::Sparse { at, size: at + more + 1 }),
        2 => prop::collection::vec(1..=255_u8, 1..30).prop_map(Kind::Symlink),
        1 => (1..4095_usize).prop_map(|size| Kind::Symlink(vec![b'l'; size])),
        3 => any::<usize>().prop_map(Kind::HardLink),
        1 => (any::<bool>(), 1..4095_u32, 0..1_048_575_u32)
            .prop_map(|(block, major, minor)| Kind::Device(block, major, minor)),
        1 => Just(Kind::Fifo),
        2 => Just(Kind::Whiteout),
    ]
}

fn xattr() -> impl Strategy<Value = (String, Vec<u8>)> {
    let capability = vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    prop_oneof![
        (
            "user\\.[a-z]{1,8}",
            prop::collection::vec(any::<u8>(), 0..300)
        ),
        (
            "trusted\\.[a-z]{1,8}",
            prop::collection::vec(any::<u8>(), 0..1000)
        ),
        Just(("security.capability".to_owned(), capability)),
    ]
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let id = prop_oneof![
        0..2000_u32,
        Just(2_097_151),
        Just(2_097_152),
        Just(u32::MAX - 1)
    ];
    let seconds = prop_oneof![
        Just(0),
        -4_000_000_000..8_000_000_000_i64,
        Just(9_000_000_000)
    ];
    (
        prop::collection::vec(file_name(), 1..5),
        kind(),
        0..0o10000_u32,
        (id.clone(), id),
        (seconds, prop_oneof![Just(0), 0..1_000_000_000_i64]),
        prop::collection::vec(xattr(), 0..3),
    )
        .prop_map(|(path, kind, mode, owner, time, xattrs)| Attempt {
            path,
            kind,
            mode,
            owner,
            time,
            xattrs,
        })
}

/// Attempts that make an overlay upper directory.
pub fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    prop::collection::vec(attempt(), 1..40)
}

/// Creates what the attempts say in a directory. Without `marks`, whiteouts and opaque directories are left out.
pub fn create(root: &Path, attempts: &[Attempt], marks: bool) {
    let mut files = Vec::new();
    let mut made = Vec::new();
    for attempt in attempts {
        let path = attempt
            .path
            .iter()
            .fold(root.to_owned(), |path, part| path.join(name(part)));
        if fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        if fs::create_dir_all(path.parent().unwrap()).is_err() {
            continue;
        }
        let is_link = matches!(attempt.kind, Kind::HardLink(_));
        if make(&path, &attempt.kind, &files, marks) {
            if !matches!(attempt.kind, Kind::Directory { .. } | Kind::Whiteout) {
                files.push(path.clone());
            }
            if !is_link {
                made.push((path, attempt));
            }
        }
    }
    // Times of directories last, from the deepest up.
    made.sort_by(|(a, _), (b, _)| b.cmp(a));
    for (path, attempt) in made {
        describe(&path, attempt);
    }
}

fn make(path: &Path, kind: &Kind, files: &[std::path::PathBuf], marks: bool) -> bool {
    match kind {
        Kind::Directory { opaque } => {
            fs::create_dir(path).unwrap();
            if *opaque && marks {
                set_xattr(path, "trusted.overlay.opaque", b"y");
            }
        }
        Kind::File(bytes) => fs::write(path, bytes).unwrap(),
        Kind::Sparse { at, size } => {
            let file = fs::File::create(path).unwrap();
            file.set_len(*size).unwrap();
            file.write_all_at(b"data", *at).unwrap();
        }
        Kind::Symlink(target) => std::os::unix::fs::symlink(name(target), path).unwrap(),
        Kind::HardLink(number) => match files.len() {
            0 => return false,
            count => fs::hard_link(&files[number % count], path).unwrap(),
        },
        Kind::Device(block, major, minor) => {
            let kind = if *block {
                FileType::BlockDevice
            } else {
                FileType::CharacterDevice
            };
            make_node(path, kind, *major, *minor);
        }
        Kind::Fifo => make_node(path, FileType::Fifo, 0, 0),
        Kind::Whiteout if marks => whiteout(path),
        Kind::Whiteout => return false,
    }
    true
}

fn describe(path: &Path, attempt: &Attempt) {
    if matches!(attempt.kind, Kind::Whiteout) {
        return;
    }
    set_owner(path, attempt.owner.0, attempt.owner.1);
    let regular = matches!(
        attempt.kind,
        Kind::File(_) | Kind::Sparse { .. } | Kind::Directory { .. }
    );
    if !matches!(attempt.kind, Kind::Symlink(_)) {
        set_mode(path, attempt.mode);
    }
    for (key, value) in &attempt.xattrs {
        let fits = match key.as_str() {
            "security.capability" => matches!(attempt.kind, Kind::File(_)),
            key => regular || !key.starts_with("user."),
        };
        if fits {
            set_xattr(path, key, value);
        }
    }
    set_time(path, attempt.time.0, attempt.time.1);
}
