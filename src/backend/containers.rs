//! Containers, as the commands see them.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::SystemTime;

use engine::containers::TerminalSize;
use engine::event::Stream;

use super::images::ContainerNetwork;
use crate::error::BackendError;

/// When an image is fetched before it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum PullPolicy {
    /// Each time
    Always,
    /// When the store lacks it
    #[default]
    Missing,
    /// Never
    Never,
}

/// A path of the host in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumeMount {
    pub source: PathBuf,
    pub target: String,
    pub read_only: bool,
}

/// A container to be made. What is `None` or empty is as the image says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RunRequest {
    pub image: String,
    /// What stands after the image; replaces its `CMD`.
    pub args: Vec<String>,
    /// Replaces the image's `ENTRYPOINT`; an empty one takes it away.
    pub entrypoint: Option<Vec<String>>,
    pub name: Option<String>,
    pub env: Vec<(String, String)>,
    pub volumes: Vec<VolumeMount>,
    pub workdir: Option<String>,
    pub user: Option<String>,
    pub hostname: Option<String>,
    pub hosts: Vec<(String, IpAddr)>,
    pub network: ContainerNetwork,
    pub read_only: bool,
    pub pull: PullPolicy,
    pub stop_signal: Option<i32>,
    /// It has a terminal, of this size at first.
    pub tty: Option<TerminalSize>,
    /// Its standard input stays open.
    pub stdin: bool,
    /// It is removed when it ends.
    pub remove: bool,
}

/// A process to be started in a running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExecRequest {
    pub container: String,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub workdir: Option<String>,
    pub user: Option<String>,
    /// It has a terminal, of this size at first.
    pub tty: Option<TerminalSize>,
    pub stdin: bool,
    /// Nobody reads its output.
    pub detach: bool,
}

/// A started process and the ends of its streams that are ours.
#[derive(Debug)]
pub(crate) struct Attached<P> {
    pub process: P,
    pub streams: Streams,
}

/// Blocking file descriptors. With a terminal `stdin` and `stdout` are both its other end, and there is no `stderr`.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
}

/// A running process.
pub(crate) trait Process {
    /// Waits for its end.
    async fn wait(&self) -> Result<Ended, BackendError>;

    /// Sends it a signal; none when it has ended.
    fn signal(&self, signal: i32) -> Result<(), BackendError>;

    /// Tells its terminal its size.
    fn resize(&self, size: TerminalSize) -> Result<(), BackendError>;
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself.
    Exited(u8),
    /// By a signal.
    Signaled(u8),
}

impl Ended {
    /// The exit code that stands for it.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => 128_u8.saturating_add(signal),
        }
    }
}

/// Where a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerState {
    /// Never started.
    Created,
    /// At work.
    Running { since: SystemTime, pid: u32 },
    /// Over.
    Exited { code: u8, at: SystemTime },
}

/// A container in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerSummary {
    /// 64 hexadecimal digits.
    pub id: String,
    pub name: String,
    /// The image as it was named.
    pub image: String,
    /// Entrypoint and arguments.
    pub command: Vec<String>,
    pub created: SystemTime,
    pub state: ContainerState,
    pub network: ContainerNetwork,
}

/// All about a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerDetail {
    pub summary: ContainerSummary,
    /// `sha256:…`.
    pub image_id: String,
    pub started: Option<SystemTime>,
    pub env: Vec<(String, String)>,
    pub volumes: Vec<VolumeMount>,
    pub workdir: String,
    pub user: String,
    pub hostname: String,
    pub entrypoint: Vec<String>,
    pub args: Vec<String>,
    pub labels: Vec<(String, String)>,
    pub tty: bool,
    pub stdin: bool,
    pub read_only: bool,
    pub remove: bool,
}

/// Which output of a container is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogQuery {
    pub container: String,
    /// Go on until the container ends.
    pub follow: bool,
    /// Only the last lines.
    pub tail: Option<usize>,
}

/// A piece of a container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogPiece {
    pub at: SystemTime,
    pub stream: Stream,
    /// A whole line with its end, or the beginning of one.
    pub bytes: Vec<u8>,
}
