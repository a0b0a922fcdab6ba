//! Finding containers, and how they are.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use cache::Bucket;
use jiff::Timestamp;
use layer::Digest;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::error::ContainerError;
use super::names;
use super::state::{ContainerConfig, ContainerDir, ContainerId, ContainerState, LOST};
use crate::engine::Engine;

/// A container as it is at the moment.
#[derive(Debug, Clone)]
pub struct Container {
    /// What it is.
    pub config: ContainerConfig,
    /// How it is.
    pub state: ContainerState,
}

/// A container's directory held open: it can be read to the end, even if the container is removed meanwhile.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) id: ContainerId,
    pub(super) dir: ContainerDir,
    _directory: OwnedFd,
}

impl Engine {
    /// All containers, the newest first. Those that cannot be read are left out.
    pub fn containers(&self) -> Result<Vec<Container>, ContainerError> {
        let mut containers = Vec::new();
        for id in self.container_ids()? {
            match self.container_of(&id) {
                Ok(container) => containers.push(container),
                // Removed meanwhile, or damaged: neither must hide the others.
                Err(ContainerError::NotFound(_) | ContainerError::Io { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        containers.sort_by_key(|container| std::cmp::Reverse(container.config.created));
        Ok(containers)
    }

    /// One container, by name, id or the unique beginning of an id.
    pub fn container(&self, name: &str) -> Result<Container, ContainerError> {
        self.container_of(&self.find_container(name)?)
    }

    /// The id of a container that was made of an image.
    pub fn container_of_image(
        &self,
        image: &Digest,
    ) -> Result<Option<ContainerId>, ContainerError> {
        for id in self.container_ids()? {
            if let Ok(config) = self.container_dir(&id).config()
                && config.image_id == *image
            {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// The id that a name, an id or the beginning of one means.
    pub(super) fn find_container(&self, name: &str) -> Result<ContainerId, ContainerError> {
        let absent = || ContainerError::NotFound(name.to_owned());
        if let Some(id) = ContainerId::parse(name) {
            return if names::exists(self.store(), &id) {
                Ok(id)
            } else {
                Err(absent())
            };
        }
        if let Ok(bare) = names::check(name)
            && let Some(id) = names::owner(self.store(), bare)?
            && names::exists(self.store(), &id)
        {
            return Ok(id);
        }
        if name.is_empty() {
            return Err(absent());
        }
        let ids = self.container_ids()?;
        let mut fitting = ids.into_iter().filter(|id| id.as_str().starts_with(name));
        match (fitting.next(), fitting.next()) {
            (None, _) => Err(absent()),
            (Some(id), None) => Ok(id),
            (Some(_), Some(_)) => Err(ContainerError::Ambiguous(name.to_owned())),
        }
    }

    /// A container, held so that it can be watched.
    pub(super) fn hold_container(&self, name: &str) -> Result<Held, ContainerError> {
        let id = self.find_container(name)?;
        let path = self.container_dir(&id);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = match openat(CWD, path.path(), flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Err(ContainerError::NotFound(name.to_owned())),
            opened => opened
                .map_err(|error| ContainerError::io("open", path.path().display(), error.into()))?,
        };
        let through = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        Ok(Held {
            id,
            dir: ContainerDir::new(through),
            _directory: directory,
        })
    }

    /// How a container is, by its directory. One that says that it runs but is not supervised any more has been cut
    /// off; that is noted, and what was to be removed at its end is removed.
    pub(super) fn observe(
        &self,
        id: &ContainerId,
        dir: &ContainerDir,
    ) -> Result<ContainerState, ContainerError> {
        self.observed(id, dir).map_err(|error| {
            if error.is_absence() {
                ContainerError::NotFound(id.to_string())
            } else {
                error
            }
        })
    }

    fn observed(
        &self,
        id: &ContainerId,
        dir: &ContainerDir,
    ) -> Result<ContainerState, ContainerError> {
        let state = dir.state()?;
        if !matches!(state, ContainerState::Running { .. }) || self.store().is_held(&id.key())? {
            return Ok(state);
        }
        let Some(_supervising) = self.store().try_exclusive(&id.key())? else {
            return dir.state();
        };
        // It may have ended in good order since.
        let ContainerState::Running { started, .. } = dir.state()? else {
            return dir.state();
        };
        let lost = ContainerState::Exited {
            started,
            finished: Timestamp::now(),
            code: LOST,
            error: String::new(),
        };
        dir.set_state(&lost)?;
        let config = dir.config()?;
        if config.auto_remove {
            self.erase_container(&config)?;
        }
        Ok(lost)
    }

    /// Whether somebody runs a container, or is about to.
    pub(super) fn is_supervised(&self, id: &ContainerId) -> Result<bool, ContainerError> {
        Ok(self.store().is_held(&id.key())?)
    }

    fn container_of(&self, id: &ContainerId) -> Result<Container, ContainerError> {
        let dir = self.container_dir(id);
        // The state last: it may be that the container is removed at its sight.
        let config = dir.config()?;
        let state = self.observe(id, &dir)?;
        Ok(Container { config, state })
    }

    /// What each container needs, by its name. Nothing is noted and nothing removed on the way.
    pub(crate) fn container_roots(&self) -> Result<cache::Roots, ContainerError> {
        let mut roots = cache::Roots::default();
        for id in self.container_ids()? {
            match self.container_dir(&id).config() {
                Ok(config) => {
                    let root = (config.name, config.image_id, config.layers);
                    roots.containers.push(root);
                }
                Err(error) if error.is_absence() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(roots)
    }

    fn container_ids(&self) -> Result<Vec<ContainerId>, ContainerError> {
        let all = self.store().directory(Bucket::Containers);
        let failed = |error| ContainerError::io("list", all.display(), error);
        let entries = match fs::read_dir(&all) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            ids.extend(name.to_str().and_then(ContainerId::parse));
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests;
