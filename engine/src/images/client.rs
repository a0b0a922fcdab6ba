//! The registry client with the user's credentials and configuration.

use std::sync::Arc;

use image::registry::{self, Client, Hosts};

use super::login::auth_files;
use crate::engine::Settings;

/// The client of an engine. Files are read when they are needed.
pub(crate) fn registry_client(settings: &Settings) -> Client {
    Client::new(registry::Settings {
        credentials: Arc::new(auth_files(settings)),
        hosts: Hosts::new(settings.registries.clone()),
        proxies: settings.proxies.clone(),
        ..registry::Settings::default()
    })
}
