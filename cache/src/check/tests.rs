#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

use layer::{Digest, LayerPath, Metadata, PlannedEntry, PlannedNode, WriteOptions};

use super::*;
use crate::{Image, Tag};

/// A layer with one file.
fn add(store: &Store, text: &str) -> DiffId {
    let draft = store.layers().begin().unwrap();
    let create = |path: PathBuf| {
        let mut options = File::options();
        options.read(true).write(true).create_new(true).open(path)
    };
    let (tar, index) = (create(draft.tar()).unwrap(), create(draft.index()).unwrap());
    let source = FileSource::Bytes(text.repeat(1_000).into_bytes().into());
    let entry = PlannedEntry {
        path: LayerPath::new(b"file").unwrap(),
        metadata: Metadata::implied(),
        node: PlannedNode::file(source),
    };
    let options = WriteOptions {
        clamp: None,
        cancelled: &|| false,
    };
    let summary = layer::write_layer(vec![entry], &tar, &index, &options).unwrap();
    draft.commit(&summary.diff_id, &summary.content).unwrap();
    summary.diff_id
}

/// A store with an image of two layers and a name, and the record of a step.
fn new() -> (tempfile::TempDir, Store, [DiffId; 2]) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let layers = ["one", "two"].map(|text| add(&store, text));
    let id = Digest::of(b"config");
    store.blobs().put(&id, b"config").unwrap();
    let image = Image {
        id,
        layers: layers.to_vec(),
        documents: Vec::new(),
        stored: SystemTime::now(),
    };
    store.images().put(&image).unwrap();
    store
        .images()
        .tag(&Tag {
            name: "name".to_owned(),
            image: id,
            manifest: None,
            tagged: SystemTime::now(),
        })
        .unwrap();
    store
        .actions()
        .record_definition(&[1; 32], &layers)
        .unwrap();
    (directory, store, layers)
}

fn problems(store: &Store, repair: bool) -> Vec<String> {
    let checked = store
        .check(&Roots::default(), UnpackOptions::default(), repair)
        .unwrap();
    assert_eq!(checked.is_sound(), repair || checked.problems.is_empty());
    let problems = checked.problems.iter();
    problems
        .map(|problem| format!("{}: {}", problem.object, problem.damage))
        .collect()
}

#[test]
fn a_sound_store_has_no_problems() {
    let (_directory, store, layers) = new();
    assert_eq!(problems(&store, false), [""; 0]);
    // A record of a step may lead to what was collected.
    store
        .actions()
        .record_definition(&[2; 32], &[layers[0], DiffId::new(Digest::of(b""))])
        .unwrap();
    assert_eq!(problems(&store, false), [""; 0]);
}

#[test]
fn damaged_layers_are_found_and_dropped_with_the_images_that_need_them() {
    type Case = (&'static str, fn(&Path), &'static str);
    let damage: [Case; 5] = [
        ("tar", |tar| flip(tar, 600), "its bytes have another digest"),
        (
            "tar",
            |tar| fs::write(tar, "").unwrap(),
            "its tar is missing or has another length",
        ),
        (
            "index",
            |index| flip(index, 1_500),
            "its index does not describe it: its bytes have changed",
        ),
        (
            "index",
            |index| fs::remove_file(index).unwrap(),
            "its index is missing or has another length",
        ),
        (
            "layer",
            |record| flip(record, 30),
            "its record cannot be read",
        ),
    ];
    for (file, damage, said) in damage {
        let (_directory, store, layers) = new();
        let layer = layers[1];
        damage(&store.layers().directory(&layer).join(file));
        assert_eq!(
            problems(&store, false),
            [format!("layer {layer}: {said}")],
            "{file}"
        );
        let all = [
            format!("layer {layer}: {said}"),
            format!("image name: its layer `{layer}` is not in the store"),
        ];
        assert_eq!(problems(&store, true), all, "{file}");
        assert_eq!(problems(&store, false), [""; 0], "{file}");
        assert!(store.images().named("name").unwrap().is_none());
        assert_eq!(store.actions().by_definition(&[1; 32]).unwrap(), None);
        assert!(store.layers().get(&layers[0]).unwrap().is_some());
    }
}

/// Changes a byte of a file.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    // What is durable is read-only.
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_index_of_another_tar_is_found_out() {
    let (_directory, store, [one, two]) = new();
    let index = |id| store.layers().directory(id).join("index");
    let opened = Index::open(&index(&one), &index(&one).with_file_name("tar")).unwrap();
    assert_eq!(describes(opened, &one).unwrap(), None);
    let opened = Index::open(&index(&one), &index(&one).with_file_name("tar")).unwrap();
    assert!(describes(opened, &two).unwrap().is_some());
}

#[test]
fn damaged_directory_forms_are_found_and_dropped_and_their_layers_stay() {
    let (_directory, store, [one, _]) = new();
    for form in FORMS {
        let from = store.temporary_directory().unwrap();
        fs::write(from.join("file"), "one".repeat(1_000)).unwrap();
        set_mode(&from.join("file"), 0o755);
        let place = store.layers().attach(&one, form, &from).unwrap();
        assert_eq!(problems(&store, false), [""; 0]);
        set_mode(&place.join("file"), 0o777);
        let held = store.layers().get(&one).unwrap().unwrap();
        let said =
            format!("layer {one}: a directory form is not as it is: `/file` has another mode");
        assert_eq!(problems(&store, false), std::slice::from_ref(&said));
        let checked = store.check(&Roots::default(), UnpackOptions::default(), true);
        assert!(!checked.unwrap().is_sound(), "it is in use");
        drop(held);
        assert_eq!(problems(&store, true), [said]);
        assert!(!place.exists() && store.layers().contains(&one));
        assert_eq!(problems(&store, false), [""; 0]);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn damaged_documents_and_records_are_found_and_dropped() {
    for (file, said) in [
        ("blobs/sha256", "blob"),
        ("images-v1", "image"),
        ("tags-v1", "name"),
        ("actions-v1", "result of a step"),
        ("equal-v1", "first layer of a content"),
    ] {
        let (_directory, store, _) = new();
        let path = files(&store.root().join(file)).unwrap().remove(0);
        flip(&path, 3);
        let found = problems(&store, true);
        assert!(found[0].starts_with(said), "{file}: {found:?}");
        assert!(!path.exists(), "{file}");
        assert_eq!(problems(&store, false), [""; 0], "{file}");
    }
}

#[test]
fn a_layer_in_use_is_not_dropped() {
    let (_directory, store, [one, _]) = new();
    let held = store.layers().get(&one).unwrap().unwrap();
    flip(&held.tar(), 600);
    let checked = store
        .check(&Roots::default(), UnpackOptions::default(), true)
        .unwrap();
    assert!(!checked.is_sound() && held.tar().exists());
    drop(held);
    assert!(
        store
            .check(&Roots::default(), UnpackOptions::default(), true)
            .unwrap()
            .is_sound()
    );
    assert!(!store.layers().contains(&one));
}

#[test]
fn containers_that_lost_layers_are_told_and_stay() {
    let (_directory, store, [one, _]) = new();
    let lost = DiffId::new(Digest::of(b"lost"));
    let roots = Roots {
        containers: vec![("box".to_owned(), Digest::of(b"config"), vec![one, lost])],
    };
    let checked = store.check(&roots, UnpackOptions::default(), true).unwrap();
    assert_eq!(checked.problems[0].object, "container box");
    assert!(!checked.is_sound());
}
