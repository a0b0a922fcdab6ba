//! Logging in: tokens and passwords.

use std::sync::Arc;

use base64::Engine as _;
use rbuild_image::registry::{AuthFiles, Credential, CredentialError, Credentials, Settings};
use rbuild_image::{Client, Error, RegistryError};

use super::fake::{Reply, Request, Served, Server, client, pull_with, settings};

struct One(Credential);

impl Credentials for One {
    fn look_up(&self, _: &str, _: &str) -> Result<Option<Credential>, CredentialError> {
        Ok(Some(self.0.clone()))
    }
}

/// A client with a user and a password for everyone.
pub(crate) fn client_as(user: &str, password: &str) -> Client {
    client_with(Credential::Password {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

fn client_with(credential: Credential) -> Client {
    Client::new(Settings {
        credentials: Arc::new(One(credential)),
        ..settings()
    })
}

fn basic(user: &str, password: &str) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {text}")
}

/// A registry that takes only `token`, which the token server gives to whom it likes.
fn registry(
    held: &Served,
    give: impl Fn(&Request) -> bool + Send + Sync + 'static,
) -> (Server, Arc<Server>) {
    let tokens = Arc::new(Server::start(move |request| {
        if give(request) {
            Reply::new(200).body(r#"{"access_token":"token","expires_in":300}"#)
        } else {
            Reply::new(401).body(r#"{"errors":[{"message":"who are you"}]}"#)
        }
    }));
    let (held, port) = (held.clone(), tokens.port);
    let registry = Server::start(move |request| {
        if request.header("authorization") == Some("Bearer token") {
            return held.answer(request);
        }
        let challenge =
            format!("Bearer realm=\"http://127.0.0.1:{port}/token?x=y\",service=\"the registry\"");
        Reply::new(401).with("www-authenticate", challenge)
    });
    (registry, tokens)
}

#[tokio::test]
async fn anyone_gets_a_token_for_what_is_public() {
    let held = Served::new(100);
    let (registry, tokens) = registry(&held, |request| request.header("authorization").is_none());
    let (_, store) = pull_with(&client(), &registry.reference("a/b"))
        .await
        .unwrap();
    assert!(store.tar(&held.diff_id) == held.layer);
    let asked = tokens.requests();
    assert_eq!(asked.len(), 1, "the token is kept");
    assert_eq!(
        asked[0].target,
        "/token?x=y&service=the+registry&scope=repository%3Aa%2Fb%3Apull"
    );
}

#[tokio::test]
async fn a_password_goes_to_the_token_server_only() {
    let held = Served::new(100);
    let expected = basic("user", "pass:word");
    let (registry, tokens) = registry(&held, move |request| {
        request.header("authorization") == Some(&expected)
    });
    let reference = registry.reference("a");
    let (image, _) = pull_with(&client_as("user", "pass:word"), &reference)
        .await
        .unwrap();
    assert_eq!(image.layers.len(), 1);
    assert!(tokens.requests()[0].target.contains("account=user"));
    let shown = registry.requests();
    let basic = |request: &Request| {
        request
            .header("authorization")
            .is_some_and(|it| it.starts_with("Basic"))
    };
    assert!(!shown.iter().any(basic));

    let wrong = client_as("user", "wrong");
    let error = pull_with(&wrong, &reference).await.map(drop).unwrap_err();
    let Error::Registry(RegistryError::Denied { reason, .. }) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(reason, "who are you");
    assert!(!format!("{error:?}").contains("wrong"));
}

#[tokio::test]
async fn an_identity_token_is_exchanged() {
    let held = Served::new(100);
    let (registry, tokens) = registry(&held, |request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        request.method == "POST"
            && body.contains("grant_type=refresh_token")
            && body.contains("refresh_token=secret%26")
            && body.contains("scope=repository%3Aa%3Apull")
    });
    let client = client_with(Credential::IdentityToken("secret&".into()));
    pull_with(&client, &registry.reference("a")).await.unwrap();
    assert_eq!(tokens.requests().len(), 1);
    assert!(!tokens.requests()[0].target.contains("secret"));
}

#[tokio::test]
async fn passwords_without_tokens() {
    let held = Served::new(100);
    let expected = basic("user", "secret");
    let registry = Server::start(move |request| {
        if request.header("authorization") == Some(&expected) {
            return held.answer(request);
        }
        Reply::new(401).with("www-authenticate", "Basic realm=\"x\"")
    });
    let reference = registry.reference("a");
    let host = reference.repository().registry();
    let file = format!(r#"{{"auths":{{"{host}":{{"username":"user","password":"secret"}}}}}}"#);
    let directory = testkit::scratch();
    let path = directory.path().join("config.json");
    std::fs::write(&path, file).unwrap();
    let known = Client::new(Settings {
        credentials: Arc::new(AuthFiles::new(vec![path])),
        ..settings()
    });
    pull_with(&known, &reference).await.unwrap();
    let cases = [
        (client(), "it asks for a user and a password; log in first"),
        (client_as("user", "x"), "the login is not accepted"),
    ];
    for (client, expected) in cases {
        let error = pull_with(&client, &reference).await.map(drop).unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_taken_ends_the_attempt() {
    let tokens = Server::start(|_| Reply::new(200).body(r#"{"token":"useless"}"#));
    let challenge = format!("Bearer realm=\"http://127.0.0.1:{}/\"", tokens.port);
    let registry = Server::start(move |_| Reply::new(401).with("www-authenticate", &challenge));
    let error = pull_with(&client(), &registry.reference("a"))
        .await
        .map(drop)
        .unwrap_err();
    assert!(
        matches!(error, Error::Registry(RegistryError::Denied { .. })),
        "{error:?}"
    );
    assert!(registry.requests().len() <= 6, "no endless circle");
}

#[tokio::test]
async fn token_servers_that_are_none_are_refused() {
    let cases = [
        (
            "http://example.com/token",
            "its token server does not use HTTPS",
        ),
        ("token", "its token server has no address"),
    ];
    for (realm, expected) in cases {
        let challenge = format!("Bearer realm=\"{realm}\"");
        let registry = Server::start(move |_| Reply::new(401).with("www-authenticate", &challenge));
        let error = pull_with(&client(), &registry.reference("a"))
            .await
            .map(drop)
            .unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
    }
    for body in ["", "{}", "[]", r#"{"token":"a\nb"}"#] {
        let tokens = Server::start(move |_| Reply::new(200).body(body));
        let challenge = format!("Bearer realm=\"http://127.0.0.1:{}/\"", tokens.port);
        let registry = Server::start(move |_| Reply::new(401).with("www-authenticate", &challenge));
        let error = pull_with(&client(), &registry.reference("a"))
            .await
            .map(drop)
            .unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("its token server gave no token"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_login_is_tried_before_it_is_kept() {
    let held = Served::new(100);
    let expected = basic("user", "secret");
    let (registry, tokens) = registry(&held, move |request| {
        request.header("authorization") == Some(&expected)
    });
    let host = format!("127.0.0.1:{}", registry.port);
    let log_in = async |password: &str| {
        let credential = Credential::Password {
            user: "user".to_owned(),
            password: password.to_owned(),
        };
        client().log_in(&host, credential).await
    };
    // The token is taken; that this registry has nothing at `/v2/` is another matter.
    let error = log_in("secret").await.unwrap_err().to_string();
    assert!(
        error.ends_with("it does not have the API of registries"),
        "{error}"
    );
    let error = log_in("wrong").await.unwrap_err().to_string();
    assert!(
        error.ends_with("does not allow logging in as `user`: who are you"),
        "{error}"
    );
    // No repository is meant.
    let asked = tokens.requests();
    assert_eq!(
        asked[0].target,
        "/token?x=y&account=user&service=the+registry"
    );
}
