//! Images through archives, names and outputs, on stores of their own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::Reference;
use image::config::{ImageConfig, RootFs};
use layer::{DiffId, Digest, Index, LayerPath};

use super::{ArchiveSource, Documents, Origin, Published, Removal};
use crate::engine::{Engine, LayerForm, Settings};
use crate::error::ImageError;
use crate::output::Destination;

fn engine() -> (tempfile::TempDir, Engine) {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = Engine::open(Settings {
        store: directory.path().join("store"),
        layers: LayerForm::Auto,
        credentials: Vec::new(),
        registries: Vec::new(),
        powerless: None,
        proxies: super::Proxies::default(),
        retention: crate::retention::Retention::default(),
    });
    (directory, engine.expect("a store"))
}

/// One file of a tar: its path and content, or a directory with its mode.
enum Entry {
    File(&'static str, Vec<u8>),
    Directory(&'static str, u32),
}

fn tar_of(entries: Vec<Entry>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        let (path, content) = match entry {
            Entry::File(path, content) => {
                header.set_mode(0o644);
                (path, content)
            }
            Entry::Directory(path, mode) => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(mode);
                (path, Vec::new())
            }
        };
        header.set_size(content.len() as u64);
        header.set_mtime(1000);
        tar.append_data(&mut header, path, &*content)
            .expect("an entry");
    }
    tar.into_inner().expect("a tar")
}

/// A `docker save` archive of one image with these layers, at a place of its own.
fn archive(directory: &Path, name: &str, layers: &[Vec<u8>]) -> PathBuf {
    let diff_ids = layers.iter().map(|layer| DiffId::new(Digest::of(layer)));
    let config = ImageConfig {
        architecture: image::Platform::host().architecture,
        os: "linux".to_owned(),
        created: Some("2001-02-03T04:05:06Z".to_owned()),
        rootfs: RootFs::new(diff_ids.collect()),
        ..ImageConfig::default()
    };
    let files: Vec<String> = (0..layers.len())
        .map(|n| format!("{n}/layer.tar"))
        .collect();
    let manifest = serde_json::json!([
        { "Config": "config.json", "RepoTags": [name], "Layers": files }
    ]);
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content)
            .expect("an entry");
    };
    add("manifest.json", manifest.to_string().as_bytes());
    add("config.json", &config.encode().0);
    for (file, layer) in files.iter().zip(layers) {
        add(file, layer);
    }
    let path = directory.join(format!("{}.tar", name.replace([':', '/'], "-")));
    fs::write(&path, tar.into_inner().expect("a tar")).expect("written");
    path
}

/// A root file system with a directory that all may write to.
fn base() -> Vec<u8> {
    tar_of(vec![
        Entry::Directory("./", 0o755),
        Entry::Directory("tmp", 0o1777),
        Entry::File("tmp/a", b"a".to_vec()),
    ])
}

/// A layer that has a file in that directory, but not the directory.
fn sparse() -> Vec<u8> {
    tar_of(vec![Entry::File("tmp/b", b"b".to_vec())])
}

fn names(engine: &Engine) -> Vec<String> {
    let images = engine.images().expect("the images");
    let names = images.iter().flat_map(|image| &image.names);
    names.map(Reference::familiar).collect()
}

async fn load(engine: &Engine, path: &Path) -> Vec<String> {
    let loaded = engine.load(ArchiveSource::Path(path.to_owned())).await;
    let loaded = loaded.expect("loaded").into_iter();
    loaded
        .map(|image| image.map_or_else(|id| id.to_string(), |name| name.familiar()))
        .collect()
}

#[tokio::test]
async fn implied_directories_are_as_the_layers_below_have_them() {
    let (directory, engine) = engine();
    let path = archive(directory.path(), "two:1", &[base(), sparse()]);
    assert_eq!(load(&engine, &path).await, ["two:1"]);
    let sparse = DiffId::new(Digest::of(&sparse()));
    let stored = engine
        .store()
        .layers()
        .get(&sparse)
        .expect("the store")
        .expect("the layer");
    let index = Index::open(&stored.index(), &stored.tar()).expect("an index");
    assert_eq!(index.content_digest(), stored.content);
    let tmp = LayerPath::new(b"tmp").expect("a path");
    let found = index
        .lookup(&tmp)
        .expect("an index")
        .expect("the directory");
    let inode = index.inode(found).expect("an inode");
    let metadata = inode.metadata().expect("metadata");
    assert_eq!(
        (metadata.mode & 0o7777, metadata.mtime.seconds),
        (0o1777, 1000)
    );
    assert!(inode.is_implied());
    let mut left: Vec<_> = fs::read_dir(stored.tar().parent().expect("a directory"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["index", "layer", "tar"]);
}

#[tokio::test]
async fn what_is_saved_can_be_loaded_elsewhere() {
    let (directory, one) = engine();
    load(&one, &archive(directory.path(), "a:1", &[base()])).await;
    load(&one, &archive(directory.path(), "b:1", &[base(), sparse()])).await;
    let path = directory.path().join("saved.tar");
    let wanted = ["a:1", "b:1"].map(str::to_owned);
    one.save(&wanted, &Destination::Path(path.clone()))
        .await
        .expect("saved");
    let (_other_directory, other) = engine();
    let mut loaded = load(&other, &path).await;
    loaded.sort();
    assert_eq!(loaded, wanted);
    for name in &wanted {
        let (mine, theirs) = (
            one.image(name).expect("here"),
            other.image(name).expect("there"),
        );
        assert_eq!(mine.summary, theirs.summary);
        assert_eq!(mine.config_bytes, theirs.config_bytes);
        assert_eq!(mine.layer_sizes, theirs.layer_sizes);
        assert_eq!(mine.manifest, theirs.manifest);
    }
    // A stream that cannot be read twice does as well as a file.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let out = Destination::Stream(Arc::new(File::from(std::os::fd::OwnedFd::from(writer))));
    let (_third_directory, third) = engine();
    let reader = File::from(std::os::fd::OwnedFd::from(reader));
    let only = [one.image("a:1").expect("here").summary.id.to_string()];
    let save = async {
        one.save(&only, &out).await.expect("saved");
        drop(out);
    };
    let (loaded, ()) = tokio::join!(third.load(ArchiveSource::Stream(reader)), save);
    let loaded = loaded.expect("loaded");
    assert!(
        matches!(&*loaded, [Err(id)] if id.to_string() == only[0]),
        "saved by its id, it has no name"
    );
}

#[tokio::test]
async fn a_damaged_archive_leaves_no_image() {
    let (directory, engine) = engine();
    let path = archive(directory.path(), "bad:1", &[base(), sparse()]);
    let bytes = fs::read(&path).expect("read");
    let at = bytes
        .windows(5)
        .rposition(|window| window == b"tmp/b")
        .expect("the layer");
    let mut damaged = bytes.clone();
    damaged[at + 4] = b'c';
    for damaged in [&damaged[..], &bytes[..bytes.len() / 2], b"no tar"] {
        fs::write(&path, damaged).expect("written");
        engine
            .load(ArchiveSource::Path(path.clone()))
            .await
            .expect_err("a damaged archive");
        assert_eq!(engine.images().expect("the images"), []);
    }
}

#[tokio::test]
async fn names_are_given_and_taken() {
    let (directory, engine) = engine();
    load(&engine, &archive(directory.path(), "one:latest", &[base()])).await;
    let id = engine.image("one").expect("an image").summary.id;
    let hex = id.to_hex();
    engine
        .tag("one", &"two:2".parse().expect("a name"))
        .expect("tagged");
    engine
        .tag(&hex[..12], &"localhost:5000/three".parse().expect("a name"))
        .expect("tagged");
    assert_eq!(
        names(&engine),
        ["one:latest", "two:2", "localhost:5000/three:latest"]
    );
    for name in [
        "two:2",
        "docker.io/library/two:2",
        &hex[..6],
        &hex,
        &id.to_string(),
    ] {
        assert_eq!(engine.image(name).expect(name).summary.id, id);
    }
    let free = |_: &Digest| None;
    let error = engine
        .remove_image(&hex[..8], false, free)
        .expect_err("it has several names");
    assert!(matches!(error, ImageError::SeveralNames(_)));
    let removed = engine.remove_image("one", false, free).expect("removed");
    assert!(matches!(&*removed, [Removal::Untagged(name)] if name.familiar() == "one:latest"));
    engine.remove_image("two:2", false, free).expect("removed");
    let used = |of: &Digest| (*of == id).then(|| "busy".to_owned());
    let error = engine
        .remove_image("localhost:5000/three", false, used)
        .expect_err("in use");
    assert_eq!(
        error.to_string(),
        "cannot remove `localhost:5000/three`: container `busy` uses it; force it to remove it anyway"
    );
    let removed = engine
        .remove_image("localhost:5000/three", true, used)
        .expect("removed");
    assert!(matches!(&*removed, [Removal::Untagged(_), Removal::Deleted(gone)] if *gone == id));
    assert!(matches!(engine.image(&hex), Err(ImageError::NotFound(_))));
}

#[tokio::test]
async fn what_builds_fetched_is_found_by_builds_and_not_listed() {
    let (directory, engine) = engine();
    load(&engine, &archive(directory.path(), "mine:1", &[base()])).await;
    let image = engine.image("mine:1").expect("an image");
    let (id, name) = (
        image.summary.id,
        "base:1".parse::<Reference>().expect("a name"),
    );
    assert!(
        engine
            .local_image(&name, &image::Platform::host())
            .expect("the store")
            .is_none()
    );
    let digest = Digest::of(b"index");
    let published = Published {
        target: digest,
        document: None,
    };
    engine
        .name_image(&name, &id, Some(published), Origin::Build)
        .expect("named");
    assert_eq!(names(&engine), ["mine:1"]);
    assert_eq!(engine.images().expect("the images")[0].digests, []);
    assert_eq!(
        engine
            .local_image(&name, &image::Platform::host())
            .expect("the store")
            .expect("found")
            .id,
        id
    );
    assert!(matches!(
        engine.image("base:1"),
        Err(ImageError::NotFound(_))
    ));
    let fixed = name.with_digest(digest);
    assert_eq!(
        engine
            .local_image(&fixed, &image::Platform::host())
            .expect("the store")
            .expect("found")
            .id,
        id
    );
    // The image stays for builds when the user's name goes, and is nobody's else then.
    let removed = engine
        .remove_image("mine:1", false, |_| None)
        .expect("removed");
    assert!(matches!(&*removed, [Removal::Untagged(_)]));
    assert_eq!(engine.images().expect("the images"), []);
    assert!(
        engine
            .local_image(&name, &image::Platform::host())
            .expect("the store")
            .is_some()
    );
    // The later of the two names counts.
    let other = ImageConfig::default().encode();
    let documents = Documents {
        id: &other.1,
        config: &other.0,
        manifest: None,
        parts: &[],
    };
    drop(engine.record_image(documents, &[]).expect("kept"));
    engine
        .name_image(&name, &other.1, None, Origin::User)
        .expect("named");
    assert_eq!(
        engine
            .local_image(&name, &image::Platform::host())
            .expect("the store")
            .expect("found")
            .id,
        other.1
    );
}

#[tokio::test]
async fn an_image_without_all_its_layers_is_not_there() {
    let (directory, engine) = engine();
    load(&engine, &archive(directory.path(), "one:1", &[base()])).await;
    let name = "one:1".parse::<Reference>().expect("a name");
    let layer = DiffId::new(Digest::of(&base()));
    // Once it is found, its layers stay.
    assert!(engine.store().layers().remove(&layer).expect("the store"));
    assert!(
        engine
            .local_image(&name, &image::Platform::host())
            .expect("the store")
            .is_none()
    );
    let to = Destination::Path(directory.path().join("lost.tar"));
    engine
        .save(&["one:1".to_owned()], &to)
        .await
        .expect_err("a layer is lost");
    assert!(!directory.path().join("lost.tar").exists());
}
