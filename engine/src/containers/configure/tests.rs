use std::path::PathBuf;

use image::config::ContainerConfig as Defaults;

use super::*;

/// The container of a request and what its image says.
pub(in crate::containers) fn configured(
    request: &CreateRequest,
    defaults: Defaults,
) -> Result<ContainerConfig, ContainerError> {
    let image = ChosenImage {
        id: Digest::of(b"image"),
        layers: Vec::new(),
        held: Vec::new(),
        config: ImageConfig {
            config: defaults,
            ..ImageConfig::default()
        },
    };
    let id = ContainerId::random().expect("random bytes");
    configure(request, id, image)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn entrypoint_and_command_replace_those_of_the_image() {
    type Case<'a> = (Option<&'a [&'a str]>, &'a [&'a str], &'a [&'a str]);
    let cases: [Case<'_>; 7] = [
        (None, &[], &["entry", "cmd"]),
        (None, &["a", "b"], &["entry", "a", "b"]),
        (Some(&["new"]), &[], &["new"]),
        (Some(&["new"]), &["a"], &["new", "a"]),
        (Some(&[]), &["a"], &["a"]),
        (Some(&[]), &[], &[]),
        (Some(&["new", "x"]), &["a"], &["new", "x", "a"]),
    ];
    for (entrypoint, command, expected) in cases {
        let request = CreateRequest {
            entrypoint: entrypoint.map(words),
            command: words(command),
            ..CreateRequest::default()
        };
        let defaults = Defaults {
            entrypoint: words(&["entry"]),
            cmd: words(&["cmd"]),
            ..Defaults::default()
        };
        match configured(&request, defaults) {
            Ok(config) => assert_eq!(config.args(), words(expected), "{request:?}"),
            Err(error) => assert!(
                expected.is_empty() && matches!(error, ContainerError::NoCommand),
                "{request:?}: {error}"
            ),
        }
    }
}

#[test]
fn what_is_not_asked_for_is_as_the_image_says() {
    let defaults = Defaults {
        user: "daemon".to_owned(),
        cmd: words(&["true"]),
        working_dir: "/srv".to_owned(),
        stop_signal: "SIGQUIT".to_owned(),
        labels: [
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), "2".to_owned()),
        ]
        .into(),
        ..Defaults::default()
    };
    let config = configured(&CreateRequest::default(), defaults.clone()).expect("a container");
    assert_eq!((&*config.user, &*config.working_dir), ("daemon", "/srv"));
    assert_eq!(config.stop_signal, "SIGQUIT");
    let request = CreateRequest {
        user: Some("0".to_owned()),
        working_dir: Some("/tmp".to_owned()),
        stop_signal: Some(2),
        labels: vec![("b".to_owned(), "3".to_owned())],
        hosts: vec![("db".to_owned(), "10.0.0.1".parse().expect("an address"))],
        ..CreateRequest::default()
    };
    let config = configured(&request, defaults).expect("a container");
    assert_eq!((&*config.user, &*config.working_dir), ("0", "/tmp"));
    assert_eq!(config.stop_signal, "2");
    assert_eq!((&*config.labels["a"], &*config.labels["b"]), ("1", "3"));
    assert_eq!(config.hosts, ["10.0.0.1\tdb"]);
}

#[test]
fn host_names_follow_the_network() {
    let with = |network, hostname: Option<&str>| {
        let request = CreateRequest {
            command: words(&["true"]),
            network,
            hostname: hostname.map(str::to_owned),
            ..CreateRequest::default()
        };
        configured(&request, Defaults::default()).expect("a container")
    };
    let host = rustix::system::uname();
    let config = with(ContainerNetwork::Host, None);
    assert_eq!(config.hostname, host.nodename().to_string_lossy());
    let config = with(ContainerNetwork::None, None);
    assert_eq!(config.hostname, config.id.short());
    let config = with(ContainerNetwork::Host, Some("named"));
    assert_eq!(config.hostname, "named");
}

#[test]
fn what_cannot_be_is_refused() {
    let base = CreateRequest {
        command: words(&["true"]),
        ..CreateRequest::default()
    };
    let volumes = |targets: &[&str]| {
        let volumes = targets.iter().map(|target| Volume {
            source: PathBuf::from("/tmp"),
            target: (*target).to_owned(),
            readonly: false,
        });
        CreateRequest {
            volumes: volumes.collect(),
            ..base.clone()
        }
    };
    let refused = |request: &CreateRequest| {
        let error = configured(request, Defaults::default()).expect_err("refused");
        error.to_string()
    };
    for targets in [&["/"] as &[&str], &["//."], &["a"], &["/a/../b"], &[""]] {
        assert!(refused(&volumes(targets)).contains("invalid volume target"));
    }
    assert_eq!(
        refused(&volumes(&["/a/b", "/a//b/"])),
        "duplicate mount point: `/a//b/`"
    );
    let request = CreateRequest {
        working_dir: Some("tmp".to_owned()),
        ..base.clone()
    };
    assert!(refused(&request).contains("needs to be an absolute path"));
    let request = CreateRequest {
        stop_signal: Some(65),
        ..base.clone()
    };
    assert_eq!(refused(&request), "`65` is not a signal");
    let defaults = Defaults {
        stop_signal: "SIGNONE".to_owned(),
        ..Defaults::default()
    };
    let config = configured(&base, defaults).expect("an image may say anything");
    assert_eq!(config.stop_signal, "SIGTERM");
}
