//! The registry client with the user's credentials.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::registry::{self, Client, DockerConfig};

use crate::engine::{Engine, Settings};
use crate::error::ImageError;

/// The client of an engine. Credentials that cannot be read count as none; [`Engine::client`] tells of them.
pub(crate) fn registry_client(settings: &Settings) -> Client {
    let credentials = read(settings.credentials.as_deref()).unwrap_or_default();
    Client::new(registry::Settings {
        credentials: Arc::new(credentials),
        proxies: settings.proxies.clone(),
        ..registry::Settings::default()
    })
}

impl Engine {
    /// The registry client, once it is sure that it has the credentials it should have.
    pub(super) fn client(&self) -> Result<&Client, ImageError> {
        read(self.settings().credentials.as_deref())?;
        Ok(self.registry())
    }
}

/// The credentials in a file; none where there is no file.
fn read(path: Option<&Path>) -> Result<DockerConfig, ImageError> {
    let Some(path) = path else {
        return Ok(DockerConfig::default());
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(DockerConfig::default());
        }
        Err(source) => {
            return Err(ImageError::Io {
                action: "read the credentials in",
                path: path.to_owned(),
                source,
            });
        }
    };
    DockerConfig::parse(&bytes).map_err(|source| ImageError::Credentials {
        path: PathBuf::from(path),
        source,
    })
}
