//! A client of registries, by the OCI distribution specification 1.1.
//!
//! Connections and tokens are kept and reused. Answers are not believed: sizes are bounded, digests verified while
//! bytes stream. What may help on a second try is tried again a few times; a download or upload that breaks off goes on
//! where it stopped. What is pulled comes from the first server that has it: the mirrors of a registry, then itself.

mod auth;
mod blobs;
mod challenge;
mod credentials;
mod download;
mod endpoint;
mod error;
mod fallback;
mod growing;
mod hosts;
mod login;
mod manifests;
mod request;
mod retry;
mod settings;
mod tls;
mod transport;
mod upload;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

pub use blobs::BlobStream;
pub use credentials::{
    AuthFiles, Credential, CredentialError, Credentials, Kept, NoCredentials, key_of, registry_of,
};
pub use download::{Answer, Download, DownloadError, DownloadRequest, Version};
pub use endpoint::Purpose;
pub use error::{RegistryError, Unreachable};
pub use fallback::PassedOver;
pub use growing::{GrowingBlob, Writer};
pub use hosts::{Hosts, HostsError, HostsProblem};
pub use manifests::FetchedManifest;
pub use settings::{Proxies, Settings};
pub use tls::TlsError;
pub use upload::{BlobFile, Start, UploadSession};

use endpoint::Endpoint;

/// A client of any number of registries. Clones share their connections and tokens.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    tokens: auth::Tokens,
    /// The servers of each registry that was asked for something.
    servers: Mutex<HashMap<String, Vec<Arc<Endpoint>>>>,
    passed_over: fallback::AllPassedOver,
    /// For what belongs to no registry.
    downloads: transport::Transport,
}

impl Client {
    /// A client. Certificates are read when they are first needed, which is not now.
    pub fn new(settings: Settings) -> Self {
        Self {
            inner: Arc::new(Inner {
                settings,
                tokens: auth::Tokens::default(),
                servers: Mutex::default(),
                passed_over: fallback::AllPassedOver::default(),
                downloads: transport::Transport::default(),
            }),
        }
    }

    /// The servers of a registry, in the order in which they are asked.
    fn endpoints(&self, registry: &str) -> Result<Vec<Arc<Endpoint>>, RegistryError> {
        let mut servers = self
            .inner
            .servers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = servers.get(registry) {
            return Ok(known.clone());
        }
        let found = Endpoint::all(registry, &self.inner.settings)?;
        servers.insert(registry.to_owned(), found.clone());
        Ok(found)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}

/// The bytes of a file, if there is one.
fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        },
    }
}
