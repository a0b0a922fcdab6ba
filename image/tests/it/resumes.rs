//! Transfers that break off and go on, and layers that come from elsewhere.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use layer::{DiffId, Digest};
use rbuild_image::manifest::Index;
use rbuild_image::platform::Platform;
use rbuild_image::pull::{fetch_image, fetch_layers};
use rbuild_image::push::push;
use rbuild_image::registry::{Hosts, Settings};
use rbuild_image::transfer::{LayerSink as _, Observer, Unobserved};
use rbuild_image::{
    Client, Compression, Descriptor, Error, LocalImage, Manifest, MediaTypes, Reference,
};
use testkit::faults::{Fault, Faults};

use super::fake::{Reply, Request, Served, Server, chain, client, pull, pull_with, settings};
use super::real_registry::{name, options, registry};
use super::store::{Store, image_of, noise, tar_of};

/// Pushes an image of one layer, uncompressed.
async fn push_to(target: Reference, tar: &[u8]) -> Result<(), Error> {
    let store = Store::new();
    let image = image_of(vec![store.add(tar)]);
    let observer: Arc<dyn Observer> = Arc::new(Unobserved);
    let (client, source) = (client(), store.source());
    let options = options(&store, Compression::None);
    let pushed = push(
        &client,
        &image.clone().into(),
        &[target],
        &options,
        &source,
        &observer,
    )
    .await;
    pushed.map(drop)
}

/// Pulls an image into a store that may have something of it.
async fn pull_into(store: &Store, reference: Reference) -> Result<(), Error> {
    let platform = Platform::new("linux", "amd64", "");
    let observer: Arc<dyn Observer> = Arc::new(Unobserved);
    let client = client();
    let image = fetch_image(&client, &reference, &platform).await?;
    fetch_layers(&client, &image, &store.sink(), &observer).await
}

#[tokio::test]
async fn a_download_that_stalls_is_taken_up() {
    let tar = tar_of("file", &noise(2_000_000, 11));
    let layer = DiffId::new(Digest::of(&tar));
    push_to(name("stalls"), &tar).await.unwrap();
    let port = registry().rsplit_once(':').unwrap().1.parse().unwrap();
    let faults = Faults::before(port);
    let blob = layer.digest().to_hex();
    faults.add(
        "GET",
        &blob,
        1,
        Fault::Stall(700_000, Duration::from_mins(5)),
    );
    let reference = format!("{}/stalls", faults.host()).parse().unwrap();
    let client = Client::new(Settings {
        stall_timeout: Duration::from_secs(1),
        ..settings()
    });
    let (_, pulled) = pull_with(&client, &reference).await.unwrap();
    assert!(pulled.tar(&layer) == tar);
    let seen = faults.seen();
    let again = seen.iter().any(|asked| asked.ends_with("bytes=700000-"));
    assert!(again, "{seen:?}");
}

#[tokio::test]
async fn what_came_is_kept_until_the_layer_is_whole() {
    let held = Served::new(3_000_000);
    let short = held.layer[..2_000_000].to_vec();
    let (blob, honest) = (held.layer_digest, held.clone());
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ranges);
    let server = Server::start(move |request| {
        if !request.target.ends_with(&blob.to_string()) {
            return honest.answer(request);
        }
        let range = request.header("range").map(str::to_owned);
        seen.lock().unwrap().push(range);
        Reply::new(200).body(honest.layer.clone()).cut(2_000_000)
    });
    let store = Store::new();
    let pulled = pull_into(&store, server.reference("a")).await;
    pulled.unwrap_err();
    assert_eq!(store.kept(&blob), Some(short.len() as u64));
    assert!(!store.contains(&held.diff_id).unwrap());
    // Another registry, another client, the same store: the rest is enough.
    let rest = held.layer[2_000_000..].to_vec();
    let honest = held.clone();
    let server = Server::start(move |request| match request.header("range") {
        Some("bytes=2000000-") => Reply::new(206)
            .with(
                "content-range",
                format!("bytes 2000000-{0}/{0}", honest.layer.len()),
            )
            .body(rest.clone()),
        Some(_) => Reply::new(416),
        None if request.target.ends_with(&blob.to_string()) => Reply::new(500),
        None => honest.answer(request),
    });
    let pulled = pull_into(&store, server.reference("a")).await;
    pulled.unwrap();
    assert!(store.tar(&held.diff_id) == held.layer);
    assert_eq!(store.kept(&blob), None);
    assert_eq!(ranges.lock().unwrap()[0], None);
}

#[tokio::test]
async fn what_was_kept_whole_needs_no_request() {
    let held = Served::new(2_000_000);
    let honest = held.clone();
    let server = Server::start(move |request| honest.answer(request));
    let store = Store::new();
    store.keep(&held.layer_digest, &held.layer);
    let pulled = pull_into(&store, server.reference("a")).await;
    pulled.unwrap();
    assert!(store.tar(&held.diff_id) == held.layer);
    assert_eq!(server.count("GET", &held.layer_digest.to_string()), 0);
}

/// A registry that takes blobs in pieces only.
struct Pieces {
    blob: Mutex<Vec<u8>>,
    /// The bytes where a connection broke once, after so many of them were written.
    breaks_at: Mutex<Option<usize>>,
    asked: Mutex<Vec<String>>,
    minimum: &'static str,
}

impl Pieces {
    fn answer(&self, request: &Request) -> Reply {
        let mut blob = self.blob.lock().unwrap();
        let here = |status| Reply::new(status).with("location", "/v2/a/blobs/uploads/1");
        let upload = request.target.contains("/blobs/uploads/");
        match request.method.as_str() {
            "POST" if upload => here(202).with("oci-chunk-min-length", self.minimum),
            "PUT" if upload && request.body.len() > 10_000 => Reply::new(413),
            "PUT" => Reply::new(201),
            "PATCH" => {
                let range = request.header("content-range").unwrap();
                self.asked.lock().unwrap().push(range.to_owned());
                if !range.starts_with(&format!("{}-", blob.len())) {
                    return Reply::new(416);
                }
                if let Some(length) = self.breaks_at.lock().unwrap().take() {
                    blob.extend(&request.body[..length]);
                    return Reply::new(502);
                }
                blob.extend(&request.body);
                here(202)
            }
            "GET" if upload => here(204).with("range", format!("0-{}", blob.len() - 1)),
            _ => Reply::new(404),
        }
    }
}

#[tokio::test]
async fn an_upload_goes_on_where_the_registry_is() {
    let registry = Arc::new(Pieces {
        blob: Mutex::default(),
        breaks_at: Mutex::new(Some(1_234_567)),
        asked: Mutex::default(),
        minimum: "0",
    });
    let answering = Arc::clone(&registry);
    let server = Server::start(move |request| answering.answer(request));
    let tar = tar_of("a", &noise(20_000_000, 3));
    push_to(server.reference("a:1"), &tar).await.unwrap();
    assert!(*registry.blob.lock().unwrap() == tar);
    let piece = 16 << 20;
    let expected = [
        format!("0-{}", piece - 1),
        format!("1234567-{}", 1_234_567 + piece - 1),
        format!("{}-{}", 1_234_567 + piece, tar.len() - 1),
    ];
    assert_eq!(*registry.asked.lock().unwrap(), expected);
}

#[tokio::test]
async fn pieces_are_as_long_as_the_registry_wants() {
    let registry = Arc::new(Pieces {
        blob: Mutex::default(),
        breaks_at: Mutex::default(),
        asked: Mutex::default(),
        minimum: "17000000",
    });
    let answering = Arc::clone(&registry);
    let server = Server::start(move |request| answering.answer(request));
    let tar = tar_of("a", &noise(20_000_000, 3));
    push_to(server.reference("a:1"), &tar).await.unwrap();
    assert!(*registry.blob.lock().unwrap() == tar);
    assert_eq!(registry.asked.lock().unwrap()[0], "0-16999999");
}

/// An image whose layer is foreign and at these addresses.
fn foreign(layer: &[u8], urls: Vec<String>) -> Served {
    let diff_id = DiffId::new(Digest::of(layer));
    let mut held = Served::of(image_of(vec![diff_id]).config, layer.to_vec(), diff_id);
    let media_type = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    let blob = Descriptor {
        urls,
        ..Descriptor::of(media_type, layer)
    };
    let config = Descriptor::of(MediaTypes::Oci.config(), &held.config);
    (held.manifest, _) = Manifest::new(MediaTypes::Oci, config, vec![blob]).encode();
    held
}

#[tokio::test]
async fn foreign_layers_come_from_their_addresses() {
    let layer = tar_of("file", b"foreign");
    let content = layer.clone();
    let elsewhere = Server::start(move |request| match request.target.as_str() {
        "/layer?x=y" => Reply::new(200).body(content.clone()),
        "/locked" => Reply::new(401).with("www-authenticate", "Basic realm=\"x\""),
        _ => Reply::new(404),
    });
    let host = format!("http://127.0.0.1:{}", elsewhere.port);
    let unsafe_one = "http://example.com/layer".to_owned();
    let urls = vec![
        unsafe_one,
        format!("{host}/absent"),
        format!("{host}/locked"),
        format!("{host}/layer?x=y"),
    ];
    let held = foreign(&layer, urls);
    let (blob, honest) = (held.layer_digest, held.clone());
    let server = Server::start(move |request| {
        if request.target.ends_with(&blob.to_string()) {
            return Reply::new(404);
        }
        honest.answer(request)
    });
    let client = super::login::client_as("user", "secret");
    let (_, store) = pull_with(&client, &server.reference("a")).await.unwrap();
    assert!(store.tar(&held.diff_id) == layer);
    let asked = elsewhere.requests();
    assert_eq!(asked.len(), 3);
    assert!(
        asked
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
    assert_eq!(server.count("GET", &blob.to_string()), 0);
}

#[tokio::test]
async fn a_foreign_layer_may_be_in_the_registry_after_all() {
    let layer = tar_of("file", b"foreign");
    for urls in [vec![], vec!["http://127.0.0.1:1/gone".to_owned()]] {
        let held = foreign(&layer, urls);
        let honest = held.clone();
        let server = Server::start(move |request| honest.answer(request));
        let (_, store) = pull(&server.reference("a")).await.unwrap();
        assert!(store.tar(&held.diff_id) == layer);
    }
}

#[tokio::test]
async fn a_foreign_layer_is_pushed_as_one_of_ones_own() {
    let layer = tar_of("file", b"foreign");
    let held = foreign(&layer, vec!["http://127.0.0.1:1/gone".to_owned()]);
    let server = Server::start(move |request| held.answer(request));
    let (remote, store) = pull(&server.reference("a")).await.unwrap();
    let image = LocalImage {
        config: remote.config_bytes,
        layers: vec![remote.layers[0].diff_id],
    };
    let observer: Arc<dyn Observer> = Arc::new(Unobserved);
    let (client, source, target) = (client(), store.source(), name("foreign"));
    let options = options(&store, Compression::None);
    let targets = std::slice::from_ref(&target);
    push(
        &client,
        &image.clone().into(),
        targets,
        &options,
        &source,
        &observer,
    )
    .await
    .unwrap();
    let (pushed, other) = pull(&target).await.unwrap();
    let expected = Descriptor::of("application/vnd.oci.image.layer.v1.tar", &layer);
    assert_eq!(pushed.layers[0].blob, expected);
    assert!(other.tar(&image.layers[0]) == layer);
}

#[tokio::test]
async fn indexes_nested_too_deep_are_refused() {
    let media_type = "application/vnd.oci.image.index.v1+json";
    let mut documents = vec![Served::new(10).manifest];
    let mut next = Descriptor::of(MediaTypes::Oci.manifest(), &documents[0]);
    for _ in 0..5 {
        next.platform = Some(Platform::new("linux", "amd64", ""));
        let bytes = Index::new(vec![next]).encode();
        next = Descriptor::of(media_type, &bytes);
        documents.push(bytes);
    }
    let server = Server::start(move |request| {
        let by_digest = |bytes: &&Vec<u8>| request.target.ends_with(&Digest::of(bytes).to_string());
        let found = documents.iter().find(by_digest).or(documents.last());
        Reply::new(200).body(found.unwrap().clone())
    });
    let error = pull(&server.reference("a")).await.map(drop).unwrap_err();
    assert!(
        chain(&error).ends_with("its indexes are nested too deep"),
        "{error:?}"
    );
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_mirror_that_is_silent_is_asked_once() {
    let held = Served::new(10);
    let honest = held.clone();
    let server = Server::start(move |request| honest.answer(request));
    let mirror = Server::start(|_| Reply::new(200).after(Duration::from_mins(1)));
    let directory = testkit::scratch();
    let place = directory.path().join("registry.invalid");
    std::fs::create_dir(&place).unwrap();
    let (port, other) = (server.port, mirror.port);
    let text =
        format!("server = \"http://127.0.0.1:{port}\"\n[host.\"http://127.0.0.1:{other}\"]\n");
    std::fs::write(place.join("hosts.toml"), text).unwrap();
    let client = Client::new(Settings {
        hosts: Hosts::new(vec![directory.path().to_owned()]),
        stall_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        ..settings()
    });
    let reference = "registry.invalid/a".parse().unwrap();
    let (_, store) = pull_with(&client, &reference).await.unwrap();
    assert!(store.tar(&held.diff_id) == held.layer);
    assert_eq!(mirror.requests().len(), 1);
}
