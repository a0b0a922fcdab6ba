//! Removing containers.

use std::time::Duration;

use tokio::time::sleep;

use super::error::ContainerError;
use super::names::Names;
use super::signals;
use super::state::{ContainerConfig, ContainerState};
use crate::engine::Engine;

/// How long others are let finish.
const PAUSE: Duration = Duration::from_millis(1);

impl Engine {
    /// Removes a container; one that runs only with `force`, which kills it first.
    pub async fn remove_container(&self, name: &str, force: bool) -> Result<(), ContainerError> {
        let held = self.hold_container(name)?;
        let config = held.dir.config()?;
        loop {
            // Whatever its state says, nobody runs it while this is held.
            if let Some(_alone) = self.store().try_exclusive(&held.id.key())? {
                return self.erase_container(&config);
            }
            match self.observe(&held.id, &held.dir)? {
                ContainerState::Running { .. } if !force => {
                    return Err(ContainerError::StillRunning(config.name));
                }
                ContainerState::Running { .. } => {
                    self.signal_container(&held, signals::KILL)?;
                    self.container_end(&held).await?;
                }
                // It is being started, or its end is being written down.
                ContainerState::Created | ContainerState::Exited { .. } => sleep(PAUSE).await,
            }
        }
    }

    /// Takes a container that does not run out of the store. What is gone already is no error.
    pub(super) fn erase_container(&self, config: &ContainerConfig) -> Result<(), ContainerError> {
        let names = Names::lock(self.store())?;
        self.store()
            .discard(self.container_dir(&config.id).path())?;
        names.take(&config.name, &config.id)
    }
}
