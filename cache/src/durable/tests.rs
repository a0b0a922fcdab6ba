#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Mutex;
use std::time::SystemTime;

use layer::Digest;

use super::*;
use crate::testing::{add, diff_id, new};
use crate::{Bucket, Image, Tag};

/// What was synced, by all tests.
static SYNCED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
/// What cannot be: whoever comes to it ends there, and leaves what one leaves who is killed.
static BROKEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Told of each file that is about to be synced.
pub(super) fn syncs(path: &Path) -> Result<(), Error> {
    SYNCED.lock().unwrap().push(path.to_owned());
    if BROKEN.lock().unwrap().contains(path) {
        return Err(io::Error::other("killed")).at("sync", path);
    }
    Ok(())
}

/// What was synced below a directory since this was asked last, in order, as paths within it.
fn synced(root: &Path) -> Vec<String> {
    let mut all = SYNCED.lock().unwrap();
    let ours = all.extract_if(.., |path| path.starts_with(root));
    let name = |path: PathBuf| {
        path.strip_prefix(root)
            .unwrap()
            .to_string_lossy()
            .into_owned()
    };
    ours.map(name).collect()
}

fn sorted(mut paths: Vec<String>) -> Vec<String> {
    paths.sort_unstable();
    paths
}

fn config(store: &Store) -> Digest {
    let id = Digest::of(b"config");
    store.blobs().put(&id, b"config").unwrap();
    id
}

fn image(store: &Store) -> Image {
    Image {
        id: config(store),
        layers: Vec::new(),
        documents: Vec::new(),
        stored: SystemTime::now(),
    }
}

fn tag(image: &Image) -> Tag {
    Tag {
        name: "name".to_owned(),
        image: image.id,
        manifest: None,
        document: None,
        tagged: SystemTime::now(),
    }
}

#[test]
fn all_that_an_image_needs_is_synced_once_with_what_leads_there() {
    let (directory, store) = new();
    let layer = add(&store, "layer");
    let id = config(&store);
    assert!(!layer.is_durable() && !store.blobs().is_durable(&id, b"config"));
    store.make_durable(std::slice::from_ref(&layer)).unwrap();
    let digits = layer.diff_id.digest().to_hex();
    let shard = format!("layers-v1/{}", &digits[..2]);
    let mut expected = vec![
        String::new(),
        "blobs".to_owned(),
        "blobs/sha256".to_owned(),
        format!("blobs/sha256/{}", id.to_hex()),
        "layers-v1".to_owned(),
        shard.clone(),
        format!("{shard}/{digits}"),
        "version".to_owned(),
    ];
    expected.extend(["index", "layer", "tar"].map(|file| format!("{shard}/{digits}/{file}")));
    assert_eq!(sorted(synced(directory.path())), sorted(expected));
    assert!(layer.is_durable() && store.blobs().is_durable(&id, b"config"));
    store.make_durable(&[layer]).unwrap();
    // Nor by another process.
    let other = Store::open(directory.path()).unwrap();
    let layer = other.layers().get(&diff_id("layer"));
    other.make_durable(&[layer.unwrap().unwrap()]).unwrap();
    assert_eq!(synced(directory.path()), [""; 0]);
}

#[test]
fn a_record_is_synced_renamed_synced_by_its_name_and_only_then_marked() {
    let (directory, store) = new();
    let image = image(&store);
    store.make_durable(&[]).unwrap();
    synced(directory.path());
    store.images().put(&image).unwrap();
    let order = synced(directory.path());
    assert!(order[0].starts_with("tmp/"), "{order:?}");
    assert_eq!(sorted(order[1..].to_vec()), ["", "images-v1"]);
    assert!(store.images().is_durable(&image.id));
}

#[test]
fn what_a_killed_process_left_unsynced_is_seen_to_be() {
    let (directory, store) = new();
    let (image, layer) = (image(&store), add(&store, "layer"));
    let (tags, blobs) = (
        store.directory(Bucket::Tags),
        store.directory(Bucket::Blobs),
    );
    let broken = [tags.clone(), store.directory(Bucket::Images), blobs.clone()];
    BROKEN.lock().unwrap().extend(broken.clone());
    // The name of each is there, and nothing says that it stays.
    store
        .make_durable(std::slice::from_ref(&layer))
        .unwrap_err();
    store.images().put(&image).unwrap_err();
    store.images().tag(&tag(&image)).unwrap_err();
    BROKEN.lock().unwrap().retain(|path| !broken.contains(path));
    let next = Store::open(directory.path()).unwrap();
    let layer = next.layers().get(&layer.diff_id).unwrap().unwrap();
    assert!(next.blobs().contains(&image.id) && !next.blobs().is_durable(&image.id, b"config"));
    assert!(next.images().get(&image.id).unwrap().is_some());
    assert!(!next.images().is_durable(&image.id));
    assert!(next.images().named("name").unwrap().is_some());
    assert!(!next.images().is_name_durable("name") && !layer.is_durable());
    // Who relies on it writes it again.
    config(&next);
    next.make_durable(std::slice::from_ref(&layer)).unwrap();
    next.images().put(&image).unwrap();
    next.images().tag(&tag(&image)).unwrap();
    assert!(next.blobs().is_durable(&image.id, b"config") && layer.is_durable());
    assert!(next.images().is_durable(&image.id) && next.images().is_name_durable("name"));
    let done = synced(directory.path());
    for path in [&tags, &blobs, &store.version_file()] {
        let name = path.strip_prefix(directory.path()).unwrap();
        assert!(done.iter().any(|done| Path::new(done) == name), "{done:?}");
    }
}

#[test]
fn a_mark_is_that_of_the_file_that_was_synced_and_not_of_its_successor() {
    let (_directory, store) = new();
    let id = config(&store);
    let path = store
        .directory(Bucket::Blobs)
        .join("sha256")
        .join(id.to_hex());
    let opened = open_all([path.clone()].into_iter()).unwrap();
    store.blobs().remove(&id).unwrap();
    config(&store);
    mark(&opened[0].1, &path).unwrap();
    assert!(!store.blobs().is_durable(&id, b"config"));
}

#[test]
fn a_write_that_failed_behind_is_told_where_it_is_waited_for() {
    let (directory, store) = new();
    let path = directory.path().join("large");
    fs::write(&path, "x").unwrap();
    BROKEN.lock().unwrap().insert(path.clone());
    store.begin_sync(&path, LARGE);
    store.finish_sync(&path).unwrap_err();
    BROKEN.lock().unwrap().remove(&path);
    store.begin_sync(&path, LARGE - 1);
    store.finish_sync(&path).unwrap();
}

#[test]
fn without_durability_nothing_is_synced() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open_with(directory.path(), Durability::None).unwrap();
    let (image, layer) = (image(&store), add(&store, "layer"));
    store.make_durable(std::slice::from_ref(&layer)).unwrap();
    store.images().put(&image).unwrap();
    store.images().tag(&tag(&image)).unwrap();
    assert_eq!(synced(directory.path()), [""; 0]);
    assert!(!layer.is_durable() && store.images().is_durable(&image.id));
    // Who wants more does not take it for durable.
    let other = Store::open(directory.path()).unwrap();
    assert!(
        !other.images().is_durable(&image.id) && !other.blobs().is_durable(&image.id, b"config")
    );
    assert!(!other.images().is_name_durable("name"));
}
