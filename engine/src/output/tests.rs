//! A finished image to every place on this machine.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use image::archive::ArchiveFormat;
use image::config::{ImageConfig, RootFs};
use image::{Compression, MediaTypes, Platform};
use layer::{FileSource, LayerPath, Metadata, PlannedEntry, PlannedNode, Timestamp};

use super::{ArchivePlace, Destination, Form, Output};
use crate::build::{BuildRequest, Built, Finished, FinishedImage};
use crate::engine::{Engine, LayerForm, Settings};
use crate::event::{Event, Listener};
use crate::images::{ArchiveSource, Proxies};
use crate::progress::Progress;

struct Deaf;

impl Listener for Deaf {
    fn event(&self, _: Event) {}
}

fn engine(directory: &Path) -> Engine {
    Engine::open(Settings {
        store: directory.join("store"),
        layers: LayerForm::Auto,
        credentials: Vec::new(),
        registries: Vec::new(),
        powerless: None,
        proxies: Proxies::default(),
        retention: crate::retention::Retention::default(),
    })
    .expect("a store")
}

fn entry(path: &str, seconds: i64, node: PlannedNode) -> PlannedEntry {
    PlannedEntry {
        path: LayerPath::new(path.as_bytes()).expect("a path"),
        metadata: Metadata {
            mode: 0o755,
            uid: 7,
            gid: 8,
            mtime: Timestamp::from_seconds(seconds),
            ..Metadata::default()
        },
        node,
    }
}

fn file(content: &[u8]) -> PlannedNode {
    let source = FileSource::Bytes(content.into());
    PlannedNode::file(source)
}

/// An image of two layers; the second removes a file of the first.
fn finished(engine: &Engine) -> FinishedImage {
    let lower = vec![
        entry("gone", 10, file(b"gone")),
        entry("kept", 10, file(b"kept")),
    ];
    let upper = vec![
        entry("gone", 10, PlannedNode::Whiteout),
        entry("late", 2_000, file(b"late")),
    ];
    let layers: Vec<_> = [lower, upper]
        .into_iter()
        .map(|entries| {
            engine
                .write_layer(entries, Some(1_500), &|| false)
                .expect("a layer")
        })
        .collect();
    let config = ImageConfig {
        architecture: Platform::host().architecture,
        os: "linux".to_owned(),
        created: Some("1970-01-01T00:25:00Z".to_owned()),
        rootfs: RootFs::new(layers.iter().map(|layer| layer.diff_id).collect()),
        ..ImageConfig::default()
    };
    let (bytes, id) = config.encode();
    FinishedImage {
        platform: Platform::host(),
        config,
        bytes,
        id,
        layers,
        epoch: Some(1_500),
    }
}

async fn write(engine: &Engine, image: &FinishedImage, outputs: Vec<Output>) -> Built {
    let request = BuildRequest {
        tags: vec!["made:1".parse().expect("a name")],
        outputs,
        ..BuildRequest::new("/".into())
    };
    let progress = Progress::new(Arc::new(Deaf));
    let finished = Finished::Image(Box::new(image.clone()));
    let built = engine.write_outputs(&request, &finished, &progress).await;
    built.expect("written")
}

fn archive(format: ArchiveFormat, to: ArchivePlace, compression: Compression) -> Output {
    Output::Archive {
        names: vec!["other:2".parse().expect("a name")],
        format,
        to,
        form: Form {
            encoding: compression.into(),
            media_types: MediaTypes::Oci,
        },
    }
}

/// The names of the files in a tar.
fn listed(path: &Path) -> Vec<String> {
    let mut archive = tar::Archive::new(fs::File::open(path).expect("open"));
    let entries = archive.entries().expect("a tar");
    entries
        .map(|entry| {
            entry
                .expect("an entry")
                .path()
                .expect("a path")
                .display()
                .to_string()
        })
        .collect()
}

#[tokio::test]
async fn without_a_wish_the_image_is_in_the_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = engine(directory.path());
    let image = finished(&engine);
    let built = write(&engine, &image, Vec::new()).await;
    let kept = engine.image("made:1").expect("an image");
    assert_eq!((built.config, kept.summary.id), (Some(image.id), image.id));
    assert_eq!(
        (built.manifest, built.manifest_size),
        (kept.manifest.digest, kept.manifest.size)
    );
    assert_eq!(
        built.media_type,
        "application/vnd.oci.image.manifest.v1+json"
    );
    assert!(
        engine
            .store()
            .blobs()
            .get(&built.manifest)
            .expect("the store")
            .is_some()
    );
    // Once more: the same, and still one image.
    let again = write(&engine, &image, Vec::new()).await;
    assert_eq!(again.manifest, built.manifest);
    assert_eq!(engine.images().expect("the images").len(), 1);
}

#[tokio::test]
async fn nothing_but_what_was_asked_for_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = engine(directory.path());
    let image = finished(&engine);
    let built = write(&engine, &image, vec![Output::CacheOnly]).await;
    assert_eq!((built.config, built.tags.len()), (Some(image.id), 0));
    assert_eq!(engine.images().expect("the images"), []);
}

#[tokio::test]
async fn archives_are_the_same_bytes_each_time_and_can_be_read() {
    let directory = tempfile::tempdir().expect("a directory");
    for (format, compression) in [
        (ArchiveFormat::Oci, Compression::Gzip),
        (ArchiveFormat::Oci, Compression::Zstd),
        (ArchiveFormat::Docker, Compression::None),
    ] {
        let mut written = Vec::new();
        for store in ["one", "two"] {
            let one = engine(
                &directory
                    .path()
                    .join(format!("{store} {format:?} {compression}")),
            );
            let image = finished(&one);
            let path = directory.path().join("image.tar");
            let to = ArchivePlace::Tar(Destination::Path(path.clone()));
            let built = write(&one, &image, vec![archive(format, to, compression)]).await;
            assert_eq!(built.tags[0].familiar(), "other:2");
            let manifest = format!("blobs/sha256/{}", built.manifest.to_hex());
            assert!(listed(&path).contains(&manifest), "{manifest}");
            let other = engine(
                &directory
                    .path()
                    .join(format!("{store} {format:?} {compression} read")),
            );
            let loaded = other
                .load(ArchiveSource::Path(path.clone()))
                .await
                .expect("loaded");
            assert_eq!(loaded.len(), 1);
            assert_eq!(
                other.image("other:2").expect("an image").summary.id,
                image.id
            );
            written.push(fs::read(&path).expect("read"));
        }
        assert!(written[0] == written[1], "{format:?} {compression}");
    }
}

#[tokio::test]
async fn a_layout_is_a_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = engine(directory.path());
    let image = finished(&engine);
    let layout = directory.path().join("a/layout");
    let to = ArchivePlace::Directory(layout.clone());
    let built = write(
        &engine,
        &image,
        vec![archive(ArchiveFormat::Oci, to, Compression::Gzip)],
    )
    .await;
    assert!(
        layout
            .join("blobs/sha256")
            .join(built.manifest.to_hex())
            .is_file()
    );
    assert!(layout.join("index.json").is_file());
}

#[tokio::test]
async fn files_are_those_of_all_layers_with_times_up_to_the_epoch() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().expect("a directory");
    let engine = engine(directory.path());
    let image = finished(&engine);
    let (tree, tar) = (
        directory.path().join("tree"),
        directory.path().join("files.tar"),
    );
    let outputs = vec![
        Output::Local {
            to: tree.clone(),
            split: None,
        },
        Output::Tar {
            to: Destination::Path(tar.clone()),
            split: None,
        },
    ];
    write(&engine, &image, outputs).await;
    let found = |name: &str| {
        let metadata = fs::metadata(tree.join(name)).expect(name);
        (metadata.mtime(), metadata.len())
    };
    assert_eq!((found("kept"), found("late")), ((10, 4), (1_500, 4)));
    assert!(!tree.join("gone").exists());
    if rustix::process::geteuid().is_root() {
        assert_eq!(fs::metadata(tree.join("kept")).expect("kept").uid(), 7);
    }
    let mut archive = tar::Archive::new(fs::File::open(tar).expect("open"));
    let entries = archive.entries().expect("a tar").map(|entry| {
        let entry = entry.expect("an entry");
        let header = entry.header();
        let name = entry.path().expect("a path").display().to_string();
        (
            name,
            header.mtime().expect("a time"),
            header.uid().expect("an owner"),
        )
    });
    let entries: Vec<_> = entries.collect();
    assert_eq!(
        entries,
        [("kept".to_owned(), 10, 7), ("late".to_owned(), 1_500, 7)]
    );
}
