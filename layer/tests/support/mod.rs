//! Trees on disk, snapshots of them, and mounts of layers.
#![allow(
    dead_code,
    unreachable_pub,
    missing_debug_implementations,
    clippy::unwrap_used,
    missing_docs,
    reason = "test support, of which each test uses a part"
)]

pub mod random;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rbuild_layer as layer;
use rbuild_layer::{Index, Summary};
use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};

/// A layer's two files in a directory of their own.
pub struct Layer {
    pub directory: tempfile::TempDir,
    pub summary: Summary,
}

impl Layer {
    pub fn tar(&self) -> PathBuf {
        self.directory.path().join("tar")
    }

    pub fn index_file(&self) -> PathBuf {
        self.directory.path().join("index")
    }

    pub fn index(&self) -> Index {
        Index::open(&self.index_file(), &self.tar()).unwrap()
    }

    pub fn make(write: impl FnOnce(&File, &File) -> layer::Result<Summary>) -> layer::Result<Self> {
        let directory = tempfile::tempdir().unwrap();
        let create = |name| File::create_new(directory.path().join(name)).unwrap();
        let summary = write(&create("tar"), &create("index"))?;
        Ok(Self { directory, summary })
    }

    pub fn seal(upper: &Path) -> Self {
        Self::make(|tar, index| layer::seal(upper, tar, index, &layer::WriteOptions::default()))
            .unwrap()
    }

    pub fn of(entries: Vec<layer::PlannedEntry>) -> Self {
        Self::make(|tar, index| {
            layer::write_layer(entries, tar, index, &layer::WriteOptions::default())
        })
        .unwrap()
    }

    pub fn of_tar(bytes: &[u8]) -> layer::Result<Self> {
        Self::make(|tar, index| layer::index_tar(bytes, tar, index, &layer::Limits::default()))
    }

    /// Mounts the layer, with the kernel's EROFS.
    pub fn mount(&self) -> Mounted {
        let file = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
        fsconfig_set_string(file.as_fd(), "source", self.index_file()).unwrap();
        fsconfig_set_string(file.as_fd(), "device", self.tar()).unwrap();
        Mounted::create(&file)
    }
}

/// A mount that ends with its value.
pub struct Mounted {
    place: tempfile::TempDir,
    /// What the mount needs to exist.
    kept: Option<tempfile::TempDir>,
}

impl Mounted {
    fn create(file: &OwnedFd) -> Self {
        fsconfig_create(file.as_fd()).unwrap_or_else(|error| {
            let mut log = [0; 1024];
            let length = rustix::io::read(file, &mut log).unwrap_or(0);
            let log = String::from_utf8_lossy(&log[..length]);
            panic!("the kernel does not mount it: {error}: {log}")
        });
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        let mount = fsmount(file.as_fd(), flags, MountAttrFlags::empty()).unwrap();
        let place = tempfile::tempdir().unwrap();
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(mount.as_fd(), "", CWD, place.path(), flags).unwrap();
        Self { place, kept: None }
    }

    /// An overlay of directories, lowest first; read-only.
    pub fn overlay(layers: &[&Path]) -> Self {
        let file = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
        let empty = tempfile::tempdir().unwrap();
        let lowest = [empty.path()];
        for layer in layers.iter().rev().chain(&lowest) {
            fsconfig_set_string(file.as_fd(), "lowerdir+", *layer).unwrap();
        }
        let mut mounted = Self::create(&file);
        mounted.kept = Some(empty);
        mounted
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(self.place.path(), UnmountFlags::DETACH).unwrap();
    }
}

/// Everything that can be seen of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, i64),
    pub device: u64,
    pub size: u64,
    pub links: u64,
    pub content: Vec<u8>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The first path of the same inode.
    pub first: PathBuf,
}

/// Every entry below a directory, by its path.
pub fn snapshot(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut seen = BTreeMap::new();
    let mut first: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    let mut paths = Vec::new();
    while let Some(path) = pending.pop() {
        // Overlayfs lists whiteouts in directories that only one layer has, but does not find them.
        let Ok(stat) = fs::symlink_metadata(&path) else {
            continue;
        };
        if stat.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        paths.push(path);
    }
    paths.sort();
    for path in paths {
        let relative = path.strip_prefix(root).unwrap().to_owned();
        let stat = fs::symlink_metadata(&path).unwrap();
        let id = (stat.dev(), stat.ino());
        let first = first.entry(id).or_insert_with(|| relative.clone());
        let kind = stat.file_type();
        let content = if kind.is_file() {
            fs::read(&path).unwrap()
        } else if kind.is_symlink() {
            fs::read_link(&path)
                .unwrap()
                .into_os_string()
                .into_encoded_bytes()
        } else {
            Vec::new()
        };
        let device = kind.is_char_device() || kind.is_block_device();
        // A whiteout is one by its device number alone.
        let whiteout = kind.is_char_device() && stat.rdev() == 0;
        let entry = Seen {
            mode: if whiteout { 0 } else { stat.mode() },
            uid: stat.uid(),
            gid: stat.gid(),
            mtime: if whiteout {
                (0, 0)
            } else {
                (stat.mtime(), stat.mtime_nsec())
            },
            device: if device { stat.rdev() } else { 0 },
            size: if kind.is_dir() { 0 } else { stat.size() },
            links: if kind.is_dir() { 0 } else { stat.nlink() },
            content,
            xattrs: xattrs(&path),
            first: first.clone(),
        };
        seen.insert(relative, entry);
    }
    seen
}

/// Counts only the names that are there: of a file that has others in a hidden place, the kernel counts all.
pub fn count_links(tree: &mut BTreeMap<PathBuf, Seen>) {
    let mut counts: BTreeMap<PathBuf, u64> = BTreeMap::new();
    for seen in tree.values() {
        *counts.entry(seen.first.clone()).or_default() += 1;
    }
    for seen in tree.values_mut().filter(|seen| seen.links > 0) {
        seen.links = counts[&seen.first];
    }
}

pub fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice()).unwrap();
    let mut all = Vec::new();
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 65536];
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap();
        value.truncate(length);
        all.push((name.to_vec(), value));
    }
    all.sort();
    all
}

/// Fails with the first difference.
pub fn assert_same(left: &BTreeMap<PathBuf, Seen>, right: &BTreeMap<PathBuf, Seen>, what: &str) {
    for (path, seen) in left {
        let other = right.get(path);
        assert!(other.is_some(), "{what}: {} is missing", path.display());
        assert!(
            other == Some(seen),
            "{what}: {} differs: {}",
            path.display(),
            difference(seen, other.unwrap())
        );
    }
    for path in right.keys() {
        assert!(
            left.contains_key(path),
            "{what}: {} is too much",
            path.display()
        );
    }
}

fn difference(left: &Seen, right: &Seen) -> String {
    let mut left = left.clone();
    let mut right = right.clone();
    if left.content == right.content {
        left.content.clear();
        right.content.clear();
    }
    if left.xattrs == right.xattrs {
        left.xattrs.clear();
        right.xattrs.clear();
    }
    left.content.truncate(100);
    right.content.truncate(100);
    format!("{left:?} {right:?}")
}

pub fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(path, name, value, flags).unwrap();
}

pub fn set_time(path: &Path, seconds: i64, nanos: i64) {
    let time = rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: nanos,
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn set_owner(path: &Path, uid: u32, gid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
}

pub fn make_node(path: &Path, kind: FileType, major: u32, minor: u32) {
    let device = rustix::fs::makedev(major, minor);
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o644), device).unwrap();
}

pub fn whiteout(path: &Path) {
    make_node(path, FileType::CharacterDevice, 0, 0);
}

pub fn name(bytes: &[u8]) -> &std::ffi::OsStr {
    std::ffi::OsStr::from_bytes(bytes)
}

pub fn run(program: &str, arguments: &[&std::ffi::OsStr]) {
    let output = std::process::Command::new(program)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Keeps a descriptor's number for `/proc/self/fd`.
pub fn proc_path(file: &impl AsRawFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}
