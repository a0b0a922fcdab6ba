//! Where the registry of a name is: its mirrors, and the registry itself.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Url;
use reqwest::header::HeaderMap;

use super::error::RegistryError;
use super::hosts::{Capabilities, Host};
use super::settings::Settings;
use super::transport::Transport;

/// The registry behind the name `docker.io`.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// One server that has what a registry has, or a part of it.
pub(super) struct Endpoint {
    /// What messages call it, and whose credentials it is shown: `docker.io`, `mirror.example:5000`.
    pub(super) name: String,
    /// Where the API begins, `/v2` with it.
    base: Url,
    pub(super) capabilities: Capabilities,
    /// The registry that a mirror stands for, which it is told.
    mirrored: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) http: Transport,
    /// Whether it is shown no credentials.
    anonymous: bool,
    /// A mirror that could not be reached is not asked again.
    down: AtomicBool,
}

/// What is wanted of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Something that has a digest.
    Pull,
    /// What a tag leads to.
    Resolve,
    /// To take an image.
    Push,
}

/// As a verb, after `to`.
impl std::fmt::Display for Purpose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pull => "pull from",
            Self::Resolve => "resolve tags with",
            Self::Push => "push to",
        })
    }
}

impl Endpoint {
    /// The servers of a registry in the order in which they are asked: the registry itself is the last.
    pub(super) fn all(
        registry: &str,
        settings: &Settings,
    ) -> Result<Vec<Arc<Self>>, RegistryError> {
        let file = settings.hosts.find(registry)?;
        let (mirrors, server) = match file {
            Some(file) => (file.mirrors, file.server),
            None => (Vec::new(), Host::default()),
        };
        let own = default_base(registry)?;
        let mut endpoints = Vec::with_capacity(mirrors.len() + 1);
        for mirror in mirrors {
            let base = mirror.address.clone().unwrap_or_else(|| own.clone());
            let (name, of) = if base.origin() == own.origin() {
                (registry.to_owned(), None)
            } else {
                (authority(&base), Some(registry.to_owned()))
            };
            endpoints.push(Arc::new(Self::new(name, base, of, mirror)));
        }
        let base = server.address.clone().unwrap_or(own);
        endpoints.push(Arc::new(Self::new(registry.to_owned(), base, None, server)));
        Ok(endpoints)
    }

    fn new(name: String, base: Url, mirrored: Option<String>, host: Host) -> Self {
        Self {
            name,
            base,
            capabilities: host.capabilities,
            mirrored,
            headers: host.headers.clone(),
            http: Transport::of(host),
            anonymous: false,
            down: AtomicBool::new(false),
        }
    }

    /// The server of an address that an image names, which has nothing to do with its registry.
    pub(super) fn foreign(url: &Url) -> Arc<Self> {
        let endpoint = Self::new(authority(url), url.clone(), None, Host::default());
        Arc::new(Self {
            anonymous: true,
            ..endpoint
        })
    }

    /// Whether it is shown no credentials.
    pub(super) fn is_anonymous(&self) -> bool {
        self.anonymous
    }

    /// What tokens for it are kept under.
    pub(super) fn key(&self) -> &str {
        self.base.as_str()
    }

    /// Whether it can be asked for this.
    pub(super) fn serves(&self, purpose: Purpose) -> bool {
        let able = match purpose {
            Purpose::Pull => self.capabilities.pull,
            Purpose::Resolve => self.capabilities.resolve,
            Purpose::Push => self.capabilities.push,
        };
        able && !self.down.load(Ordering::Relaxed)
    }

    /// Whether there is somebody else to ask.
    pub(super) fn is_mirror(&self) -> bool {
        self.mirrored.is_some()
    }

    /// Notes that it is not there, unless there is nobody else.
    pub(super) fn give_up(&self) {
        self.down.store(self.is_mirror(), Ordering::Relaxed);
    }

    /// The address of something in a repository, `/v2/<path>/<rest>`, or with an empty path of the API itself.
    pub(super) fn url(&self, path: &str, rest: &str) -> Result<Url, RegistryError> {
        let base = self.base.as_str().trim_end_matches('/');
        let text = match path {
            "" => format!("{base}/{rest}"),
            path => format!("{base}/{path}/{rest}"),
        };
        let mut url = Url::parse(&text).map_err(|error| RegistryError::Setup(Box::new(error)))?;
        if let Some(registry) = &self.mirrored {
            url.query_pairs_mut().append_pair("ns", registry);
        }
        Ok(url)
    }

    /// Whether an address is on this server, so that it may see our credentials.
    pub(super) fn is_at(&self, url: &Url) -> bool {
        self.base.origin() == url.origin()
    }

    /// Whether it may send us there: by HTTPS, or if it is itself asked by plain HTTP, to the same host or inside this
    /// machine.
    pub(super) fn is_safe(&self, url: &Url) -> bool {
        let plain = self.base.scheme() == "http"
            && (url.host_str().is_some_and(is_loopback) || url.host_str() == self.base.host_str());
        url.scheme() == "https" || (url.scheme() == "http" && plain)
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.base.as_str())
    }
}

/// Where a registry is by its name.
fn default_base(registry: &str) -> Result<Url, RegistryError> {
    let host = if registry == "docker.io" {
        DOCKER_HUB
    } else {
        registry
    };
    let scheme = if is_loopback(host) { "http" } else { "https" };
    let text = format!("{scheme}://{host}/v2");
    Url::parse(&text).map_err(|error| RegistryError::Setup(Box::new(error)))
}

/// `host[:port]`, the port where it is not the scheme's own.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Whether a `host[:port]` is this machine, where nobody listens in.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::Repository;
    use crate::registry::Hosts;

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
            let repository: Repository = name.parse().unwrap();
            let all = Endpoint::all(repository.registry(), &Settings::default()).unwrap();
            let url = all[0].url(repository.path(), "x").unwrap();
            assert_eq!(url.as_str(), expected);
            assert!(all[0].is_safe(&url) && all[0].is_at(&url));
            let elsewhere = Url::parse("http://example.com/").unwrap();
            assert!(!all[0].is_safe(&elsewhere) && !all[0].is_at(&elsewhere));
        }
    }

    #[test]
    fn mirrors_come_first_and_are_told_whose_they_are() {
        let directory = testkit::scratch();
        let place = directory.path().join("docker.io");
        std::fs::create_dir(&place).unwrap();
        let text = "server = \"http://own.example\"\n[host.\"http://mirror.example:81/x\"]\ncapabilities = [\"pull\"]";
        std::fs::write(place.join("hosts.toml"), text).unwrap();
        let settings = Settings {
            hosts: Hosts::new(vec![directory.path().to_owned()]),
            ..Settings::default()
        };
        let all = Endpoint::all("docker.io", &settings).unwrap();
        let [mirror, own] = &all[..] else {
            panic!("{all:?}");
        };
        let url = mirror.url("library/a", "x").unwrap();
        let expected = "http://mirror.example:81/x/v2/library/a/x?ns=docker.io";
        assert_eq!(url.as_str(), expected);
        assert_eq!(mirror.name, "mirror.example:81");
        assert!(mirror.serves(Purpose::Pull) && !mirror.serves(Purpose::Resolve));
        mirror.give_up();
        assert!(!mirror.serves(Purpose::Pull));
        let url = own.url("library/a", "x").unwrap();
        assert_eq!(url.as_str(), "http://own.example/v2/library/a/x");
        // Plain HTTP is what the configuration wants there, and nowhere else.
        assert!(own.is_safe(&Url::parse("http://own.example/token").unwrap()));
        assert!(!own.is_safe(&Url::parse("http://other.example/token").unwrap()));
        own.give_up();
        assert!(own.serves(Purpose::Push));
    }
}
