//! From flags to requests.

use super::*;
use crate::backend::{BuildContext, Dockerfile};
use crate::cli::{self, Command};
use crate::commands::fake::{Fake, run_command};

fn build_args_of(words: &[&str]) -> BuildArgs {
    let words = std::iter::once("rbuild")
        .chain(words.iter().copied())
        .map(Into::into);
    match cli::parse(words).expect("a command line").command {
        Command::Build(args) => *args,
        other => panic!("not a build: {other:?}"),
    }
}

fn requested(words: &[&str]) -> Result<BuildRequest, Error> {
    let settings = Settings::fixed(&[
        ("FROM_ENV", "value"),
        ("SOURCE_DATE_EPOCH", "17"),
        ("token", "hush"),
    ]);
    request(
        build_args_of(words),
        &settings,
        Typed::Dockerfile(b"FROM scratch\n".to_vec()),
    )
}

#[test]
fn flags_become_a_request() {
    let request = requested(&[
        "-t",
        "a",
        "--tag=b:1",
        "-f",
        "sub/Dockerfile",
        "--build-arg",
        "FROM_ENV",
        "--build-arg",
        "X=1",
        "--build-arg",
        "NONE",
        "--target",
        "test",
        "--no-cache",
        "--no-cache-filter=a,b",
        "--allow",
        "security.insecure",
        "--shm-size=128m",
        "--ulimit",
        "nofile=10",
        "--rm",
        "--force-rm=false",
        "--provenance=false",
        "--sbom=false",
        "--pull",
        "--label",
        "k=v",
        "--network",
        "none",
        "--add-host",
        "db:10.0.0.1",
        "--secret",
        "id=token",
        "--jobs",
        "3",
        ".",
    ])
    .expect("a request");
    assert_eq!(request.context, BuildContext::Directory(".".into()));
    assert_eq!(
        request.dockerfile,
        Dockerfile::File("sub/Dockerfile".into())
    );
    assert_eq!(request.tags, ["a", "b:1"]);
    let pair = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
    assert_eq!(
        request.build_args,
        [
            pair("FROM_ENV", Some("value")),
            pair("X", Some("1")),
            pair("NONE", None),
            pair("SOURCE_DATE_EPOCH", Some("17")),
        ]
    );
    assert_eq!(request.target.as_deref(), Some("test"));
    assert!(request.no_cache && request.pull);
    assert_eq!(request.labels, [("k".to_owned(), "v".to_owned())]);
    assert_eq!(request.network, ContainerNetwork::None);
    assert_eq!(request.hosts.len(), 1);
    assert_eq!(
        request.secrets,
        [("token".to_owned(), Secret::Value(b"hush".to_vec()))]
    );
    assert_eq!(request.no_cache_stages, ["a", "b"]);
    assert_eq!(request.entitlements, [Entitlement::SecurityInsecure]);
    assert_eq!(request.shared_memory, Some(128 << 20));
    assert_eq!(request.limits.len(), 1);
    assert_eq!(request.jobs, Some(3));
    assert_eq!(request.outputs, []);
    assert!(!format!("{request:?}").contains("hush"));
}

#[test]
fn the_dockerfile_may_come_on_standard_input() {
    let request = requested(&["-f", "-", "."]).expect("a request");
    assert_eq!(
        request.dockerfile,
        Dockerfile::Text(b"FROM scratch\n".to_vec())
    );
}

#[test]
fn push_and_load_are_outputs() {
    let kinds = |words: &[&str]| -> Vec<OutputKind> {
        let request = requested(words).expect("a request");
        request.outputs.iter().map(|output| output.kind).collect()
    };
    assert_eq!(
        kinds(&["-t", "a", "--push", "."]),
        [OutputKind::Registry, OutputKind::Image]
    );
    assert_eq!(kinds(&["--load", "."]), [OutputKind::Image]);
    assert_eq!(kinds(&["--load=false", "."]), []);
    assert_eq!(
        kinds(&["-o", "out", "--load", "."]),
        [OutputKind::Local, OutputKind::Image]
    );
}

#[test]
fn platforms_are_asked_for_once_each() {
    let of = |words: &[&str]| {
        let request = requested(words).expect("a request");
        let platforms = request.platforms.iter().map(ToString::to_string);
        (platforms.collect::<Vec<_>>().join(" "), request.index)
    };
    let words = [
        "--platform=arm64,linux/s390x",
        "--platform",
        "linux/arm64",
        ".",
    ];
    assert_eq!(of(&words), ("linux/arm64 linux/s390x".to_owned(), false));
    let settings = Settings::fixed(&[("DOCKER_DEFAULT_PLATFORM", "arm64")]);
    let by_environment = |given| asked_platforms(given, &settings).expect("platforms");
    let host = Platform::host();
    assert_eq!(by_environment(Vec::new())[0].to_string(), "linux/arm64");
    assert_eq!(by_environment(vec![host.clone()]), [host]);
    let words = ["--build-arg=BUILDKIT_MULTI_PLATFORM=1", "."];
    assert_eq!(of(&words), (String::new(), true));
}

#[test]
fn mistakes_are_usage_errors() {
    for (words, message) in [
        (
            &["https://h/r.git#-x"][..],
            "`-x` is not a valid Git reference",
        ),
        (&["--push", "."], "a name is needed to push"),
        (
            &[
                "--platform=linux/amd64,linux/arm64",
                "--build-arg=BUILDKIT_MULTI_PLATFORM=false",
                ".",
            ],
            "`--build-arg BUILDKIT_MULTI_PLATFORM`: returning multiple target platforms",
        ),
        (
            &["--build-arg=BUILDKIT_MULTI_PLATFORM=maybe", "."],
            "`--build-arg BUILDKIT_MULTI_PLATFORM=maybe`: it is",
        ),
        (
            &["--secret", "id=x,env=NOT_SET", "."],
            "secret `x`: the variable `NOT_SET` is not set",
        ),
        (
            &["--secret", "id=x,src=/nowhere/at/all", "."],
            "secret `x`: there is no file",
        ),
        (
            &["-o", "-", "-o", "type=oci", "."],
            "only one thing can be written",
        ),
    ] {
        let error = requested(words).expect_err("a mistake");
        assert!(matches!(error, Error::Usage(_)), "{error:?}");
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[test]
fn files_and_output_tell_the_result() {
    let directory = tempfile::tempdir().expect("a directory");
    let iidfile = directory.path().join("iid");
    let metadata_file = directory.path().join("metadata");
    let (iid, meta) = (
        iidfile.to_str().expect("text"),
        metadata_file.to_str().expect("text"),
    );
    let done = run_command(
        &Fake::default(),
        &[
            "-q",
            "-t",
            "a:1",
            "--iidfile",
            iid,
            "--metadata-file",
            meta,
            ".",
        ],
    );
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "sha256:0123456789abcdef\n"),
        "{}",
        done.err
    );
    let written = |path| std::fs::read_to_string(path).expect("a file");
    assert_eq!(written(&iidfile), "sha256:0123456789abcdef");
    let metadata: serde_json::Value = serde_json::from_str(&written(&metadata_file)).expect("json");
    assert_eq!(metadata["containerimage.digest"], "sha256:77");
    assert_eq!(
        metadata["containerimage.config.digest"],
        "sha256:0123456789abcdef"
    );
    assert_eq!(metadata["containerimage.descriptor"]["size"], 500);
    assert_eq!(metadata["image.name"], "a:1");
}

#[test]
fn files_that_cannot_be_written_are_refused_first() {
    let check = |words: &[&str]| check_files(&build_args_of(words));
    for words in [
        ["--iidfile", "/proc/none/id"],
        ["--metadata-file", "/tmp"],
        ["-o", "type=oci,dest=/tmp/"],
        ["-o", "type=docker,dest=/proc/none/image.tar"],
    ] {
        let error = check(&[words[0], words[1], "."]).expect_err("it cannot be written");
        assert!(error.to_string().contains("cannot write"), "{error}");
    }
    for words in [
        ["--iidfile", "id"],
        ["-o", "type=local,dest=/tmp"],
        ["-o", "type=oci,tar=false,dest=/tmp"],
    ] {
        check(&[words[0], words[1], "."]).expect("it can be written");
    }
}
