//! Any tree survives every way through a layer: written as a tar, indexed, mounted by the kernel, extracted by other
//! programs, unpacked, merged and flattened.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use rbuild_layer::{LayerTree, UpperDir, View};
use support::random::{Attempt, attempts, create};
use support::{Layer, Mounted, Seen, assert_same, count_links, run, snapshot};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        // Shrinking makes thousands of trees; the failing one is printed and small enough.
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A tree on disk.
fn tree(attempts: &[Attempt], marks: bool) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    create(directory.path(), attempts, marks);
    directory
}

/// All but the root, whose metadata no sealed layer has.
fn below_root(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut tree = snapshot(root);
    tree.remove(Path::new(""));
    tree
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn sealed_and_mounted(attempts in attempts()) {
        let upper = tree(&attempts, true);
        let layer = Layer::seal(upper.path());
        let mounted = layer.mount();
        assert_same(&below_root(upper.path()), &below_root(mounted.path()), "mounted");
        let tar = fs::read(layer.tar()).unwrap();
        let streamed = Layer::of_tar(&tar).unwrap();
        assert_eq!(streamed.summary, layer.summary);
        assert!(fs::read(streamed.index_file()).unwrap() == fs::read(layer.index_file()).unwrap());
    }

    #[test]
    fn unpacked(attempts in attempts()) {
        let upper = tree(&attempts, true);
        let layer = Layer::seal(upper.path());
        let directory = tempfile::tempdir().unwrap();
        rbuild_layer::unpack(&layer.index(), directory.path()).unwrap();
        assert_same(&below_root(upper.path()), &below_root(directory.path()), "unpacked");
    }

    #[test]
    fn extracted_by_gnu_tar(attempts in attempts()) {
        let upper = tree(&attempts, false);
        let layer = Layer::seal(upper.path());
        let directory = tempfile::tempdir().unwrap();
        run("tar", &[
            "--extract".as_ref(), "--file".as_ref(), layer.tar().as_os_str(),
            "--directory".as_ref(), directory.path().as_os_str(),
            "--xattrs".as_ref(), "--xattrs-include=*".as_ref(), "--same-owner".as_ref(),
            "--preserve-permissions".as_ref(), "--numeric-owner".as_ref(),
        ]);
        assert_same(&below_root(upper.path()), &below_root(directory.path()), "extracted");
    }

    #[test]
    fn merged_like_overlayfs(layers in prop::collection::vec(attempts(), 1..4)) {
        let uppers: Vec<_> = layers.iter().map(|attempts| tree(attempts, true)).collect();
        let sealed: Vec<Layer> = uppers.iter().map(|upper| Layer::seal(upper.path())).collect();
        let mounts: Vec<Mounted> = sealed.iter().map(Layer::mount).collect();
        let lowers: Vec<&Path> = mounts.iter().map(Mounted::path).collect();
        let overlay = Mounted::overlay(&lowers);
        let mut expected = below_root(overlay.path());
        count_links(&mut expected);

        let indexes = sealed.iter().map(|layer| Arc::new(layer.index()) as Arc<dyn LayerTree>);
        let view = View::new(indexes.collect());
        assert_same(&expected, &flattened(&view), "merged");
        let directories = uppers.iter().map(|upper| {
            Arc::new(UpperDir::open(upper.path()).unwrap()) as Arc<dyn LayerTree>
        });
        let unsealed = View::new(directories.collect());
        assert_same(&expected, &flattened(&unsealed), "merged before sealing");

        // The digest of a merged directory is that of the same files in one layer.
        for (name, node) in view.root().unwrap().entries().unwrap() {
            let digest = node.content_digest().unwrap();
            let path = rbuild_layer::LayerPath::new(&name).unwrap();
            let same = unsealed.lookup(&path).unwrap().unwrap();
            assert_eq!(digest, same.content_digest().unwrap(), "{path}");
        }
    }
}

/// A view's tree, written as one layer and mounted.
fn flattened(view: &View) -> BTreeMap<PathBuf, Seen> {
    let layer = Layer::of(view.plan(&view.root().unwrap()).unwrap());
    let directory = tempfile::tempdir().unwrap();
    rbuild_layer::flatten_directory(view, directory.path(), true, None).unwrap();
    let flat = below_root(directory.path());
    assert_same(&below_root(layer.mount().path()), &flat, "flattened");
    flat
}
