//! Round trips through Debian's registry.

use std::fs::File;
use std::sync::{Arc, OnceLock};

use rbuild_image::platform::Platform;
use rbuild_image::pull;
use rbuild_image::push::{PushOptions, push};
use rbuild_image::transfer::{LayerSource as _, Observer, Phase};
use rbuild_image::{
    Client, Compression, Descriptor, Encoding, Error, ImageConfig, LocalImage, MediaTypes,
    Reference, RegistryError,
};

use super::fake::{client, pull, pull_with};
use super::store::{Store, Watch, image_of, noise, sample, tar_of};

/// A registry that lives as long as the test process.
pub(crate) fn registry() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    static STORAGE: OnceLock<tempfile::TempDir> = OnceLock::new();
    HOST.get_or_init(|| {
        let storage = STORAGE.get_or_init(testkit::scratch).path();
        let port = testkit::supervise::free_port();
        let config = storage.join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            storage.display()
        );
        std::fs::write(&config, text).unwrap();
        let log = File::create(storage.join("log")).unwrap();
        let config = config.to_str().unwrap();
        testkit::supervise::server("docker-registry", &["serve", config], &[], log);
        testkit::supervise::wait_for_port(port);
        format!("127.0.0.1:{port}")
    })
}

pub(crate) fn name(path: &str) -> Reference {
    format!("{}/{path}", registry()).parse().unwrap()
}

pub(crate) fn options(store: &Store, compression: Compression) -> PushOptions {
    PushOptions {
        encoding: Encoding::from(compression),
        media_types: MediaTypes::Oci,
        scratch: store.scratch(),
    }
}

/// Pushes an image, and tells how its layers got there.
async fn push_image(
    client: &Client,
    store: &Store,
    image: &LocalImage,
    targets: &[Reference],
    compression: Compression,
) -> Result<(Descriptor, Vec<Phase>), Error> {
    let watch = Arc::new(Watch::default());
    let observer: Arc<dyn Observer> = watch.clone();
    let options = options(store, compression);
    let pushed = push(
        client,
        &image.clone().into(),
        targets,
        &options,
        &store.source(),
        &observer,
    )
    .await?;
    Ok((pushed, watch.ends()))
}

#[tokio::test]
async fn what_is_pushed_is_pulled() {
    let cases = [
        (Compression::None, "plain"),
        (Compression::Gzip, "gzip"),
        (Compression::Zstd, "zstd"),
    ];
    for (compression, path) in cases {
        let store = Store::new();
        let big = store.add(&tar_of("big", &noise(5_000_000, 7)));
        let mut image = sample(&store);
        image.layers.push(big);
        // A layer twice in one image.
        image.layers.push(image.layers[0]);
        let image = image_of(image.layers);
        let name = name(path);
        let (pushed, _) = push_image(
            &client(),
            &store,
            &image,
            std::slice::from_ref(&name),
            compression,
        )
        .await
        .unwrap();
        let (pulled, other) = pull(&name).await.unwrap();
        assert_eq!(pulled.manifest, pushed);
        assert_eq!(pulled.target, pushed);
        assert_eq!(pulled.config_bytes, image.config);
        let layers: Vec<_> = pulled.layers.iter().map(|layer| layer.diff_id).collect();
        assert_eq!(layers, image.layers);
        for layer in &layers {
            assert!(other.tar(layer) == store.tar(layer));
            let known = other.known_blob(layer, compression).unwrap();
            assert_eq!(
                known,
                store
                    .known_blob(layer, compression)
                    .unwrap()
                    .or(known.clone())
            );
        }
        let resolved = client().resolve(&name).await.unwrap();
        assert_eq!(resolved.digest, pushed.digest);
        let by_digest = client().resolve(&pulled.reference).await.unwrap();
        assert_eq!(by_digest, resolved);
    }
}

#[tokio::test]
async fn nothing_is_sent_twice() {
    let (store, client) = (Store::new(), client());
    let image = sample(&store);
    let targets = [name("first:a"), name("first:b")];
    let gzip = Compression::Gzip;
    let (first, phases) = push_image(&client, &store, &image, &targets, gzip)
        .await
        .unwrap();
    assert_eq!(phases, [Phase::Done; 3]);
    let (again, phases) = push_image(&client, &store, &image, &targets[..1], gzip)
        .await
        .unwrap();
    assert_eq!((again, phases), (first.clone(), vec![Phase::Exists; 3]));
    let other = [name("second")];
    let (mounted, phases) = push_image(&client, &store, &image, &other, gzip)
        .await
        .unwrap();
    assert_eq!((mounted, phases), (first.clone(), vec![Phase::Mounted; 3]));
    // One who never pushed, but pulled, knows the blobs too.
    let (_, puller) = pull(&other[0]).await.unwrap();
    let third = [name("third")];
    let (pushed, phases) = push_image(&client, &puller, &image, &third, gzip)
        .await
        .unwrap();
    assert_eq!((pushed, phases), (first, vec![Phase::Mounted; 3]));
    for target in targets.iter().chain(&other).chain(&third) {
        assert_eq!(pull(target).await.unwrap().0.config_bytes, image.config);
    }
}

#[tokio::test]
async fn layers_that_are_there_are_not_fetched() {
    let store = Store::new();
    let image = sample(&store);
    let name = name("there");
    let targets = std::slice::from_ref(&name);
    push_image(&client(), &store, &image, targets, Compression::Zstd)
        .await
        .unwrap();
    let platform = Platform::new("linux", "amd64", "");
    let remote = pull::fetch_image(&client(), &name, &platform)
        .await
        .unwrap();
    let other = Store::new();
    other.add(&tar_of("two", b"two"));
    let watch = Arc::new(Watch::default());
    let observer: Arc<dyn Observer> = watch.clone();
    pull::fetch_layers(&client(), &remote, &other.sink(), &observer)
        .await
        .unwrap();
    assert_eq!((other.layers(), other.drafts()), (3, 2));
    assert!(watch.saw(Phase::Exists) && watch.saw(Phase::Downloading) && watch.saw(Phase::Done));
}

#[tokio::test]
async fn skopeo_reads_what_is_pushed_and_writes_what_is_pulled() {
    let store = Store::new();
    let image = sample(&store);
    for (types, path) in [(MediaTypes::Oci, "oci"), (MediaTypes::Docker, "docker")] {
        let name = name(&format!("skopeo-{path}"));
        let options = PushOptions {
            media_types: types,
            ..options(&store, Compression::Gzip)
        };
        let observer: Arc<dyn Observer> = Arc::new(Watch::default());
        let targets = std::slice::from_ref(&name);
        push(
            &client(),
            &image.clone().into(),
            targets,
            &options,
            &store.source(),
            &observer,
        )
        .await
        .unwrap();
        let url = format!("docker://{name}");
        let shown = testkit::command::must("skopeo", &["inspect", "--tls-verify=false", &url]);
        assert!(shown.contains("\"Architecture\": \"amd64\""), "{shown}");
        let copy = format!("docker://{}/skopeo-{path}-copy:x", registry());
        let args = [
            "copy",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            "--dest-compress-format=zstd",
            "--format=oci",
            &url,
            &copy,
        ];
        testkit::command::must("skopeo", &args);
        let copied = format!("{}/skopeo-{path}-copy:x", registry())
            .parse()
            .unwrap();
        let (pulled, other) = pull(&copied).await.unwrap();
        // It writes the config anew, with its fields in another order.
        let ours = ImageConfig::parse("x", &image.config).unwrap();
        assert_eq!(pulled.config, ours);
        for layer in &image.layers {
            assert!(other.tar(layer) == store.tar(layer));
        }
    }
}

#[tokio::test]
async fn what_the_registry_does_not_have_is_not_found() {
    let store = Store::new();
    let image = sample(&store);
    let targets = [name("present:tag")];
    push_image(&client(), &store, &image, &targets, Compression::Gzip)
        .await
        .unwrap();
    for path in ["absent:tag", "present:other"] {
        let error = pull_with(&client(), &name(path))
            .await
            .map(drop)
            .unwrap_err();
        let Error::Registry(RegistryError::NotFound { what, .. }) = &error else {
            panic!("{error:?}");
        };
        assert!(what.contains(path), "{error}");
        assert!(client().resolve(&name(path)).await.is_err());
    }
}

#[tokio::test]
async fn a_dropped_pull_stops() {
    let store = Store::new();
    let layers: Vec<_> = (0..12)
        .map(|seed| store.add(&tar_of("file", &noise(3_000_000, seed))))
        .collect();
    let image = image_of(layers);
    let name = name("dropped");
    let targets = std::slice::from_ref(&name);
    push_image(&client(), &store, &image, targets, Compression::None)
        .await
        .unwrap();
    let remote = pull::fetch_image(&client(), &name, &Platform::new("linux", "amd64", ""))
        .await
        .unwrap();
    let other = Store::new();
    let observer: Arc<dyn Observer> = Arc::new(Watch::default());
    let (sink, client) = (other.sink(), client());
    let fetch = pull::fetch_layers(&client, &remote, &sink, &observer);
    let limit = std::time::Duration::from_millis(10);
    if tokio::time::timeout(limit, fetch).await.is_err() {
        let before = other.layers();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert!(other.layers() <= before + 4, "layers keep coming");
        assert!(other.layers() < 12, "all came");
    }
}
