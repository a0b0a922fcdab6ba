//! What the engine can do on this machine for this user, found by trying.

use std::path::PathBuf;
use std::sync::Arc;

pub use runtime::{NamespaceError, NoOwnNetwork, Shortfall, Unsupported};

use crate::engine::Engine;
use crate::error::StepError;

/// What works, and why the rest does not.
#[derive(Debug)]
pub struct Abilities {
    /// Where everything is kept.
    pub store: PathBuf,
    /// Why there is only one user and one group for files and processes.
    pub single_id: Option<Shortfall>,
    /// Whether layers are mounted as they are stored. If not they are unpacked first.
    pub mounted_layers: Result<(), Unsupported>,
    /// Whether commands run in a network apart from the host's. If not they are in that. An error here is one that
    /// keeps them from running at all.
    pub own_network: Result<Result<(), NoOwnNetwork>, Arc<NamespaceError>>,
}

impl Engine {
    /// Finds out what works.
    pub fn abilities(&self) -> Result<Abilities, StepError> {
        let ids = self.ids()?;
        let own_network = match &self.settings().powerless {
            Some(reason) => Err(Arc::clone(reason)),
            None => Ok(self.runtime()?.own_network().map_err(Clone::clone)),
        };
        Ok(Abilities {
            store: self.store().root().to_owned(),
            single_id: ids.shortfall(),
            mounted_layers: runtime::erofs_supported(self.store().root()),
            own_network,
        })
    }
}
