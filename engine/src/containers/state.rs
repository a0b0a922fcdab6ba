//! What the store keeps of a container: one directory each.
//!
//! ```text
//! containers/ID/config   what was asked for; written once
//! containers/ID/state    how it is; replaced whole at each change
//! containers/ID/log      its output, a JSON object a line, as Docker's `json-file` driver writes it
//! containers/ID/upper    its changes
//! containers/ID/work     overlayfs' own
//! containers/ID/stubs    places for mounts that the image lacks
//! containers/names/NAME  a symbolic link whose target is the ID
//! ```
//!
//! Whoever runs the container holds the lock of its id. A container that says `running` and whose lock is free was cut
//! off with its supervisor: it counts as exited with [`LOST`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use layer::{DiffId, Digest};
use serde::{Deserialize, Serialize};

use super::ContainerError;

/// The exit code of a container whose supervisor was killed: that of a process killed by `SIGKILL`.
pub(super) const LOST: i32 = 137;

/// A container's name in the store: 64 hexadecimal digits, as Docker's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(String);

impl ContainerId {
    /// A new one.
    pub(super) fn random() -> Result<Self, ContainerError> {
        let mut halves = [[0; 16]; 2];
        for half in &mut halves {
            // So few bytes are never cut short.
            let flags = rustix::rand::GetRandomFlags::empty();
            rustix::rand::getrandom(half, flags).map_err(|error| {
                ContainerError::io("get random bytes from", "the kernel", error.into())
            })?;
        }
        let [high, low] = halves.map(u128::from_be_bytes);
        Ok(Self(format!("{high:032x}{low:032x}")))
    }

    /// All digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the lock of the container is taken by.
    pub(super) fn key(&self) -> [u8; 32] {
        solver::KeyWriter::new("rbuild container", 1)
            .text(&self.0)
            .finish()
    }

    /// The first twelve, which are shown.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }

    /// Takes a directory's name for an id if it is one.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let valid = name.len() == 64 && name.bytes().all(is_digit);
        valid.then(|| Self(name.to_owned()))
    }
}

impl std::fmt::Display for ContainerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The network of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerNetwork {
    /// One of an ordinary user's containers that is connected to the host's, where that can be; else the host's.
    #[default]
    Default,
    /// The host's.
    Host,
    /// Only a loopback device.
    None,
}

/// How large a terminal is, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Its width.
    pub columns: u16,
    /// Its height.
    pub rows: u16,
}

impl From<TerminalSize> for runtime::TerminalSize {
    fn from(TerminalSize { columns, rows }: TerminalSize) -> Self {
        Self { rows, columns }
    }
}

/// A directory or file of the host that a container sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// On the host: absolute.
    pub source: PathBuf,
    /// In the container: absolute.
    pub target: String,
    /// Cannot be written.
    pub readonly: bool,
}

/// What a container is: fixed when it is made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// Its identifier.
    pub id: ContainerId,
    /// Its name, unique in the store.
    pub name: String,
    /// The image as it was asked for.
    pub image: String,
    /// The image's id.
    pub image_id: Digest,
    /// The image's layers, lowest first.
    pub layers: Vec<DiffId>,
    /// When it was made.
    pub created: Timestamp,
    /// What it runs; may be empty.
    pub entrypoint: Vec<String>,
    /// Arguments for the entrypoint or, without one, what it runs.
    pub command: Vec<String>,
    /// `NAME=value`: what was asked for and what the image adds. What every container has is not among them.
    pub env: Vec<String>,
    /// Absolute.
    pub working_dir: String,
    /// As written; empty for root.
    pub user: String,
    /// Its host name.
    pub hostname: String,
    /// Its network.
    pub network: ContainerNetwork,
    /// Lines added to `/etc/hosts`.
    pub hosts: Vec<String>,
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
    /// The signal that asks it to stop.
    pub stop_signal: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl ContainerConfig {
    /// What it runs, with all arguments.
    pub fn args(&self) -> Vec<String> {
        [&*self.entrypoint, &*self.command].concat()
    }
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Running.
    Running {
        /// The host's number of its first process.
        pid: u32,
        /// When that process started, in the kernel's clock ticks since boot: tells it from a later one of its number.
        ticks: u64,
        /// Since when.
        started: Timestamp,
    },
    /// Ended.
    Exited {
        /// When it was started.
        started: Timestamp,
        /// When it ended.
        finished: Timestamp,
        /// 0 to 255; 128 and the signal's number for one that was killed.
        code: i32,
        /// Why it could not be started; empty if it was.
        error: String,
    },
}

/// The directory of a container.
#[derive(Debug, Clone)]
pub(super) struct ContainerDir(PathBuf);

impl ContainerDir {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub(super) fn upper(&self) -> PathBuf {
        self.0.join("upper")
    }

    pub(super) fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    pub(super) fn stubs(&self) -> PathBuf {
        self.0.join("stubs")
    }

    /// Makes the directory with its configuration.
    pub(super) fn create(&self, config: &ContainerConfig) -> Result<(), ContainerError> {
        for path in [self.0.clone(), self.upper(), self.work()] {
            fs::create_dir_all(&path)
                .map_err(|error| ContainerError::io("make", path.display(), error))?;
        }
        self.write("config", config)?;
        self.set_state(&ContainerState::Created)
    }

    pub(super) fn config(&self) -> Result<ContainerConfig, ContainerError> {
        self.read("config")
    }

    pub(super) fn state(&self) -> Result<ContainerState, ContainerError> {
        self.read("state")
    }

    pub(super) fn set_state(&self, state: &ContainerState) -> Result<(), ContainerError> {
        self.write("state", state)
    }

    fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, ContainerError> {
        let path = self.0.join(name);
        let failed = |error| ContainerError::io("read", path.display(), error);
        let bytes = fs::read(&path).map_err(failed)?;
        serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), ContainerError> {
        let path = self.0.join(name);
        let temporary = self.0.join(format!(".{name}.{}", std::process::id()));
        let write = || {
            fs::write(&temporary, serde_json::to_vec(value)?)?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|error| ContainerError::io("write", path.display(), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_are_written() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let container = ContainerDir::new(directory.path().join("c"));
        fs::create_dir(container.path()).expect("an empty place");
        let time = Timestamp::UNIX_EPOCH;
        let states = [
            ContainerState::Created,
            ContainerState::Running {
                pid: 7,
                ticks: 9,
                started: time,
            },
            ContainerState::Exited {
                started: time,
                finished: time,
                code: 137,
                error: String::new(),
            },
        ];
        for state in states {
            container.set_state(&state).expect("writable");
            assert_eq!(container.state().expect("readable"), state);
        }
        let left = fs::read_dir(container.path()).expect("a directory").count();
        assert_eq!(left, 1, "no temporary file is left");
    }

    #[test]
    fn identifiers_are_64_digits() {
        let id = ContainerId::random().expect("random bytes");
        assert_eq!(ContainerId::parse(id.as_str()), Some(id.clone()));
        assert_eq!(id.short().len(), 12);
        for name in ["", "abc", &"g".repeat(64), "../../../../etc/passwd"] {
            assert_eq!(ContainerId::parse(name), None, "{name}");
        }
    }
}
