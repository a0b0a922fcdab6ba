#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::*;

fn full() -> ImageConfig {
    ImageConfig {
        architecture: "arm".into(),
        author: "me".into(),
        config: ContainerConfig {
            user: "app".into(),
            exposed_ports: ["80/tcp", "53/udp"].map(str::to_owned).into(),
            env: vec!["PATH=/bin".into(), "A=<&>".into()],
            entrypoint: vec!["/init".into()],
            cmd: vec!["sh".into(), "-c".into(), "a && b".into()],
            volumes: ["/data".to_owned()].into(),
            working_dir: "/srv".into(),
            labels: [
                ("b".to_owned(), "2".to_owned()),
                ("a".to_owned(), "1".to_owned()),
            ]
            .into(),
            stop_signal: "SIGINT".into(),
            args_escaped: true,
            healthcheck: Some(Healthcheck {
                test: vec!["CMD".into(), "true".into()],
                interval: 1,
                timeout: 2,
                start_period: 3,
                start_interval: 4,
                retries: 5,
            }),
            on_build: vec!["RUN x".into()],
            shell: vec!["/bin/bash".into(), "-c".into()],
        },
        created: Some("2024-01-02T03:04:05Z".into()),
        history: vec![History {
            created: Some("2024-01-02T03:04:05Z".into()),
            created_by: "RUN x".into(),
            author: "me".into(),
            comment: "buildkit.dockerfile.v0".into(),
            empty_layer: true,
        }],
        os: "linux".into(),
        os_features: vec!["f".into()],
        os_version: "1".into(),
        rootfs: RootFs::new(vec![DiffId::new(Digest::of(b""))]),
        variant: "v7".into(),
    }
}

#[test]
fn fields_stand_in_the_order_that_buildkit_writes() {
    let expected = concat!(
        r#"{"architecture":"arm","author":"me","config":{"User":"app","#,
        r#""ExposedPorts":{"53/udp":{},"80/tcp":{}},"Env":["PATH=/bin","A=\u003c\u0026\u003e"],"#,
        r#""Entrypoint":["/init"],"Cmd":["sh","-c","a \u0026\u0026 b"],"Volumes":{"/data":{}},"#,
        r#""WorkingDir":"/srv","Labels":{"a":"1","b":"2"},"StopSignal":"SIGINT","ArgsEscaped":true,"#,
        r#""Healthcheck":{"Test":["CMD","true"],"Interval":1,"Timeout":2,"StartPeriod":3,"#,
        r#""StartInterval":4,"Retries":5},"OnBuild":["RUN x"],"Shell":["/bin/bash","-c"]},"#,
        r#""created":"2024-01-02T03:04:05Z","history":[{"created":"2024-01-02T03:04:05Z","#,
        r#""created_by":"RUN x","author":"me","comment":"buildkit.dockerfile.v0","empty_layer":true}],"#,
        r#""os":"linux","os.features":["f"],"os.version":"1","rootfs":{"type":"layers","diff_ids":["#,
        r#""sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},"variant":"v7"}"#,
    );
    let (bytes, digest) = full().encode();
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    assert_eq!(digest, Digest::of(expected.as_bytes()));
    assert_eq!(
        ImageConfig::parse("x", expected.as_bytes()).unwrap(),
        full()
    );
}

#[test]
fn what_is_empty_is_left_out() {
    let config = ImageConfig {
        architecture: "amd64".into(),
        os: "linux".into(),
        ..ImageConfig::default()
    };
    let expected = concat!(
        r#"{"architecture":"amd64","config":{},"history":[],"os":"linux","#,
        r#""rootfs":{"type":"layers","diff_ids":[]}}"#
    );
    assert_eq!(String::from_utf8(config.encode().0).unwrap(), expected);
}

#[test]
fn nulls_old_forms_and_unknown_fields_are_read() {
    let json = br#"{"architecture":"amd64","os":"linux","container":"x","docker_version":"1.9",
        "config":{"Env":null,"Cmd":"sh","Entrypoint":null,"Volumes":null,"ExposedPorts":{"1/tcp":{"x":1}},
        "Labels":null,"OnBuild":null,"Hostname":"h","Healthcheck":{"Test":null}},
        "history":null,"rootfs":{"type":"layers","diff_ids":null}}"#;
    let config = ImageConfig::parse("x", json).unwrap();
    assert_eq!(config.config.cmd, ["sh"]);
    assert!(config.config.exposed_ports.contains("1/tcp"));
    assert_eq!(config.rootfs.diff_ids, []);
    let without = ImageConfig::parse("x", br#"{"config":null,"rootfs":{}}"#).unwrap();
    assert_eq!(without.config, ContainerConfig::default());
}

#[test]
fn what_is_no_config_is_refused() {
    let deep = "[".repeat(100_000);
    for bytes in [
        &b""[..],
        b"[]",
        b"{\"os\":1}",
        b"{\"rootfs\":{\"diff_ids\":[\"x\"]}}",
        b"{\"os\":\"\xff\"}",
        deep.as_bytes(),
    ] {
        let error = ImageConfig::parse("image", bytes).unwrap_err();
        assert_eq!(error.to_string(), "bad config of image");
    }
    let large = vec![b' '; SIZE_MAX as usize + 1];
    ImageConfig::parse("image", &large).unwrap_err();
}

#[test]
fn lists_are_bounded() {
    let config = |list: &str, entry: &str, count: usize| {
        let entries = vec![entry; count].join(",");
        let json = list.replace("[]", &format!("[{entries}]"));
        ImageConfig::parse("image", json.as_bytes())
    };
    let digest = format!("\"sha256:{}\"", "a".repeat(64));
    for (list, entry) in [
        (r#"{"history":[]}"#, "{}"),
        (r#"{"rootfs":{"diff_ids":[]}}"#, digest.as_str()),
        (r#"{"config":{"Env":[]}}"#, "\"\""),
        (r#"{"config":{"Cmd":[]}}"#, "\"\""),
        (r#"{"config":{"Healthcheck":{"Test":[]}}}"#, "\"\""),
    ] {
        config(list, entry, 10_000).unwrap();
        config(list, entry, 10_001).unwrap_err();
    }
}

#[test]
fn times_are_written_as_go_writes_them() {
    let at = |seconds, nanoseconds| {
        timestamp(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds))
    };
    assert_eq!(at(0, 0), "1970-01-01T00:00:00Z");
    assert_eq!(at(1_700_000_000, 500_000_000), "2023-11-14T22:13:20.5Z");
    assert_eq!(at(1_700_000_000, 1), "2023-11-14T22:13:20.000000001Z");
    assert_eq!(at(1 << 60, 0), "9999-12-30T21:59:59Z");
}
