//! What a container is, of what was asked for and what its image says. The rules are those of `docker run`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Component, Path};

use image::config::ImageConfig;
use jiff::Timestamp;
use layer::{DiffId, Digest};

use super::environment;
use super::error::ContainerError;
use super::signals;
use super::state::{ContainerConfig, ContainerId, ContainerNetwork, TerminalSize, Volume};

/// When an image is fetched before a container is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// Each time.
    Always,
    /// When the store lacks it.
    #[default]
    Missing,
    /// Never.
    Never,
}

/// A container to be made. What is `None` or empty is as the image says.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// A name, a name with a digest, an id or the unique beginning of one.
    pub image: String,
    /// When the image is fetched.
    pub pull: PullPolicy,
    /// Its name; one is made up if there is none.
    pub name: Option<String>,
    /// Replaces the image's `CMD`.
    pub command: Vec<String>,
    /// Replaces the image's `ENTRYPOINT`, and takes its `CMD` away; an empty one takes it away as well.
    pub entrypoint: Option<Vec<String>>,
    /// Variables: names and values.
    pub env: Vec<(String, String)>,
    /// Replaces the image's `WORKDIR`: absolute.
    pub working_dir: Option<String>,
    /// Replaces the image's `USER`.
    pub user: Option<String>,
    /// The host name.
    pub hostname: Option<String>,
    /// Names and addresses for `/etc/hosts`.
    pub hosts: Vec<(String, IpAddr)>,
    /// The network.
    pub network: ContainerNetwork,
    /// What it sees of the host.
    pub volumes: Vec<Volume>,
    /// It has a terminal, of this size at first.
    pub terminal: Option<TerminalSize>,
    /// Its standard input is kept open.
    pub interactive: bool,
    /// Its root cannot be written.
    pub readonly: bool,
    /// It is removed when it ends.
    pub auto_remove: bool,
    /// Replaces the image's `STOPSIGNAL`.
    pub stop_signal: Option<i32>,
    /// Labels beside those of the image.
    pub labels: Vec<(String, String)>,
}

/// An image that the store has.
#[derive(Debug, Clone)]
pub(super) struct ChosenImage {
    pub(super) id: Digest,
    pub(super) layers: Vec<DiffId>,
    pub(super) config: ImageConfig,
    /// Its layers, which no collector removes while they are held.
    pub(super) held: Vec<cache::Layer>,
}

/// The configuration of a new container, still without a name.
pub(super) fn configure(
    request: &CreateRequest,
    id: ContainerId,
    image: ChosenImage,
) -> Result<ContainerConfig, ContainerError> {
    let ChosenImage {
        id: image_id,
        layers,
        config: ImageConfig { config, .. },
        ..
    } = image;
    let (entrypoint, command) = program(request, config.entrypoint, config.cmd)?;
    check_targets(&request.volumes)?;
    let mut labels = config.labels;
    labels.extend(request.labels.iter().cloned());
    let hosts = request.hosts.iter();
    Ok(ContainerConfig {
        hostname: hostname(request, &id),
        id,
        name: String::new(),
        image: request.image.clone(),
        image_id,
        layers,
        created: Timestamp::now(),
        entrypoint,
        command,
        env: environment::merge(&request.env, &config.env),
        working_dir: working_dir(request.working_dir.as_deref(), config.working_dir)?,
        user: request.user.clone().unwrap_or(config.user),
        network: request.network,
        hosts: hosts
            .map(|(name, address)| format!("{address}\t{name}"))
            .collect(),
        volumes: request.volumes.clone(),
        terminal: request.terminal,
        interactive: request.interactive,
        readonly: request.readonly,
        auto_remove: request.auto_remove,
        stop_signal: stop_signal(request.stop_signal, &config.stop_signal)?,
        labels,
    })
}

/// Entrypoint and command. A new entrypoint does not go with the image's command.
fn program(
    request: &CreateRequest,
    image_entrypoint: Vec<String>,
    image_command: Vec<String>,
) -> Result<(Vec<String>, Vec<String>), ContainerError> {
    let command = request.command.clone();
    let (entrypoint, command) = match &request.entrypoint {
        Some(entrypoint) => (entrypoint.clone(), command),
        None if command.is_empty() => (image_entrypoint, image_command),
        None => (image_entrypoint, command),
    };
    if entrypoint.is_empty() && command.is_empty() {
        return Err(ContainerError::NoCommand);
    }
    Ok((entrypoint, command))
}

fn working_dir(asked: Option<&str>, image: String) -> Result<String, ContainerError> {
    match asked {
        Some(directory) if directory.starts_with('/') => Ok(directory.to_owned()),
        Some(directory) => Err(ContainerError::BadDirectory(directory.to_owned())),
        None if image.is_empty() => Ok("/".to_owned()),
        None if image.starts_with('/') => Ok(image),
        None => Ok(format!("/{image}")),
    }
}

/// Unless it has no network a container has the host's name, else the beginning of its id.
fn hostname(request: &CreateRequest, id: &ContainerId) -> String {
    match (&request.hostname, request.network) {
        (Some(name), _) => name.clone(),
        (None, ContainerNetwork::Default | ContainerNetwork::Host) => {
            let host = rustix::system::uname();
            host.nodename().to_string_lossy().into_owned()
        }
        (None, ContainerNetwork::None) => id.short().to_owned(),
    }
}

/// The signal as it was asked for, or as the image has it if there is one of that name.
fn stop_signal(asked: Option<i32>, image: &str) -> Result<String, ContainerError> {
    match asked {
        Some(number) if runtime::signal(number).is_none() => Err(ContainerError::BadSignal(number)),
        Some(number) => Ok(number.to_string()),
        None if signals::parse(image).is_some() => Ok(image.to_owned()),
        None => Ok("SIGTERM".to_owned()),
    }
}

fn check_targets(volumes: &[Volume]) -> Result<(), ContainerError> {
    let mut seen = BTreeSet::new();
    for volume in volumes {
        let path = Path::new(&volume.target);
        let names = path
            .components()
            .filter(|component| matches!(component, Component::Normal(_)));
        let names: Vec<_> = names.collect();
        let climbs = path
            .components()
            .any(|component| component == Component::ParentDir);
        if !path.is_absolute() || climbs || names.is_empty() {
            return Err(ContainerError::BadTarget(volume.target.clone()));
        }
        if !seen.insert(names) {
            return Err(ContainerError::DuplicateTarget(volume.target.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
