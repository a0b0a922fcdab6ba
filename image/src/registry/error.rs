//! Why a registry could not be asked, or refused.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use reqwest::Url;

use super::credentials::CredentialError;
use super::endpoint::{Endpoint, Purpose};
use super::hosts::HostsError;
use super::retry;
use super::tls::TlsError;
use super::transport::{DnsError, TransportError};

/// A registry that could not be asked, or refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No connection, or it broke.
    #[error("cannot reach registry `{host}`, port {port}: {reason}")]
    Unreachable {
        /// The host that was called: the registry, or one that it sent us to.
        host: String,
        /// Its port.
        port: u16,
        /// What happened and what to do.
        reason: Unreachable,
        /// What the network said.
        source: TransportError,
    },
    /// No credentials, or they do not suffice.
    #[error("`{registry}` does not allow {what}{}", detail(reason))]
    Denied {
        /// The registry as it stands in the image's name.
        registry: String,
        /// What was asked.
        what: String,
        /// What the registry says.
        reason: String,
    },
    /// The registry does not have it.
    #[error("`{registry}` does not have {what}")]
    NotFound {
        /// The registry.
        registry: String,
        /// What was asked.
        what: String,
    },
    /// The registry answered with an error.
    #[error("`{registry}` answered {status} to {what}{}{}", detail(reason), later(*retry_after))]
    Status {
        /// The registry.
        registry: String,
        /// What was asked.
        what: String,
        /// HTTP's status code.
        status: u16,
        /// What the registry says.
        reason: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The registry does not do what the specification asks of it.
    #[error("`{registry}` does not answer as a registry does to {what}: {problem}")]
    Protocol {
        /// The registry.
        registry: String,
        /// What was asked.
        what: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The configuration leaves nobody to ask.
    #[error("the configuration of `{registry}` has no server to {purpose}")]
    NoServer {
        /// The registry.
        registry: String,
        /// For what.
        purpose: Purpose,
    },
    /// The configuration of a registry cannot be used.
    #[error("bad configuration of registries")]
    Hosts(#[from] HostsError),
    /// A file with certificates or a key cannot be used.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
    /// Credentials cannot be read or kept.
    #[error("cannot use the credentials for `{registry}`")]
    Credentials {
        /// The registry.
        registry: String,
        /// Why not.
        source: CredentialError,
    },
    /// The client could not be set up.
    #[error("cannot set up the registry client")]
    Setup(#[source] Box<dyn StdError + Send + Sync>),
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreachable {
    /// Nothing listens.
    Refused,
    /// The name has no address.
    Name,
    /// No answer to a connection attempt.
    ConnectTimeout(Duration),
    /// Connected, and then nothing for so long.
    Stalled(Duration),
    /// The other end's certificate is not trusted.
    Certificate,
    /// The other end does not speak TLS, or none that we do.
    Tls,
    /// The connection broke.
    Broken,
    /// More redirections than one request may follow, or from HTTPS to HTTP.
    Redirect,
    /// Something else.
    Other,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str(
                "nothing listens there; check the name and the port, and that the server runs",
            ),
            Self::Name => f.write_str(
                "the name has no address; check its spelling and the network, or set HTTPS_PROXY",
            ),
            Self::ConnectTimeout(time) => write!(
                f,
                "no answer within {} s; check the network and firewalls, or set HTTPS_PROXY",
                time.as_secs()
            ),
            Self::Stalled(time) => {
                write!(f, "nothing came for {} s; try again", time.as_secs())
            }
            Self::Certificate => f.write_str(
                "its certificate is not trusted; name the authority's certificate as `ca` in its hosts.toml, or set SSL_CERT_FILE",
            ),
            Self::Tls => f.write_str("it does not speak HTTPS as it should"),
            Self::Broken => f.write_str("the connection broke; try again"),
            Self::Redirect => f.write_str("it redirects without end, or to an unsafe place"),
            Self::Other => f.write_str("the request could not be sent"),
        }
    }
}

impl RegistryError {
    /// Whether another attempt may find a better connection or mood. What is refused at once or not found stays so.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { reason, .. } => {
                matches!(reason, Unreachable::Broken | Unreachable::Stalled(_))
            }
            Self::Status { status, .. } => retry::is_temporary(*status),
            _ => false,
        }
    }

    /// Whether this server is to be asked again. Silence takes so long to notice that others are asked first.
    pub(super) fn asks_again(&self, server: &Endpoint) -> bool {
        let silent = matches!(
            self,
            Self::Unreachable {
                reason: Unreachable::Stalled(_),
                ..
            }
        );
        self.is_temporary() && !(silent && server.is_mirror())
    }

    /// How long the registry wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What a failed request was about, for messages.
pub(super) struct Failed<'a> {
    host: &'a str,
    port: u16,
    connect_timeout: Duration,
}

impl<'a> Failed<'a> {
    pub(super) fn at(url: &'a Url, connect_timeout: Duration) -> Self {
        Self {
            host: url.host_str().unwrap_or_default(),
            port: url.port_or_known_default().unwrap_or_default(),
            connect_timeout,
        }
    }

    pub(super) fn because(&self, error: reqwest::Error) -> RegistryError {
        let reason = classify(&error, self.connect_timeout);
        self.unreachable(reason, TransportError::Http(error.without_url()))
    }

    pub(super) fn stalled(&self, time: Duration) -> RegistryError {
        self.unreachable(Unreachable::Stalled(time), TransportError::Stalled)
    }

    fn unreachable(&self, reason: Unreachable, source: TransportError) -> RegistryError {
        RegistryError::Unreachable {
            host: self.host.to_owned(),
            port: self.port,
            reason,
            source,
        }
    }
}

fn classify(error: &reqwest::Error, connect_timeout: Duration) -> Unreachable {
    if error.is_redirect() {
        return Unreachable::Redirect;
    }
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = next {
        if cause.is::<DnsError>() {
            return Unreachable::Name;
        }
        if let Some(found) = cause.downcast_ref::<io::Error>().and_then(classify_io) {
            // What ends while connecting ends in the middle of TLS's greetings.
            let greeting = error.is_connect() && found == Unreachable::Broken;
            return if greeting { Unreachable::Tls } else { found };
        }
        next = cause.source();
    }
    match (error.is_timeout(), error.is_connect()) {
        (true, _) => Unreachable::ConnectTimeout(connect_timeout),
        (false, false) if error.is_body() || error.is_decode() || error.is_request() => {
            Unreachable::Broken
        }
        _ => Unreachable::Other,
    }
}

fn classify_io(error: &io::Error) -> Option<Unreachable> {
    let inner = error.get_ref();
    if inner.is_some_and(<dyn StdError + Send + Sync>::is::<DnsError>) {
        return Some(Unreachable::Name);
    }
    // What an I/O error wraps is not its source, but is passed over by `source`.
    if let Some(found) = inner
        .and_then(|inner| inner.downcast_ref::<io::Error>())
        .and_then(classify_io)
    {
        return Some(found);
    }
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => return Some(Unreachable::Certificate),
        Some(_) => return Some(Unreachable::Tls),
        None => {}
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(Unreachable::Refused),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Some(Unreachable::Broken),
        _ => None,
    }
}

fn later(retry_after: Option<Duration>) -> String {
    match retry_after {
        Some(time) if !time.is_zero() => format!("; try again in {} s", time.as_secs()),
        _ => String::new(),
    }
}

fn detail(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    }
}
