//! HTTPS, with certificates that are trusted and that are not.
//!
//! A registry on loopback is spoken to in plain HTTP; `0.0.0.0` leads to the same place and is not loopback.

use std::fs::File;
use std::process::Command;
use std::sync::Arc;

use rbuild_image::registry::Unreachable;
use rbuild_image::transfer::{Observer, Unobserved};
use rbuild_image::{Client, Compression, Error, Reference, RegistryError};

use super::fake::{Reply, Server, pull, settings};
use super::real_registry::options;
use super::store::{Store, sample};

/// How the child finds the registry.
const NAME: &str = "RBUILD_TEST_REGISTRY";

fn reason(error: &Error) -> Unreachable {
    match error {
        Error::Registry(RegistryError::Unreachable { reason, .. }) => *reason,
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_server_without_https_is_recognised() {
    let server = Server::start(|_| Reply::new(200));
    let reference: Reference = format!("0.0.0.0:{}/a", server.port).parse().unwrap();
    let error = pull(&reference).await.map(drop).unwrap_err();
    assert_eq!(reason(&error), Unreachable::Tls, "{error:?}");
}

#[tokio::test]
async fn certificates_are_checked() {
    let directory = testkit::scratch();
    let make = "echo 'subjectAltName=IP:0.0.0.0' > names
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
        openssl req -newkey rsa:2048 -nodes -subj /CN=registry -keyout key.pem -out request.pem
        openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -days 2 -extfile names -out cert.pem";
    testkit::command::shell(directory.path(), make);
    let port = testkit::supervise::free_port();
    let path = directory.path().display();
    let config = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {path}/data}}}}\n\
         http: {{addr: '0.0.0.0:{port}', tls: {{certificate: {path}/cert.pem, key: {path}/key.pem}}}}\n"
    );
    let file = directory.path().join("config.yml");
    std::fs::write(&file, config).unwrap();
    let log = File::create(directory.path().join("log")).unwrap();
    testkit::supervise::server(
        "docker-registry",
        &["serve", file.to_str().unwrap()],
        &[],
        log,
    );
    testkit::supervise::wait_for_port(port);

    let name = format!("0.0.0.0:{port}/a");
    let error = pull(&name.parse().unwrap()).await.map(drop).unwrap_err();
    assert_eq!(reason(&error), Unreachable::Certificate, "{error:?}");

    // What is trusted is read from the environment, which belongs to the whole process: so in another one.
    let outcome = testkit::command::run(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "https::with_a_trusted_certificate", "--ignored"])
            .env("SSL_CERT_FILE", directory.path().join("ca.pem"))
            .env(NAME, name),
    );
    assert!(outcome.succeeded().contains("1 passed"), "{outcome:?}");
}

#[tokio::test]
#[ignore = "run by `certificates_are_checked` with its environment"]
async fn with_a_trusted_certificate() {
    let name: Reference = std::env::var(NAME).unwrap().parse().unwrap();
    let store = Store::new();
    let image = sample(&store);
    let observer: Arc<dyn Observer> = Arc::new(Unobserved);
    let targets = std::slice::from_ref(&name);
    let client = Client::new(settings());
    let options = options(&store, Compression::Gzip);
    rbuild_image::push::push(
        &client,
        &image.clone().into(),
        targets,
        &options,
        &store.source(),
        &observer,
    )
    .await
    .unwrap();
    let (pulled, _) = pull(&name).await.unwrap();
    assert_eq!(pulled.config_bytes, image.config);
}
