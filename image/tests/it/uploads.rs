//! Registries that take uploads in their own way.

use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use layer::Digest;
use rbuild_image::push::push;
use rbuild_image::registry::Settings;
use rbuild_image::transfer::{Observer, Unobserved};
use rbuild_image::{Client, Compression, Error, RegistryError, compression};

use super::fake::{Reply, Request, Server, client, settings};
use super::real_registry::options;
use super::store::{Store, image_of, noise, tar_of};

/// What a registry was sent.
#[derive(Default)]
struct Received {
    pieces: Vec<u8>,
    sizes: Vec<usize>,
    blobs: Vec<Vec<u8>>,
    manifests: Vec<Vec<u8>>,
}

/// A registry without anything, with its own answer to a `PUT` or `PATCH` that has a body.
fn registry(
    answer: impl Fn(&Request, &mut Received) -> Reply + Send + Sync + 'static,
) -> (Server, Arc<Mutex<Received>>) {
    let received = Arc::new(Mutex::new(Received::default()));
    let state = Arc::clone(&received);
    let server = Server::start(move |request| {
        let mut state = state.lock().unwrap();
        let upload = request.target.contains("/blobs/uploads/");
        match request.method.as_str() {
            "POST" if upload => {
                state.pieces.clear();
                // A relative one, with a query of its own.
                Reply::new(202).with("location", "/v2/a/blobs/uploads/1?state=x%2F")
            }
            "PUT" | "PATCH" if upload => {
                assert!(request.target.contains("state=x%2F"), "{}", request.target);
                answer(request, &mut state)
            }
            "PUT" => {
                state.manifests.push(request.body.clone());
                Reply::new(201)
            }
            _ => Reply::new(404),
        }
    });
    (server, received)
}

async fn push_to(server: &Server, tar: &[u8]) -> Result<(), Error> {
    push_with(&client(), server, tar).await
}

async fn push_with(client: &Client, server: &Server, tar: &[u8]) -> Result<(), Error> {
    push_from(&Store::new(), client, server, tar, Compression::None).await
}

async fn push_from(
    store: &Store,
    client: &Client,
    server: &Server,
    tar: &[u8],
    compression: Compression,
) -> Result<(), Error> {
    let image = image_of(vec![store.add(tar)]);
    let observer: Arc<dyn Observer> = Arc::new(Unobserved);
    let targets = [server.reference("a:1")];
    let options = options(store, compression);
    push(
        client,
        &image.clone().into(),
        &targets,
        &options,
        &store.source(),
        &observer,
    )
    .await
    .map(drop)
}

/// Takes a blob in one request, if its digest is right.
fn take(request: &Request, state: &mut Received) -> Reply {
    let digest = Digest::of(&request.body).to_string().replace(':', "%3A");
    assert!(request.target.ends_with(&digest), "{}", request.target);
    state.blobs.push(request.body.clone());
    Reply::new(201)
}

#[tokio::test]
async fn a_blob_goes_in_one_request() {
    let (server, received) = registry(take);
    let tar = tar_of("a", &noise(2_000_000, 3));
    push_to(&server, &tar).await.unwrap();
    let received = received.lock().unwrap();
    assert!(received.blobs.contains(&tar));
    assert_eq!((received.blobs.len(), received.manifests.len()), (2, 1));
}

#[tokio::test]
async fn a_registry_that_wants_pieces_gets_pieces() {
    let (server, received) = registry(|request, state| match request.method.as_str() {
        "PATCH" => {
            let start = state.pieces.len();
            let end = start + request.body.len() - 1;
            assert_eq!(
                request.header("content-range"),
                Some(&*format!("{start}-{end}"))
            );
            state.pieces.extend(&request.body);
            state.sizes.push(request.body.len());
            Reply::new(202).with("location", "/v2/a/blobs/uploads/2?state=x%2F")
        }
        _ if request.body.is_empty() => {
            let blob = std::mem::take(&mut state.pieces);
            state.blobs.push(blob);
            Reply::new(201)
        }
        _ => Reply::new(413),
    });
    let tar = tar_of("a", &noise(20_000_000, 3));
    push_to(&server, &tar).await.unwrap();
    let received = received.lock().unwrap();
    assert!(received.blobs.contains(&tar));
    assert!(received.sizes.contains(&(16 << 20)));
}

#[tokio::test]
async fn an_upload_that_fails_begins_again() {
    let failures = Mutex::new(2);
    let (server, received) = registry(move |request, state| {
        let mut failures = failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Reply::new(500);
        }
        take(request, state)
    });
    let tar = tar_of("a", b"a");
    push_to(&server, &tar).await.unwrap();
    assert!(received.lock().unwrap().blobs.contains(&tar));
    assert_eq!(server.count("POST", "/v2/a/blobs/uploads/"), 4);
}

#[tokio::test]
async fn an_upload_that_is_refused_is_reported() {
    let body = r#"{"errors":[{"code":"DENIED","message":"quota exceeded"}]}"#;
    let (server, received) = registry(move |_, _| Reply::new(403).body(body));
    let error = push_to(&server, &tar_of("a", b"a")).await.unwrap_err();
    let Error::Registry(RegistryError::Denied { reason, .. }) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(reason, "quota exceeded");
    assert!(received.lock().unwrap().manifests.is_empty());
}

#[tokio::test]
async fn a_registry_that_says_no_place_is_refused() {
    let server = Server::start(|request| match request.method.as_str() {
        "POST" => Reply::new(202),
        _ => Reply::new(404),
    });
    let error = push_to(&server, &tar_of("a", b"a")).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("it does not say where to send the blob"),
        "{error}"
    );
}

#[tokio::test]
async fn a_place_that_all_can_listen_to_is_refused() {
    let server = Server::start(|request| match request.method.as_str() {
        "POST" => Reply::new(202).with("location", "http://example.com/upload"),
        _ => Reply::new(404),
    });
    let error = push_to(&server, &tar_of("a", b"a")).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("it wants the blob to be sent without HTTPS"),
        "{error}"
    );
}

#[tokio::test]
async fn a_slow_answer_to_an_upload_is_waited_for() {
    let (server, _) = registry(|request, state| {
        // Longer than the client waits for an answer to a question.
        take(request, state).after(Duration::from_millis(2500))
    });
    let client = Client::new(Settings {
        stall_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        ..settings()
    });
    push_with(&client, &server, &tar_of("a", b"a"))
        .await
        .unwrap();
}

/// A layer of several parts, which are sent one after the other as they are compressed.
fn long() -> Vec<u8> {
    tar_of("long", &noise(6_000_000, 3))
}

/// Whether the layer of `long` is among the blobs that a registry was sent.
fn has_long(received: &Received) -> bool {
    received.blobs.iter().any(|blob| {
        let mut tar = Vec::new();
        let read = compression::decoder(blob.as_slice())
            .and_then(|(_, mut decoder)| decoder.read_to_end(&mut tar));
        read.is_ok() && tar == long()
    })
}

/// Takes a blob that was sent before its digest was known.
fn close(request: &Request, state: &mut Received) -> Reply {
    let blob = std::mem::take(&mut state.pieces);
    let digest = Digest::of(&blob).to_string().replace(':', "%3A");
    assert!(request.target.ends_with(&digest), "{}", request.target);
    state.blobs.push(blob);
    Reply::new(201)
}

#[tokio::test]
async fn a_long_layer_is_sent_while_it_is_compressed() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let (server, received) = registry(|request, state| match request.method.as_str() {
            "PATCH" => {
                assert_eq!(request.header("content-length"), None);
                state.pieces.extend(&request.body);
                Reply::new(202).with("location", "/v2/a/blobs/uploads/2?state=x%2F")
            }
            _ if request.body.is_empty() => close(request, state),
            _ => take(request, state),
        });
        push_from(&Store::new(), &client(), &server, &long(), compression)
            .await
            .unwrap();
        assert!(has_long(&received.lock().unwrap()));
        assert_eq!(
            server
                .requests()
                .iter()
                .filter(|it| it.method == "PATCH")
                .count(),
            1
        );
    }
}

#[tokio::test]
async fn a_registry_that_takes_no_stream_gets_the_blob_whole() {
    let (server, received) = registry(|request, state| match request.method.as_str() {
        "PATCH" => Reply::new(411),
        _ => take(request, state),
    });
    push_from(
        &Store::new(),
        &client(),
        &server,
        &long(),
        Compression::Gzip,
    )
    .await
    .unwrap();
    assert!(has_long(&received.lock().unwrap()));
}

#[tokio::test]
async fn a_stream_that_breaks_is_gone_on_with_in_pieces() {
    const TAKEN: usize = 1_000_000;
    let received = Arc::new(Mutex::new(Received::default()));
    let state = Arc::clone(&received);
    let server = Server::start(move |request| {
        let mut state = state.lock().unwrap();
        let place = "/v2/a/blobs/uploads/1?state=x%2F";
        match request.method.as_str() {
            "POST" => Reply::new(202).with("location", place),
            "PATCH" if state.pieces.is_empty() => {
                state.pieces.extend(&request.body[..TAKEN]);
                Reply::new(500)
            }
            "GET" => Reply::new(204)
                .with("location", place)
                .with("range", format!("0-{}", state.pieces.len() - 1)),
            "PATCH" => {
                let range = request.header("content-range").unwrap();
                assert!(range.starts_with(&format!("{TAKEN}-")), "{range}");
                state.pieces.extend(&request.body);
                Reply::new(202).with("location", place)
            }
            "PUT" if request.target.contains("/manifests/") => Reply::new(201),
            "PUT" if request.body.is_empty() => close(request, &mut state),
            "PUT" => take(request, &mut state),
            _ => Reply::new(404),
        }
    });
    push_from(
        &Store::new(),
        &client(),
        &server,
        &long(),
        Compression::Gzip,
    )
    .await
    .unwrap();
    assert!(has_long(&received.lock().unwrap()));
}

#[tokio::test]
async fn a_blob_that_the_registry_turns_out_to_have_is_not_put_there() {
    let server = Server::start(|request| match request.method.as_str() {
        "POST" => Reply::new(202).with("location", "/v2/a/blobs/uploads/1?state=x%2F"),
        "HEAD" if request.target.contains("/blobs/") => Reply::new(200),
        // The answer to the stream comes when there is no more need for it.
        "PATCH" => Reply::new(202)
            .with("location", "/v2/a/blobs/uploads/1?state=x%2F")
            .after(Duration::from_secs(20)),
        "PUT" if request.target.contains("/manifests/") => Reply::new(201),
        _ => Reply::new(404),
    });
    push_from(
        &Store::new(),
        &client(),
        &server,
        &long(),
        Compression::Gzip,
    )
    .await
    .unwrap();
    let puts = server.requests();
    let puts: Vec<_> = puts.iter().filter(|it| it.method == "PUT").collect();
    assert_eq!(puts.len(), 1, "{puts:?}");
}

#[tokio::test]
async fn an_unchanged_image_costs_one_question() {
    let manifest = Arc::new(Mutex::new(None::<Digest>));
    let put = Arc::clone(&manifest);
    let server = Server::start(move |request| {
        let mut manifest = put.lock().unwrap();
        let is_manifest = request.target.contains("/manifests/");
        match (request.method.as_str(), *manifest) {
            ("POST", _) => Reply::new(202).with("location", "/v2/a/blobs/uploads/1?state=x%2F"),
            ("PUT", _) if is_manifest => {
                *manifest = Some(Digest::of(&request.body));
                Reply::new(201)
            }
            ("PUT", _) => Reply::new(201),
            ("HEAD", Some(digest)) if is_manifest => {
                Reply::new(200).with("docker-content-digest", digest.to_string())
            }
            _ => Reply::new(404),
        }
    });
    let (store, tar) = (Store::new(), tar_of("a", b"a"));
    push_from(&store, &client(), &server, &tar, Compression::Gzip)
        .await
        .unwrap();
    let before = server.requests().len();
    push_from(&store, &client(), &server, &tar, Compression::Gzip)
        .await
        .unwrap();
    let again: Vec<_> = server
        .requests()
        .drain(before..)
        .map(|it| it.method)
        .collect();
    assert_eq!(again, ["HEAD"]);
    // Another manifest has the tag now: the image's is put there again, and nothing else is sent.
    *manifest.lock().unwrap() = Some(Digest::of(b"another"));
    push_from(&store, &client(), &server, &tar, Compression::Gzip)
        .await
        .unwrap();
    assert_ne!(*manifest.lock().unwrap(), Some(Digest::of(b"another")));
}
