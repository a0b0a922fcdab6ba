//! Registries that take uploads in their own way.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use layer::Digest;
use rbuild_image::push::push;
use rbuild_image::registry::Settings;
use rbuild_image::transfer::{Observer, Unobserved};
use rbuild_image::{Client, Compression, Error, RegistryError};

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
    let store = Store::new();
    let image = image_of(vec![store.add(tar)]);
    let observer: Arc<dyn Observer> = Arc::new(Unobserved);
    let targets = [server.reference("a:1")];
    let options = options(&store, Compression::None);
    push(
        client,
        &image,
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
