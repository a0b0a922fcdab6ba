//! Logging in to registries, and out of them.

use image::Repository;
use image::registry::{AuthFiles, Credential, Credentials as _, Kept, registry_of};

use super::work::blocking;
use crate::engine::{Engine, Settings};
use crate::error::ImageError;

pub(super) fn auth_files(settings: &Settings) -> AuthFiles {
    AuthFiles::new(settings.credentials.clone())
}

impl Engine {
    /// Shows a user and a password to a registry, and keeps them if it takes them. `registry` is what the user calls it:
    /// an address or a host, or nothing for Docker Hub.
    pub async fn log_in(
        &self,
        registry: &str,
        user: &str,
        password: &str,
    ) -> Result<Kept, ImageError> {
        let registry = registry_named(registry)?;
        let credential = Credential::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        self.show(&registry, credential.clone()).await?;
        let files = auth_files(self.settings());
        blocking(move || Ok(files.keep(&registry, &credential)?)).await
    }

    /// Shows a registry what is kept for it. `false` if that is nothing.
    pub async fn log_in_again(&self, registry: &str) -> Result<bool, ImageError> {
        let registry = registry_named(registry)?;
        let (files, name) = (auth_files(self.settings()), registry.clone());
        match blocking(move || Ok(files.look_up(&name, "")?)).await? {
            Some(credential) => self.show(&registry, credential).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Forgets what is kept for a registry.
    pub async fn log_out(&self, registry: &str) -> Result<(), ImageError> {
        let registry = registry_named(registry)?;
        let files = auth_files(self.settings());
        blocking(move || Ok(files.forget(&registry)?)).await
    }

    async fn show(&self, registry: &str, credential: Credential) -> Result<(), ImageError> {
        let result = self.registry().log_in(registry, credential).await;
        Ok(result.map_err(image::Error::from)?)
    }
}

/// The registry that a user means, as it stands in the names of images.
fn registry_named(text: &str) -> Result<String, ImageError> {
    let registry = registry_of(text);
    let repository: Result<Repository, _> = format!("{registry}/x").parse();
    match repository {
        Ok(repository) if repository.registry() == registry => Ok(registry),
        _ => Err(ImageError::NotARegistry(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_what_names_can_begin_with() {
        for (text, expected) in [
            ("", "docker.io"),
            ("docker.io", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("https://localhost:5000/v2/", "localhost:5000"),
            ("ghcr.io/me", "ghcr.io"),
        ] {
            assert_eq!(registry_named(text).expect("a registry"), expected);
        }
        for text in ["host", "..", "a b.io"] {
            assert!(registry_named(text).is_err(), "{text}");
        }
    }
}
