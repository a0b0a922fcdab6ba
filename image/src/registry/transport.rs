//! HTTP, TLS and DNS.
//!
//! A static program cannot rely on the C library to look up names, so this does it with a resolver of its own that
//! reads `/etc/resolv.conf` and `/etc/hosts`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;

use super::error::RegistryError;
use super::hosts::Host;
use super::settings::{Proxies, Settings};
use super::tls;

const REDIRECTS_MAX: usize = 10;
/// Hosts that no proxy can reach.
const DIRECT: &str = "localhost,127.0.0.0/8,::1";

/// Connections of one kind, made when they are first needed.
#[derive(Default)]
pub(super) struct Transport {
    host: Host,
    client: OnceLock<reqwest::Client>,
}

/// What a connection failed of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// HTTP or what carries it.
    #[error(transparent)]
    Http(reqwest::Error),
    /// Nothing came.
    #[error("timed out")]
    Stalled,
}

/// A name without an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot look up `{name}`")]
pub(super) struct DnsError {
    name: String,
    source: NetError,
}

/// A redirection that is not followed.
#[derive(Debug, thiserror::Error)]
enum RedirectError {
    #[error("more than {REDIRECTS_MAX} redirections")]
    TooMany,
    #[error("redirection from HTTPS to HTTP")]
    Downgrade,
}

impl Transport {
    /// Those to a host, as the configuration wants them.
    pub(super) fn of(host: Host) -> Self {
        Self {
            host,
            client: OnceLock::new(),
        }
    }

    /// How long a connection may take to come about.
    pub(super) fn connect_timeout(&self, settings: &Settings) -> Duration {
        let own = self.host.connect_timeout;
        own.unwrap_or(settings.connect_timeout)
    }

    pub(super) fn get(&self, settings: &Settings) -> Result<&reqwest::Client, RegistryError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = connect(settings, &self.host, self.connect_timeout(settings))?;
        Ok(self.client.get_or_init(|| client))
    }
}

fn connect(
    settings: &Settings,
    host: &Host,
    timeout: Duration,
) -> Result<reqwest::Client, RegistryError> {
    let setup = |error: reqwest::Error| RegistryError::Setup(Box::new(error));
    let mut builder = reqwest::Client::builder()
        .user_agent(&settings.user_agent)
        .connect_timeout(timeout)
        .redirect(redirect::Policy::custom(follow))
        .retry(reqwest::retry::never())
        .dns_resolver(Arc::new(Resolver::default()))
        .tls_backend_preconfigured(tls::config(host)?)
        .no_proxy();
    for proxy in proxies(&settings.proxies).map_err(setup)? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(setup)
}

fn proxies(settings: &Proxies) -> Result<Vec<reqwest::Proxy>, reqwest::Error> {
    let except = match &settings.except {
        Some(except) => format!("{DIRECT},{except}"),
        None => DIRECT.to_owned(),
    };
    let except = reqwest::NoProxy::from_string(&except);
    let mut proxies = Vec::new();
    if let Some(url) = &settings.http {
        proxies.push(reqwest::Proxy::http(url)?.no_proxy(except.clone()));
    }
    if let Some(url) = &settings.https {
        proxies.push(reqwest::Proxy::https(url)?.no_proxy(except));
    }
    Ok(proxies)
}

fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let was_safe = attempt
        .previous()
        .last()
        .is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > REDIRECTS_MAX {
        attempt.error(RedirectError::TooMany)
    } else if was_safe && attempt.url().scheme() != "https" {
        attempt.error(RedirectError::Downgrade)
    } else {
        attempt.follow()
    }
}

/// Looks up names without the C library.
#[derive(Default, Clone)]
struct Resolver(Arc<OnceLock<TokioResolver>>);

impl Resolver {
    async fn look_up(self, name: &str) -> Result<Vec<IpAddr>, NetError> {
        // RFC 6761, 6.3: never asked of a server.
        if name == "localhost" {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let resolver = if let Some(resolver) = self.0.get() {
            resolver
        } else {
            let mut builder = TokioResolver::builder_tokio()?;
            builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            let resolver = builder.build()?;
            self.0.get_or_init(|| resolver)
        };
        Ok(resolver.lookup_ip(name).await?.iter().collect())
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let name = name.as_str().to_owned();
            match resolver.look_up(&name).await {
                Ok(addresses) => {
                    let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0));
                    Ok(Box::new(addresses) as Addrs)
                }
                Err(source) => Err(DnsError { name, source }.into()),
            }
        })
    }
}
