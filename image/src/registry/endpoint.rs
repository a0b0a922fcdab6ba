//! Where the registry of a name is.

use std::net::IpAddr;

use reqwest::Url;

use super::error::RegistryError;
use crate::reference::Repository;

/// The registry behind the name `docker.io`.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// The address of something in a repository: `/v2/<path>/<rest>`.
pub(super) fn url(repository: &Repository, rest: &str) -> Result<Url, RegistryError> {
    let registry = repository.registry();
    let host = if registry == "docker.io" {
        DOCKER_HUB
    } else {
        registry
    };
    let scheme = if is_loopback(host) { "http" } else { "https" };
    let text = format!("{scheme}://{host}/v2/{}/{rest}", repository.path());
    Url::parse(&text).map_err(|error| RegistryError::Setup(Box::new(error)))
}

/// Whether a `host[:port]` is this machine, where nobody listens in.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether a secret may be sent there: over HTTPS, or inside this machine.
pub(super) fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || url.host_str().is_some_and(is_loopback)
}

/// Whether two addresses are on one server.
pub(super) fn same_server(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn loopback_is_plain_and_all_else_is_not() {
        let cases = [
            (
                "busybox",
                "https://registry-1.docker.io/v2/library/busybox/x",
            ),
            ("ghcr.io/a/b", "https://ghcr.io/v2/a/b/x"),
            ("localhost/a", "http://localhost/v2/a/x"),
            ("localhost:5000/a", "http://localhost:5000/v2/a/x"),
            ("127.1.2.3:1/a", "http://127.1.2.3:1/v2/a/x"),
            ("[::1]:5000/a", "http://[::1]:5000/v2/a/x"),
            ("128.0.0.1/a", "https://128.0.0.1/v2/a/x"),
            ("localhost.example/a", "https://localhost.example/v2/a/x"),
            ("[2001:db8::1]:5/a", "https://[2001:db8::1]:5/v2/a/x"),
        ];
        for (name, expected) in cases {
            let url = url(&name.parse().unwrap(), "x").unwrap();
            assert_eq!(url.as_str(), expected);
            assert!(is_private(&url));
        }
        assert!(!is_private(&Url::parse("http://example.com/").unwrap()));
    }
}
