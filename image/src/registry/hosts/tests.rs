#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::*;

fn parse(text: &str) -> Result<HostsFile, HostsError> {
    HostsFile::parse(Path::new("/etc/hosts/a.io/hosts.toml"), text)
}

fn address(host: &Host) -> &str {
    host.address.as_ref().unwrap().as_str()
}

#[test]
fn a_whole_file_is_read() {
    let file = parse(
        r#"
        server = "https://registry.example"
        skip_verify = true

        [host."https://z.example/mirror"]
          capabilities = ["pull", "resolve"]
          ca = "ca.pem"
          client = [["me.pem", "/keys/me.key"]]
          dial_timeout = "1m30s"
          [host."https://z.example/mirror".header]
            x-team = ["a", "b"]

        [host."http://a.example:5000/own/"]
          override_path = true
          ca = ["/one.pem", "two.pem"]
          client = "both.pem"

        [host."127.0.0.1:5000"]
        "#,
    )
    .unwrap();
    let [first, second, third] = &file.mirrors[..] else {
        panic!("{file:?}");
    };
    assert_eq!(address(&file.server), "https://registry.example/v2");
    assert!(file.server.skip_verify && !first.skip_verify);
    // The order is that of the file, not of the alphabet.
    assert_eq!(address(first), "https://z.example/mirror/v2");
    let push = first.capabilities.push;
    assert!(first.capabilities.pull && first.capabilities.resolve && !push);
    assert_eq!(first.authorities, [Path::new("/etc/hosts/a.io/ca.pem")]);
    let pair = first.client.as_ref().unwrap();
    assert_eq!(pair.certificate, Path::new("/etc/hosts/a.io/me.pem"));
    assert_eq!(pair.key, Path::new("/keys/me.key"));
    assert_eq!(first.connect_timeout, Some(Duration::from_secs(90)));
    let values: Vec<_> = first.headers.get_all("X-Team").iter().collect();
    assert_eq!(values, ["a", "b"]);
    assert_eq!(address(second), "http://a.example:5000/own");
    assert_eq!(second.authorities.len(), 2);
    let both = second.client.as_ref().unwrap();
    assert_eq!(both.certificate, both.key);
    assert_eq!(address(third), "http://127.0.0.1:5000/v2");
}

#[test]
fn an_empty_file_changes_nothing() {
    let file = parse("").unwrap();
    assert!(file.mirrors.is_empty() && file.server.address.is_none());
    assert_eq!(file.server.capabilities, Capabilities::ALL);
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let cases = [
        ("server = ", "1:10: "),
        ("\nserver = 7", "2:10: a text is wanted here, not integer"),
        ("sever = \"a\"", "1:1: `sever` is not known"),
        ("server = \"ftp://a\"", "1:10: `ftp://a` is not `http://`"),
        ("server = \"https://u:p@a.io\"", "1:10: "),
        ("[host.\"a b\"]", "1:7: `a b` is not `http://`"),
        (
            "[host.a]\n  capabilities = [\"pull\", \"fly\"]",
            "2:27: `fly` is no capability",
        ),
        ("[host.a]\nca = 1", "2:6: `ca` is the path"),
        ("client = [\"a\", \"b\"]", "1:10: `client` is the path"),
        ("[header]\n\"a b\" = \"c\"", "2:1: `header` has names"),
        ("dial_timeout = \"soon\"", "1:16: `soon` is not a time"),
        ("skip_verify = \"yes\"", "1:15: `true` or `false` is wanted"),
        ("[host.a]\nserver = \"b\"", "2:1: `server` is not known"),
    ];
    for (text, expected) in cases {
        let error = parse(text).unwrap_err().to_string();
        let expected = format!("/etc/hosts/a.io/hosts.toml:{expected}");
        assert!(error.starts_with(&expected), "{error}: not {expected}");
    }
}

#[test]
fn the_nearest_file_counts() {
    let directory = testkit::scratch();
    let (user, system) = (
        directory.path().join("user"),
        directory.path().join("system"),
    );
    let write = |path: PathBuf, server: &str| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("server = \"{server}\"")).unwrap();
    };
    write(user.join("a.io/hosts.toml"), "https://user");
    write(system.join("a.io/hosts.toml"), "https://system");
    write(system.join("b.io_5000_/hosts.toml"), "https://underscored");
    write(user.join("_default/hosts.toml"), "https://default");
    let hosts = Hosts::new(vec![user, system]);
    let cases = [
        ("a.io", "https://user/v2"),
        ("b.io:5000", "https://underscored/v2"),
        ("c.io", "https://default/v2"),
    ];
    for (registry, expected) in cases {
        let file = hosts.find(registry).unwrap().unwrap();
        assert_eq!(address(&file.server), expected, "{registry}");
    }
    assert!(Hosts::default().find("a.io").unwrap().is_none());
}
