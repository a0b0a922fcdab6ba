#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn password(user: &str, password: &str) -> Credential {
    Credential::Password {
        user: user.into(),
        password: password.into(),
    }
}

/// A file with this text.
fn files(text: &str) -> (tempfile::TempDir, AuthFiles, PathBuf) {
    let directory = testkit::scratch();
    let path = directory.path().join("config.json");
    std::fs::write(&path, text).unwrap();
    (directory, AuthFiles::new(vec![path.clone()]), path)
}

#[test]
fn the_file_of_docker_is_read() {
    let (_directory, files, _) = files(
        r#"{"auths":{
            "https://index.docker.io/v1/access-token":{"auth":"YTpi"},
            "https://index.docker.io/v1/":{"auth":"dXNlcjpwYTpzcw=="},
            "localhost:5000":{"username":"u","password":"p"},
            "http://localhost:5000/v2/":{"username":"other","password":"p"},
            "ghcr.io":{"auth":"dXNlcjo=","identitytoken":"t"},
            "empty.io":{}},
            "HttpHeaders":{}}"#,
    );
    let look_up = |registry| files.look_up(registry, "a/b").unwrap();
    assert_eq!(look_up("docker.io"), Some(password("user", "pa:ss")));
    assert_eq!(look_up("localhost:5000"), Some(password("u", "p")));
    assert_eq!(
        look_up("ghcr.io"),
        Some(Credential::IdentityToken("t".into()))
    );
    assert_eq!(look_up("empty.io"), None);
    assert_eq!(look_up("quay.io"), None);
    assert!(!format!("{:?}", look_up("docker.io")).contains("pa:ss"));
}

#[test]
fn the_longest_name_counts() {
    let entry = |user: &str| format!(r#"{{"username":"{user}","password":"p"}}"#);
    let text = format!(
        r#"{{"auths":{{"quay.io":{},"quay.io/team":{},"quay.io/team/app":{},"docker.io/me":{}}}}}"#,
        entry("registry"),
        entry("team"),
        entry("app"),
        entry("me")
    );
    let (_directory, files, _) = files(&text);
    let cases = [
        ("quay.io", "", Some("registry")),
        ("quay.io", "teams/app", Some("registry")),
        ("quay.io", "team/other", Some("team")),
        ("quay.io", "team/app", Some("app")),
        ("quay.io", "team/app/sub", Some("app")),
        ("docker.io", "me/x", Some("me")),
        ("docker.io", "library/x", None),
    ];
    for (registry, path, expected) in cases {
        let found = files.look_up(registry, path).unwrap();
        let user = found.as_ref().and_then(Credential::user);
        assert_eq!(user, expected, "{registry}/{path}");
    }
}

#[test]
fn the_first_file_with_an_entry_counts() {
    let (directory, _, first) = files(r#"{"auths":{"a.io":{"username":"one","password":"p"}}}"#);
    let second = directory.path().join("auth.json");
    let text = r#"{"auths":{"a.io":{"username":"two","password":"p"},"b.io":{"username":"two","password":"p"}}}"#;
    std::fs::write(&second, text).unwrap();
    let absent = directory.path().join("absent.json");
    let files = AuthFiles::new(vec![absent, first, second]);
    assert_eq!(
        files.look_up("a.io", "").unwrap(),
        Some(password("one", "p"))
    );
    assert_eq!(
        files.look_up("b.io", "").unwrap(),
        Some(password("two", "p"))
    );
}

#[test]
fn a_damaged_file_is_refused_without_showing_secrets() {
    for (text, place) in [("", "1:0"), ("[]", "0:0"), ("{\"auths\":\n1}", "2:1")] {
        let (_directory, files, path) = files(text);
        let error = files.look_up("a.io", "").unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{}:{place}: ", path.display())),
            "{error}"
        );
    }
    for auth in ["!", "dXNlcg==", "/w=="] {
        let (_directory, files, _) =
            files(&format!(r#"{{"auths":{{"a.io":{{"auth":"{auth}"}}}}}}"#));
        let error = files.look_up("a.io", "").unwrap_err().to_string();
        assert!(
            error.ends_with("the `auth` of `a.io` is not base64 of `user:password`"),
            "{error}"
        );
    }
}

#[test]
fn a_login_is_kept_beside_all_else() {
    let text = r#"{"auths":{"https://a.io/v2/":{"auth":"x"},"b.io":{"auth":"y","email":"e"}},"x":{"y":[1]}}"#;
    let (_directory, files, path) = files(text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let kept = files.keep("a.io", &password("user", "pa:ss")).unwrap();
    assert_eq!(kept, Kept::File(path.clone()));
    files.keep("docker.io", &password("hub", "p")).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let found: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let expected = serde_json::json!({
        "auths": {
            "a.io": {"auth": "dXNlcjpwYTpzcw=="},
            "b.io": {"auth": "y", "email": "e"},
            "https://index.docker.io/v1/": {"auth": "aHViOnA="},
        },
        "x": {"y": [1]},
    });
    assert_eq!(found, expected);
    assert_eq!(
        files.look_up("a.io", "x").unwrap(),
        Some(password("user", "pa:ss"))
    );
    files.forget("a.io").unwrap();
    assert_eq!(files.look_up("a.io", "x").unwrap(), None);
    let found: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(found["auths"]["b.io"], expected["auths"]["b.io"]);
}

#[test]
fn a_file_and_its_directory_are_made_and_links_stay() {
    let directory = testkit::scratch();
    let path = directory.path().join("home/.docker/config.json");
    let files = AuthFiles::new(vec![path.clone()]);
    files.forget("a.io").unwrap();
    assert!(!path.exists());
    files.keep("a.io", &password("u", "p")).unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&path) & 0o777, 0o600);
    assert_eq!(mode(path.parent().unwrap()) & 0o777, 0o700);
    let link = directory.path().join("link.json");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    AuthFiles::new(vec![link.clone()])
        .keep("b.io", &password("u", "p"))
        .unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(files.look_up("b.io", "").unwrap().is_some());
    assert!(matches!(
        AuthFiles::default().keep("a.io", &password("u", "p")),
        Err(CredentialError::NoPlace)
    ));
}
