//! The registry client with the user's credentials and configuration.

use std::sync::Arc;

use image::registry::{self, Client, Hosts};

use super::login::auth_files;
use crate::engine::{Engine, Settings};
use crate::progress::Row;

/// The client of an engine. Files are read when they are needed.
pub(crate) fn registry_client(settings: &Settings) -> Client {
    Client::new(registry::Settings {
        credentials: Arc::new(auth_files(settings)),
        hosts: Hosts::new(settings.registries.clone()),
        proxies: settings.proxies.clone(),
        ..registry::Settings::default()
    })
}

impl Engine {
    /// Warns of the mirrors that failed, each once: another server had what was wanted, and nothing else tells of them.
    pub(super) fn tell_of_failed_servers(&self, row: &Row) {
        for passed in self.registry().take_passed_over() {
            row.warn(format!(
                "`{}` was passed over: {}",
                passed.server, passed.reason
            ));
        }
    }
}
