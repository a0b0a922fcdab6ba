//! A client of registries, by the OCI distribution specification 1.1.
//!
//! Connections and tokens are kept and reused. Answers are not believed: sizes are bounded, digests verified while
//! bytes stream. What may help on a second try is tried again a few times; a download that breaks off goes on where
//! it stopped.

mod auth;
mod blobs;
mod challenge;
mod credentials;
mod endpoint;
mod error;
mod manifests;
mod request;
mod retry;
mod settings;
mod transport;
mod upload;

use std::sync::Arc;

pub use blobs::BlobStream;
pub use credentials::{Credential, CredentialError, Credentials, DockerConfig, NoCredentials};
pub use error::{RegistryError, Unreachable};
pub use manifests::FetchedManifest;
pub use settings::{Proxies, Settings};
pub use upload::{BlobFile, Start, UploadSession};

/// A client of any number of registries. Clones share their connections and tokens.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    tokens: auth::Tokens,
    http: transport::Transport,
}

impl Client {
    /// A client. Certificates are read when they are first needed, which is not now.
    pub fn new(settings: Settings) -> Self {
        Self {
            inner: Arc::new(Inner {
                settings,
                tokens: auth::Tokens::default(),
                http: transport::Transport::default(),
            }),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}
