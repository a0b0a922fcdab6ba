#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

type Expected = fn(&ReferenceProblem) -> bool;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn names_are_normalised_as_docker_does() {
    let cases = [
        (
            "busybox",
            "docker.io/library/busybox:latest",
            "busybox:latest",
        ),
        (
            "busybox:1.36",
            "docker.io/library/busybox:1.36",
            "busybox:1.36",
        ),
        ("user/app", "docker.io/user/app:latest", "user/app:latest"),
        (
            "docker.io/app",
            "docker.io/library/app:latest",
            "app:latest",
        ),
        ("index.docker.io/app:x", "docker.io/library/app:x", "app:x"),
        (
            "index.docker.io/u/app",
            "docker.io/u/app:latest",
            "u/app:latest",
        ),
        (
            "docker.io/library/a/b",
            "docker.io/library/a/b:latest",
            "library/a/b:latest",
        ),
        (
            "localhost/app",
            "localhost/app:latest",
            "localhost/app:latest",
        ),
        (
            "localhost:5000/app:v1",
            "localhost:5000/app:v1",
            "localhost:5000/app:v1",
        ),
        (
            "127.0.0.1:5000/a/b",
            "127.0.0.1:5000/a/b:latest",
            "127.0.0.1:5000/a/b:latest",
        ),
        (
            "[::1]:5000/app",
            "[::1]:5000/app:latest",
            "[::1]:5000/app:latest",
        ),
        (
            "[2001:db8::1]/app",
            "[2001:db8::1]/app:latest",
            "[2001:db8::1]/app:latest",
        ),
        ("Registry/app", "Registry/app:latest", "Registry/app:latest"),
        (
            "ghcr.io/a/b/c/d:T-1_x.y",
            "ghcr.io/a/b/c/d:T-1_x.y",
            "ghcr.io/a/b/c/d:T-1_x.y",
        ),
        (
            "a--b/c__d/e.f_g",
            "docker.io/a--b/c__d/e.f_g:latest",
            "a--b/c__d/e.f_g:latest",
        ),
        ("test:5000", "docker.io/library/test:5000", "test:5000"),
        (
            "localhost",
            "docker.io/library/localhost:latest",
            "localhost:latest",
        ),
    ];
    for (text, full, familiar) in cases {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.to_string(), full, "{text}");
        assert_eq!(reference.familiar(), familiar, "{text}");
        assert_eq!(full.parse::<Reference>().unwrap(), reference, "{text}");
        assert_eq!(familiar.parse::<Reference>().unwrap(), reference, "{text}");
    }
}

#[test]
fn a_digest_takes_the_place_of_the_default_tag() {
    let plain: Reference = format!("busybox@{DIGEST}").parse().unwrap();
    assert_eq!(plain.tag(), None);
    assert_eq!(plain.target(), DIGEST);
    assert_eq!(
        plain.to_string(),
        format!("docker.io/library/busybox@{DIGEST}")
    );
    let both: Reference = format!("localhost:5000/a:v1@{DIGEST}").parse().unwrap();
    assert_eq!(both.tag(), Some("v1"));
    assert_eq!(both.target(), DIGEST);
    assert_eq!(both.to_string(), format!("localhost:5000/a:v1@{DIGEST}"));
    let fixed = "busybox"
        .parse::<Reference>()
        .unwrap()
        .with_digest(Digest::of(b""));
    assert_eq!(
        fixed.to_string(),
        format!("docker.io/library/busybox:latest@{DIGEST}")
    );
}

#[test]
fn what_is_not_a_name_is_refused_with_its_reason() {
    let long = format!("a/{}", "b".repeat(255));
    let long_tag = format!("a:{}", "t".repeat(129));
    let cases: Vec<(String, Expected)> = vec![
        (String::new(), |p| matches!(p, ReferenceProblem::Empty)),
        (":tag".into(), |p| matches!(p, ReferenceProblem::Empty)),
        ("@".into(), |p| matches!(p, ReferenceProblem::Digest(_))),
        ("Busybox".into(), |p| {
            matches!(p, ReferenceProblem::Uppercase(_))
        }),
        ("a/B".into(), |p| {
            matches!(p, ReferenceProblem::Uppercase(_))
        }),
        ("a".repeat(64), |p| {
            matches!(p, ReferenceProblem::LooksLikeId)
        }),
        ("-a".into(), |p| matches!(p, ReferenceProblem::Path(_))),
        ("a_".into(), |p| matches!(p, ReferenceProblem::Path(_))),
        ("a..b".into(), |p| matches!(p, ReferenceProblem::Path(_))),
        ("a___b".into(), |p| matches!(p, ReferenceProblem::Path(_))),
        ("a//b".into(), |p| matches!(p, ReferenceProblem::Path(_))),
        ("/a".into(), |p| matches!(p, ReferenceProblem::Path(_))),
        ("a/".into(), |p| matches!(p, ReferenceProblem::Path(_))),
        ("../a".into(), |p| {
            matches!(p, ReferenceProblem::Registry(_))
        }),
        ("a b".into(), |p| matches!(p, ReferenceProblem::Path(_))),
        ("é".into(), |p| matches!(p, ReferenceProblem::Path(_))),
        ("host:port/a".into(), |p| {
            matches!(p, ReferenceProblem::Registry(_))
        }),
        ("host:99999/a".into(), |p| {
            matches!(p, ReferenceProblem::Registry(_))
        }),
        ("-h.io/a".into(), |p| {
            matches!(p, ReferenceProblem::Registry(_))
        }),
        ("[::1/a".into(), |p| {
            matches!(p, ReferenceProblem::Registry(_))
        }),
        ("[::g]/a".into(), |p| {
            matches!(p, ReferenceProblem::Registry(_))
        }),
        ("a:".into(), |p| matches!(p, ReferenceProblem::Tag(_))),
        ("a:.x".into(), |p| matches!(p, ReferenceProblem::Tag(_))),
        ("a:x:y".into(), |p| matches!(p, ReferenceProblem::Tag(_))),
        ("a@sha256:1234".into(), |p| {
            matches!(p, ReferenceProblem::Digest(_))
        }),
        ("a@sha512:1234".into(), |p| {
            matches!(p, ReferenceProblem::Digest(_))
        }),
        (long, |p| matches!(p, ReferenceProblem::TooLong)),
        (long_tag, |p| matches!(p, ReferenceProblem::Tag(_))),
    ];
    for (text, expected) in cases {
        let problem = text.parse::<Reference>().unwrap_err().problem;
        assert!(expected(&problem), "{text}: {problem:?}");
    }
}

#[test]
fn an_error_names_the_text() {
    let error = "a:x y".parse::<Reference>().unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`a:x y` is not the name of an image: `x y` is not a tag")
    );
}
