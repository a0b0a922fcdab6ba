#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

use layer::{ContentDigest, Digest, LayerPath, Metadata, PlannedEntry, PlannedNode, WriteOptions};

use super::*;
use crate::lock::{Mode, Range};
use crate::{
    BuildName, Compression, ContextMemory, Downloaded, FileStamp, Image, Sharing, Tag, Transfer,
};

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

/// A store with an image of two layers and a name that came with a manifest, and the record of a step.
fn new() -> (tempfile::TempDir, Store, [DiffId; 2]) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let layers = ["one", "two"].map(|text| add(&store, text));
    let id = Digest::of(b"config");
    let document = Digest::of(b"manifest");
    store.blobs().put(&id, b"config").unwrap();
    store.blobs().put(&document, b"manifest").unwrap();
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
            manifest: Some(Digest::of(b"index")),
            document: Some(document),
            tagged: SystemTime::now(),
        })
        .unwrap();
    store
        .actions()
        .record_definition(&[1; 32], &layers)
        .unwrap();
    (directory, store, layers)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a check takes what may fail to list containers"
)]
fn no_containers() -> Result<Roots, Error> {
    Ok(Roots::default())
}

fn problems(store: &Store, repair: bool) -> Vec<String> {
    let checked = store
        .check(&no_containers, UnpackOptions::default(), repair)
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
        let checked = store.check(&no_containers, UnpackOptions::default(), true);
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

/// A store that has one of everything that is a record.
async fn full() -> (tempfile::TempDir, Store) {
    let (directory, store, [layer, _]) = new();
    let (key, blob) = ([7; 32], Digest::of(b"blob"));
    store
        .actions()
        .record_content(&[2; 32], &key, &[layer])
        .unwrap();
    let transfer = Transfer {
        layer,
        compression: Compression::Gzip,
        blob,
        size: 1,
        media_type: "gzip".to_owned(),
    };
    store.transfers().remember(&transfer).unwrap();
    store.transfers().remember_location(&blob, "here").unwrap();
    let downloaded = Downloaded {
        digest: blob,
        layer,
        etag: None,
        last_modified: None,
    };
    store.downloads().remember(&key, &downloaded).unwrap();
    let lease = store.mounts().lease("mount", Sharing::Shared).await;
    drop(lease.unwrap().publish().unwrap());
    store.mounts().pin("mount").unwrap();
    let name = BuildName::new(SystemTime::now()).unwrap();
    store.builds().add(&name, 1, None).unwrap();
    store.builds().record_inputs(&key, b"inputs").unwrap();
    let memory = ContextMemory::load(&store, "context");
    let mut stat = rustix::fs::stat("/").unwrap();
    // One that changed just now would not be remembered.
    (stat.st_mtime, stat.st_ctime) = (1_000_000_000, 1_000_000_000);
    memory.learn(FileStamp::new(b"file", &stat), ContentDigest::of(b"file"));
    assert!(memory.save().unwrap());
    (directory, store)
}

/// Where each kind of record is, and what it is called.
const RECORDS: [(Bucket, &str); 15] = [
    (Bucket::Blobs, "blob"),
    (Bucket::Images, "image"),
    (Bucket::Tags, "name"),
    (Bucket::Actions, "result of a step"),
    (Bucket::Contents, "result of an operation"),
    (Bucket::Equal, "first layer of a content"),
    (Bucket::Transfers, "blob of a layer"),
    (Bucket::Origins, "layer of a blob"),
    (Bucket::Locations, "repository of a blob"),
    (Bucket::Downloads, "download"),
    (Bucket::Pins, "pin"),
    (Bucket::Mounts, "cache mount"),
    (Bucket::Builds, "build"),
    (Bucket::Inputs, "inputs of a step"),
    (Bucket::Contexts, "context"),
];

#[tokio::test]
async fn damaged_documents_and_records_are_found_and_dropped() {
    for (bucket, said) in RECORDS {
        let (_directory, store) = full().await;
        let path = files(&store.directory(bucket)).unwrap().remove(0);
        flip(&path, 3);
        let found = problems(&store, false);
        assert!(
            found.iter().any(|found| found.starts_with(said)),
            "{bucket:?}: {found:?}"
        );
        problems(&store, true);
        assert!(!path.exists(), "{bucket:?}");
        assert_eq!(problems(&store, false), [""; 0], "{bucket:?}");
    }
}

#[tokio::test]
async fn records_under_the_names_of_others_are_found_and_dropped() {
    for bucket in [
        Bucket::Images,
        Bucket::Tags,
        Bucket::Locations,
        Bucket::Pins,
    ] {
        let (_directory, store) = full().await;
        let path = files(&store.directory(bucket)).unwrap().remove(0);
        fs::copy(&path, path.with_file_name("0".repeat(64))).unwrap();
        let found = problems(&store, true);
        let [problem] = &*found else {
            panic!("{bucket:?}: {found:?}");
        };
        assert!(
            problem.ends_with("0000: its record is that of another"),
            "{problem}"
        );
        assert_eq!(problems(&store, false), [""; 0], "{bucket:?}");
        assert!(path.exists(), "{bucket:?}");
    }
}

#[test]
fn documents_that_are_missing_are_told_of() {
    let (_directory, store, _) = new();
    let (config, manifest) = (Digest::of(b"config"), Digest::of(b"manifest"));
    store.blobs().remove(&manifest).unwrap();
    let said = ["name name: its manifest is not in the store"];
    assert_eq!(problems(&store, false), said);
    assert_eq!(problems(&store, true), said);
    assert_eq!(problems(&store, false), [""; 0]);
    // The image can do without, and is known by what the name leads to elsewhere.
    let tag = store.images().named("name").unwrap().unwrap();
    assert_eq!(tag.manifest, Some(Digest::of(b"index")));
    store.blobs().remove(&config).unwrap();
    let said = ["image name: its config is not in the store"];
    assert_eq!(problems(&store, false), said);
    store.images().untag("name").unwrap();
    let said = [format!("image {config}: its config is not in the store")];
    assert_eq!(problems(&store, false), said);
    assert_eq!(problems(&store, true), said);
    assert!(store.images().get(&config).unwrap().is_none());
}

#[test]
fn a_layer_in_use_is_not_dropped() {
    let (_directory, store, [one, _]) = new();
    let held = store.layers().get(&one).unwrap().unwrap();
    flip(&held.tar(), 600);
    let checked = store
        .check(&no_containers, UnpackOptions::default(), true)
        .unwrap();
    assert!(!checked.is_sound() && held.tar().exists());
    drop(held);
    assert!(
        store
            .check(&no_containers, UnpackOptions::default(), true)
            .unwrap()
            .is_sound()
    );
    assert!(!store.layers().contains(&one));
}

#[test]
fn containers_that_lost_layers_are_told_and_stay() {
    let (_directory, store, [one, _]) = new();
    let collector = Store::open(store.root()).unwrap();
    let lost = DiffId::new(Digest::of(b"lost"));
    let roots = || {
        // One that is removed now keeps its layers until it was looked at.
        let alone = collector.try_lock(Range::ROOTS, Mode::Exclusive);
        assert!(alone.unwrap().is_none());
        Ok(Roots {
            containers: vec![("box".to_owned(), Digest::of(b"config"), vec![one, lost])],
        })
    };
    let checked = store.check(&roots, UnpackOptions::default(), true).unwrap();
    assert_eq!(checked.problems[0].object, "container box");
    assert!(!checked.is_sound());
}
