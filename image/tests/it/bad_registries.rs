//! Registries that are not there, break off, or lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use layer::{DiffId, Digest};
use rbuild_image::manifest::Index;
use rbuild_image::platform::Platform;
use rbuild_image::registry::{Proxies, Settings, Unreachable};
use rbuild_image::{Client, Descriptor, Error, Reference, RegistryError};

use super::fake::{Reply, Request, Served, Server, chain, client, pull, pull_with, settings};
use super::store::{image_of, tar_of};

/// The error of a pull from a registry that answers so.
async fn failure(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Error {
    let server = Server::start(answer);
    let result = pull(&server.reference("a/b")).await;
    result.map(|(image, _)| image).unwrap_err()
}

/// A server that answers so to the first requests for the layer, and then honestly.
fn stumbling(held: &Served, first: Vec<Reply>) -> Server {
    let (held, count) = (held.clone(), AtomicUsize::new(0));
    Server::start(move |request| {
        if request.target.ends_with(&held.layer_digest.to_string()) {
            let at = count.fetch_add(1, Ordering::SeqCst);
            if let Some(reply) = first.get(at) {
                return reply.clone();
            }
            if let Some(range) = request.header("range") {
                let from = range
                    .strip_prefix("bytes=")
                    .unwrap()
                    .strip_suffix('-')
                    .unwrap();
                let from: usize = from.parse().unwrap();
                let length = held.layer.len();
                return Reply::new(206)
                    .with(
                        "content-range",
                        format!("bytes {from}-{}/{length}", length - 1),
                    )
                    .body(&held.layer[from..]);
            }
        }
        held.answer(request)
    })
}

#[tokio::test]
async fn an_honest_fake_is_pulled_from() {
    let held = Served::new(100_000);
    let layer = held.diff_id;
    let tar = held.layer.clone();
    let server = Server::start(move |request| held.answer(request));
    let (_, store) = pull(&server.reference("a/b")).await.unwrap();
    assert!(store.tar(&layer) == tar);
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let port = testkit::supervise::free_port();
    let reference: Reference = format!("localhost:{port}/a").parse().unwrap();
    let error = pull(&reference).await.map(drop).unwrap_err();
    let expected = format!("cannot reach registry `localhost`, port {port}: nothing listens there");
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert!(
        chain(&error).contains("Connection refused"),
        "{}",
        chain(&error)
    );
}

#[tokio::test]
async fn a_name_without_address_is_named() {
    let reference: Reference = "registry.invalid/a".parse().unwrap();
    let error = pull(&reference).await.map(drop).unwrap_err();
    let expected = "cannot reach registry `registry.invalid`, port 443: the name has no address";
    assert!(error.to_string().starts_with(expected), "{}", chain(&error));
}

#[tokio::test]
async fn a_registry_that_says_nothing_is_given_up() {
    let server = Server::start(|_| Reply::new(200).after(Duration::from_mins(1)));
    let client = Client::new(Settings {
        stall_timeout: Duration::from_millis(50),
        connect_timeout: Duration::from_secs(1),
        ..settings()
    });
    let error = pull_with(&client, &server.reference("a"))
        .await
        .map(drop)
        .unwrap_err();
    let Error::Registry(RegistryError::Unreachable { reason, .. }) = error else {
        panic!("{error:?}");
    };
    assert!(matches!(reason, Unreachable::Stalled(_)));
}

#[tokio::test]
async fn https_is_asked_of_a_proxy() {
    let proxy = Server::start(|_| Reply::new(502));
    let client = Client::new(Settings {
        proxies: Proxies {
            https: Some(format!("http://127.0.0.1:{}", proxy.port)),
            ..Proxies::default()
        },
        ..settings()
    });
    let reference = "registry.invalid/a".parse().unwrap();
    pull_with(&client, &reference).await.map(drop).unwrap_err();
    assert_eq!(proxy.requests()[0].method, "CONNECT");
    assert_eq!(proxy.requests()[0].target, "registry.invalid:443");
}

#[tokio::test]
async fn temporary_errors_are_tried_again() {
    for status in [429, 500, 502, 503, 504] {
        let held = Served::new(1000);
        let replies = vec![Reply::new(status).with("retry-after", "0"); 2];
        let server = stumbling(&held, replies);
        let (_, store) = pull(&server.reference("a")).await.unwrap();
        assert!(store.tar(&held.diff_id) == held.layer);
        assert_eq!(server.count("GET", &held.layer_digest.to_string()), 3);
    }
}

#[tokio::test]
async fn lasting_errors_are_reported_in_the_words_of_the_registry() {
    let body = r#"{"errors":[{"code":"UNAVAILABLE","message":"disk \u001b[31mfull"}]}"#;
    let server = Server::start(move |_| Reply::new(503).body(body));
    let error = pull(&server.reference("a")).await.map(drop).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "`127.0.0.1:{0}` answered 503 to `127.0.0.1:{0}/a:latest`: disk  [31mfull",
            server.port
        )
    );
    assert_eq!(server.requests().len(), 4);
    let server = Server::start(|_| Reply::new(418).body("<html>"));
    let error = pull(&server.reference("a")).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("answered 418"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_download_that_breaks_off_is_taken_up() {
    let held = Served::new(300_000);
    let whole = Reply::new(200).body(held.layer.clone());
    let unranged = vec![
        whole.clone().cut(100_000),
        whole.clone().cut(200_000),
        whole.clone(),
    ];
    // The first server gives the rest when asked for it, the second gives all once more.
    let ranged = vec![whole.clone().cut(100_000)];
    let fewer = vec![whole.clone().cut(10), whole.clone().cut(5), whole];
    for replies in [ranged, unranged, fewer] {
        let server = stumbling(&held, replies);
        let (_, store) = pull(&server.reference("a")).await.unwrap();
        assert!(store.tar(&held.diff_id) == held.layer);
    }
}

#[tokio::test]
async fn a_download_that_never_ends_well_is_given_up() {
    let held = Served::new(300_000);
    let cut = Reply::new(200).body(held.layer.clone()).cut(100_000);
    let server = stumbling(&held, vec![cut; 100]);
    let error = pull(&server.reference("a")).await.map(drop).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Registry(RegistryError::Unreachable {
                reason: Unreachable::Broken,
                ..
            })
        ),
        "{error:?}"
    );
    // One that is shorter and says so.
    let short = Reply::new(200).body(&held.layer[..100_000]);
    let server = stumbling(&held, vec![short; 100]);
    let error = pull(&server.reference("a")).await.map(drop).unwrap_err();
    assert!(
        matches!(
            error,
            Error::WrongSize {
                actual: 100_000,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_part_that_was_not_asked_for_is_refused() {
    let held = Served::new(300_000);
    let part = Reply::new(206)
        .with("content-range", "bytes 7-299999/300000")
        .body(&held.layer[7..]);
    let cut = Reply::new(200).body(held.layer.clone()).cut(100_000);
    let server = stumbling(&held, vec![cut, part]);
    let error = pull(&server.reference("a")).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("another part"), "{error}");
}

#[tokio::test]
async fn content_that_is_not_what_its_name_says_is_refused() {
    let held = Served::new(100_000);
    // The layer.
    let mut damaged = held.clone();
    damaged.layer[50_000] ^= 1;
    let error = failure(move |request| damaged.answer(request)).await;
    assert!(matches!(error, Error::WrongDigest { expected, .. } if expected == held.layer_digest));
    // A longer one.
    let mut longer = held.clone();
    longer.layer.extend([0; 512]);
    let error = failure(move |request| longer.answer(request)).await;
    assert!(matches!(error, Error::WrongSize { .. }), "{error:?}");
    // One of which the manifest says that it has no end.
    let mut endless = held.clone();
    let (size, most) = (
        format!("\"size\": {}", held.layer.len()),
        format!("\"size\": {}", u64::MAX),
    );
    let text = String::from_utf8(held.manifest.clone()).unwrap();
    assert!(text.contains(&size));
    endless.manifest = text.replace(&size, &most).into_bytes();
    let error = failure(move |request| endless.answer(request)).await;
    assert!(matches!(error, Error::WrongSize { .. }), "{error:?}");
    // The config.
    let config = Digest::of(&held.config).to_string();
    let (honest, other) = (held.clone(), held.config.to_ascii_uppercase());
    let error = failure(move |request| {
        if request.target.ends_with(&config) {
            Reply::new(200).body(other.clone())
        } else {
            honest.answer(request)
        }
    })
    .await;
    assert!(matches!(error, Error::WrongDigest { .. }), "{error:?}");
    // The manifest, by the digest in the header and by that in the name.
    let wrong = |request: &Request, held: &Served| {
        let mut reply = held.answer(request);
        reply.body.push(b' ');
        reply
    };
    let honest = held.clone();
    let server = Server::start(move |request| wrong(request, &honest));
    let by_tag = server.reference("a");
    let by_digest = by_tag.with_digest(Digest::of(&held.manifest));
    for reference in [by_tag, by_digest] {
        let error = pull(&reference).await.map(drop).unwrap_err();
        assert!(matches!(error, Error::WrongDigest { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_layer_that_is_not_the_one_of_the_config_is_refused() {
    let layer = tar_of("a", b"a");
    let other = DiffId::new(Digest::of(b"other"));
    let held = Served::of(image_of(vec![other]).config, layer, other);
    let server = Server::start(move |request| held.answer(request));
    let error = pull(&server.reference("a")).await.map(drop).unwrap_err();
    assert!(
        matches!(error, Error::WrongDiffId { expected, .. } if expected == other),
        "{error:?}"
    );
}

#[tokio::test]
async fn damaged_layers_are_refused() {
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
    gzip.extend([0xff; 100]);
    let cases = [
        gzip,
        vec![0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3],
        b"no tar".repeat(200),
    ];
    for layer in cases {
        let diff_id = DiffId::new(Digest::of(&layer));
        let held = Served::of(image_of(vec![diff_id]).config, layer, diff_id);
        let server = Server::start(move |request| held.answer(request));
        let error = pull(&server.reference("a")).await.map(drop).unwrap_err();
        assert!(
            matches!(error, Error::Layer { .. } | Error::Decompress { .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn documents_that_are_not_images_are_refused() {
    let honest = Served::new(10);
    let manifest = |manifest: &str| {
        let mut held = honest.clone();
        held.manifest = manifest.as_bytes().to_vec();
        held.media_type = "application/json".into();
        held
    };
    let layerless = {
        let mut held = honest.clone();
        let diff_id = DiffId::new(Digest::of(b"x"));
        held.config = image_of(vec![diff_id, diff_id]).config;
        Served::of(held.config, held.layer, diff_id)
    };
    let large = format!("{{\"schemaVersion\":2,\"x\":\"{}\"}}", "x".repeat(9 << 20));
    let cases = [
        (manifest("<html>"), "it is not what its type says"),
        (manifest(r#"{"schemaVersion":1,"fsLayers":[]}"#), "schema 1"),
        (manifest(&large), "the limit is"),
        (layerless, "it has 1 layers, and its config names 2"),
    ];
    for (held, expected) in cases {
        let error = failure(move |request| held.answer(request)).await;
        assert!(
            chain(&error).contains(expected),
            "{expected}: {}",
            chain(&error)
        );
    }
}

#[tokio::test]
async fn an_index_leads_to_the_platform() {
    let held = Served::new(10);
    let manifest = Descriptor::of(&held.media_type, &held.manifest);
    let entry = |digest, platform: &str| {
        let mut entry = Descriptor {
            digest,
            ..manifest.clone()
        };
        entry.platform = Some(platform.parse().unwrap());
        entry
    };
    let index = Index::new(vec![
        entry(Digest::of(b"arm"), "linux/arm64"),
        entry(manifest.digest, "linux/amd64"),
        entry(Digest::of(b"attestation"), "unknown/unknown"),
    ]);
    let bytes = index.encode();
    let nested = Index::new(vec![Descriptor {
        platform: Some("linux/amd64".parse().unwrap()),
        ..Descriptor::of(&index.media_type, &bytes)
    }]);
    let outer = nested.encode();
    let target = Digest::of(&outer);
    let (by_digest, bytes_digest) = (manifest.digest.to_string(), Digest::of(&bytes).to_string());
    let server = Server::start(move |request| {
        let index = |bytes: &[u8]| {
            Reply::new(200)
                .with("content-type", "application/vnd.oci.image.index.v1+json")
                .body(bytes)
        };
        if request.target.contains("/blobs/") || request.target.ends_with(&by_digest) {
            held.answer(request)
        } else if request.target.ends_with(&bytes_digest) {
            index(&bytes)
        } else {
            index(&outer)
        }
    });
    let name = server.reference("a");
    let (image, _) = pull(&name).await.unwrap();
    assert_eq!(image.manifest.digest, manifest.digest);
    assert_eq!(image.target.digest, target);
    assert_eq!(image.reference.digest(), Some(&manifest.digest));
    let wanted = Platform::new("linux", "s390x", "");
    let error = rbuild_image::pull::fetch_image(&client(), &name, &wanted).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.ends_with("has no image for linux/s390x; it has linux/amd64"),
        "{error}"
    );
}

#[tokio::test]
async fn indexes_without_end_are_refused() {
    let server = Server::start(|_| {
        let entry = Descriptor::of("application/vnd.oci.image.index.v1+json", b"x");
        Reply::new(200).body(Index::new(vec![entry]).encode())
    });
    let error = pull(&server.reference("a")).await.map(drop).unwrap_err();
    // Each is another one than its digest says: no chain of them can be endless.
    assert!(matches!(error, Error::WrongDigest { .. }), "{error:?}");
}

#[tokio::test]
async fn a_redirected_blob_is_fetched_without_our_token() {
    let held = Served::new(1000);
    let elsewhere = {
        let held = held.clone();
        Arc::new(Server::start(move |request| held.answer(request)))
    };
    let (port, digest) = (elsewhere.port, held.layer_digest.to_string());
    let honest = held.clone();
    let server = Server::start(move |request| {
        if request.header("authorization").is_none() {
            return Reply::new(401).with("www-authenticate", "Basic realm=\"x\"");
        }
        if request.target.ends_with(&digest) {
            // Another port is another server.
            let location = format!("http://127.0.0.1:{port}/{digest}");
            return Reply::new(307).with("location", location);
        }
        honest.answer(request)
    });
    let client = super::login::client_as("user", "secret");
    let (_, store) = pull_with(&client, &server.reference("a")).await.unwrap();
    assert!(store.tar(&held.diff_id) == held.layer);
    let requests = elsewhere.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("authorization"), None);
}

#[tokio::test]
async fn redirections_without_end_are_refused() {
    let server = Server::start(|request| Reply::new(307).with("location", &request.target));
    let error = pull(&server.reference("a")).await.map(drop).unwrap_err();
    assert!(
        error.to_string().contains("redirects without end"),
        "{error}"
    );
}

#[tokio::test]
async fn a_head_that_lies_is_not_believed() {
    let held = Served::new(10);
    let digest = Digest::of(&held.manifest);
    let server = Server::start(move |request| {
        if request.method == "HEAD" {
            return Reply::new(405);
        }
        held.answer(request)
    });
    let resolved = client().resolve(&server.reference("a")).await.unwrap();
    assert_eq!(resolved.digest, digest);
}
