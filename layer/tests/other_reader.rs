//! Another program's reader of EROFS finds in an index and its tar what was sealed.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use erofs_rs::EroFS;
use erofs_rs::backend::SliceImage;
use proptest::prelude::*;
use support::random::{attempts, create};
use support::{Layer, Seen, snapshot};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn another_reader_agrees(attempts in attempts()) {
        let upper = tempfile::tempdir().unwrap();
        create(upper.path(), &attempts, true);
        let layer = Layer::seal(upper.path());
        let (index, tar) = (fs::read(layer.index_file()).unwrap(), fs::read(layer.tar()).unwrap());
        let mut expected = snapshot(upper.path());
        expected.remove(Path::new(""));
        compare(&expected, &index, &tar);
    }
}

fn compare(expected: &BTreeMap<PathBuf, Seen>, index: &[u8], tar: &[u8]) {
    let images = (SliceImage::new(index), vec![SliceImage::new(tar)]);
    let image = EroFS::new_with_devices(images.0, images.1).unwrap();
    let mut count = 0;
    for entry in image.walk_dir("/").unwrap() {
        let entry = entry.unwrap();
        let path = entry.dir_entry.path();
        let path = path.as_bytes();
        let path = path.strip_prefix(b"/").unwrap_or(path);
        if path.is_empty() {
            continue;
        }
        count += 1;
        let inode = entry.inode;
        let seen = &expected[Path::new(std::ffi::OsStr::from_bytes(path))];
        let mut content = Vec::new();
        if inode.is_file() {
            let mut file = image.open_inode_file(inode).unwrap();
            file.read_to_end(&mut content).unwrap();
        } else if inode.is_symlink() {
            content = image.read_link_inode(inode).unwrap().into_vec();
        }
        assert!(content == seen.content, "{}", path.escape_ascii());
        // A whiteout has only its device number.
        if seen.mode == 0 {
            assert_eq!(inode.device(), Some((0, 0)));
            continue;
        }
        assert_eq!((inode.uid(), inode.gid()), (seen.uid, seen.gid));
        let mode = inode.permissions().mode();
        assert_eq!(mode & 0o7777, seen.mode & 0o7777);
        assert!(
            image
                .xattrs_inode(inode)
                .unwrap()
                .into_iter()
                .eq(seen.xattrs.clone())
        );
        let (seconds, nanos) = inode.modified_unix();
        assert_eq!((seconds, i64::from(nanos)), seen.mtime);
        if !inode.is_dir() {
            assert_eq!(u64::from(inode.nlink()), seen.links);
            assert_eq!(inode.data_size(), seen.size);
        }
    }
    assert_eq!(count, expected.len());
}
