#![allow(clippy::unwrap_used, reason = "tests")]

use layer::Digest;

use super::*;
use crate::Form;
use crate::store::entries;
use crate::testing::{diff_id, new};

/// Commits a layer with this tar and content.
fn add(store: &Store, tar: &str, content: &str) -> Layer {
    let draft = store.layers().begin().unwrap();
    fs::write(draft.tar(), tar).unwrap();
    fs::write(draft.index(), "index").unwrap();
    draft
        .commit(&diff_id(tar), &ContentDigest::of(content.as_bytes()))
        .unwrap()
}

fn is_empty(store: &Store, bucket: Bucket) -> bool {
    entries(&store.directory(bucket)).unwrap().is_empty()
}

#[test]
fn a_committed_layer_is_found_with_all_that_was_said_of_it() {
    let (_directory, store) = new();
    assert!(!store.layers().contains(&diff_id("tar")));
    assert!(store.layers().get(&diff_id("tar")).unwrap().is_none());
    let committed = add(&store, "tar", "content");
    let found = store.layers().get(&diff_id("tar")).unwrap().unwrap();
    for layer in [committed, found] {
        assert_eq!(layer.diff_id, diff_id("tar"));
        assert_eq!(layer.content, ContentDigest::of(b"content"));
        assert_eq!(layer.tar_size, 3);
        assert_eq!(fs::read(layer.tar()).unwrap(), b"tar");
        assert_eq!(fs::read(layer.index()).unwrap(), b"index");
    }
    let digits = digits_of("tar");
    assert!(
        store
            .root()
            .join("layers-v1")
            .join(&digits[..2])
            .join(&digits)
            .join("tar")
            .exists()
    );
    assert!(is_empty(&store, Bucket::Temporary));
}

fn digits_of(name: &str) -> String {
    diff_id(name).digest().to_hex()
}

#[test]
fn a_layer_committed_twice_stays_the_first() {
    let (_directory, store) = new();
    let first = add(&store, "tar", "content");
    spoil_unseen(&first, |layer| fs::write(layer.index(), "INDEX").unwrap());
    let second = add(&store, "tar", "content");
    assert_eq!(fs::read(second.index()).unwrap(), b"INDEX");
    assert!(is_empty(&store, Bucket::Temporary));
    let id = first.diff_id;
    drop(first);
    assert!(!store.layers().remove(&id).unwrap(), "it is in use");
    drop(second);
    assert!(store.layers().remove(&id).unwrap());
    assert!(!store.layers().contains(&id));
}

#[test]
fn a_draft_that_is_dropped_is_discarded() {
    let (_directory, store) = new();
    let draft = store.layers().begin().unwrap();
    fs::write(draft.tar(), "tar").unwrap();
    drop(draft);
    assert!(is_empty(&store, Bucket::Temporary));
    let incomplete = store.layers().begin().unwrap();
    assert!(
        incomplete
            .commit(&diff_id("tar"), &ContentDigest::of(b""))
            .is_err()
    );
    assert!(is_empty(&store, Bucket::Temporary) && is_empty(&store, Bucket::Layers));
}

#[test]
fn a_torn_layer_is_absent_and_can_be_committed_again() {
    let (_directory, store) = new();
    let tear: [fn(&Layer); 4] = [
        |layer| fs::write(layer.tar(), "").unwrap(),
        |layer| fs::write(layer.index(), "").unwrap(),
        |layer| fs::remove_file(layer.tar()).unwrap(),
        |layer| fs::write(layer.directory.join("layer"), "\0\0\0").unwrap(),
    ];
    for (number, tear) in tear.into_iter().enumerate() {
        let layer = add(&store, "tar", "content");
        tear(&layer);
        assert!(
            store.layers().get(&layer.diff_id).unwrap().is_none(),
            "case {number}"
        );
        add(&store, "tar", "content");
        assert!(
            store.layers().get(&layer.diff_id).unwrap().is_some(),
            "case {number}"
        );
    }
}

#[test]
fn a_layer_of_before_a_restart_is_compared_with_its_digests_unless_it_was_durable() {
    let (_directory, store) = new();
    let spoil: [fn(&Layer); 2] = [
        |layer| fs::write(layer.tar(), "ta\0").unwrap(),
        |layer| fs::write(layer.index(), "inde\0").unwrap(),
    ];
    for (number, spoil) in spoil.into_iter().enumerate() {
        let layer = add(&store, "tar", "content");
        restart(&store, &layer);
        spoil(&layer);
        let found = store.layers().get(&layer.diff_id).unwrap();
        assert!(found.is_none(), "case {number}");
        let layer = add(&store, "tar", "content");
        restart(&store, &layer);
        assert!(store.layers().get(&layer.diff_id).unwrap().is_some());
        // What was read from the disk is durable, and not read again.
        assert!(layer.is_durable());
        spoil_unseen(&layer, spoil);
        assert!(store.layers().get(&layer.diff_id).unwrap().is_some());
        fs::remove_dir_all(&layer.directory).unwrap();
    }
}

/// Has a layer say that it was written before the machine was started.
fn restart(store: &Store, layer: &Layer) {
    let path = layer.directory.join("layer");
    let mut description = record::read::<Description>(&path).unwrap().unwrap();
    description.boot = "earlier".to_owned();
    store.write_record(&path, &description).unwrap();
}

/// Changes a layer as a disk does: no time says so.
fn spoil_unseen(layer: &Layer, spoil: fn(&Layer)) {
    let times = [layer.tar(), layer.index()].map(|path| {
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        (path, time)
    });
    spoil(layer);
    for (path, time) in times {
        fs::File::open(path).unwrap().set_modified(time).unwrap();
    }
}

#[test]
fn a_layer_that_was_written_to_is_compared_with_its_digests() {
    let (_directory, store) = new();
    let spoil: [fn(&Layer); 2] = [
        |layer| fs::write(layer.tar(), "ta\0").unwrap(),
        |layer| fs::write(layer.index(), "inde\0").unwrap(),
    ];
    let get = || store.layers().get(&diff_id("tar")).unwrap();
    for (number, spoil) in spoil.into_iter().enumerate() {
        let layer = add(&store, "tar", "content");
        store.make_durable(std::slice::from_ref(&layer)).unwrap();
        spoil(&layer);
        assert!(get().is_none(), "case {number}");
        // What is made again takes its place.
        add(&store, "tar", "content");
        assert!(get().is_some(), "case {number}");
    }
    // A copy of the store has other times and the same bytes. They are read once.
    let layer = add(&store, "tar", "content");
    store.make_durable(std::slice::from_ref(&layer)).unwrap();
    let earlier = std::time::SystemTime::UNIX_EPOCH;
    let tar = fs::File::open(layer.tar()).unwrap();
    tar.set_modified(earlier).unwrap();
    assert!(get().is_some() && !layer.is_durable());
    let spoil: fn(&Layer) = |layer| fs::write(layer.tar(), "ta\0").unwrap();
    spoil_unseen(&layer, spoil);
    assert!(get().is_some());
}

#[test]
fn directory_forms_of_before_a_restart_give_way() {
    let (_directory, store) = new();
    let layer = add(&store, "tar", "content");
    let torn = layer.directory.join("upper-earlier");
    fs::create_dir(&torn).unwrap();
    assert_eq!(layer.form(Form::Upper), None);
    let upper = store.layers().new_upper().unwrap();
    let layers = store.layers();
    layers
        .attach(&layer.diff_id, Form::Upper, &upper.upper)
        .unwrap();
    assert!(layer.form(Form::Upper).is_some() && !torn.exists());
}

#[test]
fn the_first_layer_of_a_content_is_remembered_while_it_is_there() {
    let (_directory, store) = new();
    let content = ContentDigest::of(b"content");
    assert_eq!(store.layers().with_content(&content).unwrap(), None);
    let [first, second] = ["one", "two"].map(|tar| add(&store, tar, "content").diff_id);
    assert_eq!(store.layers().with_content(&content).unwrap(), Some(first));
    store.layers().remove(&first).unwrap();
    assert_eq!(store.layers().with_content(&content).unwrap(), None);
    add(&store, "two", "content");
    assert_eq!(store.layers().with_content(&content).unwrap(), Some(second));
}

#[test]
fn directory_forms_are_attached_once() {
    let (_directory, store) = new();
    let layer = add(&store, "tar", "content");
    for (form, other) in [(Form::Upper, Form::Unpacked), (Form::Unpacked, Form::Upper)] {
        let before = layer.form(other).is_some();
        assert_eq!(layer.form(form), None);
        let [first, second] = ["first", "second"].map(|text| {
            let upper = store.layers().new_upper().unwrap();
            fs::write(upper.upper.join("file"), text).unwrap();
            let place = store
                .layers()
                .attach(&layer.diff_id, form, &upper.upper)
                .unwrap();
            assert!(!upper.upper.exists());
            store.discard(&upper.directory).unwrap();
            place
        });
        assert_eq!(first, second);
        assert_eq!(layer.form(form).as_ref(), Some(&first));
        assert_eq!(fs::read(first.join("file")).unwrap(), b"first");
        assert_eq!(layer.form(other).is_some(), before);
    }
    assert!(is_empty(&store, Bucket::Uppers));
    let upper = store.layers().new_upper().unwrap();
    let error = store
        .layers()
        .attach(&diff_id("absent"), Form::Upper, &upper.upper)
        .unwrap_err();
    assert!(matches!(error, Error::NoLayer { .. }));
}

#[test]
fn action_records_hold_as_long_as_their_layers() {
    let (_directory, store) = new();
    let chain = ["base", "top"].map(|tar| add(&store, tar, tar).diff_id);
    let (key, operation) = ([1; 32], [2; 32]);
    let actions = store.actions();
    assert_eq!(actions.by_definition(&key).unwrap(), None);
    actions.record_definition(&key, &chain).unwrap();
    assert_eq!(actions.by_definition(&key).unwrap().unwrap(), chain);
    assert_eq!(actions.by_content(&key).unwrap(), None);
    assert!(!actions.knows_operation(&operation));
    actions
        .record_content(&operation, &key, &chain[1..])
        .unwrap();
    assert!(actions.knows_operation(&operation));
    assert_eq!(actions.by_content(&key).unwrap().unwrap(), chain[1..]);
    actions.record_content(&operation, &[3; 32], &[]).unwrap();
    assert_eq!(actions.by_content(&[3; 32]).unwrap().unwrap(), []);
    store.layers().remove(&chain[0]).unwrap();
    assert_eq!(actions.by_definition(&key).unwrap(), None);
    assert_eq!(actions.by_content(&key).unwrap().unwrap(), chain[1..]);
}

#[test]
fn a_damaged_document_is_written_again() {
    let (_directory, store) = new();
    let id = Digest::of(b"config");
    store.blobs().put(&id, b"config").unwrap();
    store.make_durable(&[]).unwrap();
    assert!(store.blobs().is_durable(&id, b"config"));
    let path = store.blobs().names().unwrap().remove(0).1;
    // As a disk does it: it is still marked as durable.
    fs::write(&path, "c0nfig").unwrap();
    assert!(!store.blobs().is_durable(&id, b"config"));
    store.blobs().put(&id, b"config").unwrap();
    assert_eq!(store.blobs().get(&id).unwrap().unwrap(), b"config");
}

#[test]
fn blobs_are_what_their_names_say() {
    let (_directory, store) = new();
    let digest = Digest::of(b"config");
    let blobs = store.blobs();
    assert_eq!(blobs.get(&digest).unwrap(), None);
    assert!(matches!(
        blobs.put(&digest, b"other"),
        Err(Error::DamagedBlob { .. })
    ));
    blobs.put(&digest, b"config").unwrap();
    blobs.put(&digest, b"config").unwrap();
    assert_eq!(blobs.get(&digest).unwrap().unwrap(), b"config");
    let path = store
        .directory(Bucket::Blobs)
        .join("sha256")
        .join(digest.to_hex());
    fs::write(&path, "conf").unwrap();
    assert_eq!(blobs.get(&digest).unwrap(), None);
    blobs.put(&digest, b"config").unwrap();
    assert!(blobs.get(&digest).unwrap().is_some());
    blobs.remove(&digest).unwrap();
    assert_eq!(blobs.get(&digest).unwrap(), None);
}
