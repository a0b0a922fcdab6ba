//! Logging in: whether a registry takes a credential.

use std::sync::Arc;

use reqwest::StatusCode;

use super::Client;
use super::credentials::{Credential, Given};
use super::endpoint::Purpose;
use super::error::RegistryError;
use super::request::Call;
use super::settings::Settings;

impl Client {
    /// Shows a credential to a registry, which is an error if it does not take it.
    pub async fn log_in(
        &self,
        registry: &str,
        credential: Credential,
    ) -> Result<(), RegistryError> {
        let what = match credential.user() {
            Some(user) => format!("logging in as `{user}`"),
            None => "logging in with a token".to_owned(),
        };
        let client = Self::new(Settings {
            credentials: Arc::new(Given(credential)),
            ..self.inner.settings.clone()
        });
        // The registry itself is the last of its servers; its mirrors have logins of their own.
        let server = client.endpoints(registry)?.pop();
        let server = server.ok_or_else(|| RegistryError::NoServer {
            registry: registry.to_owned(),
            purpose: Purpose::Pull,
        })?;
        let call = Call::of_registry(&server, what);
        let url = call.url("")?;
        let answer = client
            .send(&call, &url, |http| http.get(url.clone()))
            .await?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Err(call.protocol("it does not have the API of registries")),
            _ => Err(call.refuse(answer).await),
        }
    }
}
