//! What a sandbox is to be.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::enter::Identity;
use super::terminal::TerminalSize;
use crate::capability::Capabilities;
use crate::mount::{Lower, Upper};
use crate::user::User;

/// The directories that every sandbox mounts its own file systems on. Like the target of any mount they must exist in
/// the root file system, if need be in its stubs.
pub const SYSTEM_DIRECTORIES: [&str; 3] = ["/proc", "/sys", "/dev"];

/// A process and all around it.
#[derive(Debug)]
pub struct Spec {
    /// Its root file system.
    pub root: Root,
    /// The process.
    pub process: Process,
    /// Its standard streams.
    pub stdio: Stdio,
    /// The host name it sees.
    pub host_name: String,
    /// Its network.
    pub network: Network,
    /// How far it is kept from the kernel and the machine's devices.
    pub isolation: Isolation,
    /// How much `/dev/shm` may hold, in bytes; `None` is Docker's 64 MiB.
    pub shared_memory: Option<u64>,
    /// Mounts, made in this order after those of the system.
    pub mounts: Vec<Mount>,
}

/// A root file system.
#[derive(Debug, Clone, Default)]
pub struct Root {
    /// Its layers, lowest first; at most [`crate::MAX_LOWERS`] different ones with the stubs.
    pub lowers: Vec<Lower>,
    /// A directory made by [`crate::prepare_stubs`] with the targets of mounts that the layers lack. It lies between the
    /// layers and the changes, so that what is only there to be mounted on never becomes a change.
    pub stubs: Option<PathBuf>,
    /// Where changes go; `None` makes the root read-only.
    pub upper: Option<Upper>,
}

/// What is executed, and with which powers.
#[derive(Debug, Clone)]
pub struct Process {
    /// The program and its arguments. A name without a slash is looked up in `PATH` of `env`.
    pub args: Vec<String>,
    /// The environment: names and values.
    pub env: Vec<(String, String)>,
    /// The working directory, which must exist.
    pub cwd: PathBuf,
    /// The user.
    pub user: User,
    /// What may be used of the superuser's powers: all of it at once as user 0, else what set-user-ID programs can gain.
    pub capabilities: Capabilities,
    /// Whether set-user-ID programs gain nothing.
    pub no_new_privileges: bool,
    /// Whether Docker's default filter is put over system calls.
    pub filter_calls: bool,
    /// Resource limits. What exceeds the caller's own hard limit, where it may not raise that, is cut to it.
    pub limits: Vec<Limit>,
}

impl Process {
    /// A process of user 0 with Docker's defaults, in `/`, with no environment.
    pub fn new(args: Vec<String>) -> Self {
        Self {
            args,
            env: vec![],
            cwd: PathBuf::from("/"),
            user: User::root(),
            capabilities: Capabilities::DEFAULT,
            no_new_privileges: false,
            filter_calls: true,
            limits: vec![],
        }
    }
}

/// A limit of a resource (`setrlimit(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Of what.
    pub resource: Resource,
    /// The value in force; `None` is no limit.
    pub soft: Option<u64>,
    /// How far the process may raise it.
    pub hard: Option<u64>,
}

pub use rustix::process::Resource;

/// What a sandbox sees of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// All that the host sees.
    #[default]
    Host,
    /// For an ordinary user one of its own that is connected to the host's, where there is what connects it; else the
    /// host's ([`crate::Runtime::own_network`] says which, and why).
    Own,
    /// A loopback interface of its own.
    None,
    /// That of a process, such as the first of another sandbox.
    Of(Identity),
}

/// How far a sandbox is kept from the kernel and the machine's devices, beside the powers of its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// As Docker's containers are: what the kernel shows of itself is hidden or read-only in part, and few devices can be
    /// used.
    #[default]
    Full,
    /// As Docker's privileged containers are: all of it can be seen and written to, and all devices can be used.
    Open,
}

/// Something mounted in the sandbox.
#[derive(Debug)]
pub struct Mount {
    /// Where, beneath the root. Symbolic links on the way are followed inside the root. It must exist, as a directory
    /// unless a single file is mounted.
    pub target: PathBuf,
    /// What.
    pub source: Source,
    /// Whether it can't be written to.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug)]
pub enum Source {
    /// A file or directory of the host.
    Bind {
        /// Its path.
        path: PathBuf,
        /// Whether what is mounted below it comes along.
        recursive: bool,
    },
    /// An open file or directory of the host; `O_PATH` is enough.
    Open(OwnedFd),
    /// An empty file system in memory.
    Tmpfs {
        /// How much it may take, in bytes; `None` is the kernel's default of half the memory.
        size: Option<u64>,
        /// The permissions of its root.
        mode: u32,
    },
    /// A file that exists in memory only.
    File {
        /// Its bytes.
        content: Vec<u8>,
        /// Its permissions.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// A file or directory of merged layers. Written to, unless read-only, it keeps the changes in memory for as long as
    /// the sandbox lives.
    View {
        /// The layers, lowest first.
        lowers: Vec<Lower>,
        /// What of them; empty or `/` is all. Symbolic links are followed inside the layers.
        path: PathBuf,
        /// Whether that is a directory.
        directory: bool,
    },
}

/// Where a process's standard streams go.
#[derive(Debug)]
pub enum Stdio {
    /// Each somewhere of its own.
    Streams {
        /// What it reads.
        stdin: Stream,
        /// What it writes.
        stdout: Stream,
        /// What it complains.
        stderr: Stream,
    },
    /// All to a new terminal of this size, which controls the process's session.
    Terminal(TerminalSize),
}

impl Stdio {
    /// Nothing to read, and nobody who listens.
    pub fn null() -> Self {
        Self::Streams {
            stdin: Stream::Null,
            stdout: Stream::Null,
            stderr: Stream::Null,
        }
    }

    /// Nothing to read, and pipes for both outputs.
    pub fn piped() -> Self {
        Self::Streams {
            stdin: Stream::Null,
            stdout: Stream::Pipe,
            stderr: Stream::Pipe,
        }
    }
}

/// One standard stream.
#[derive(Debug)]
pub enum Stream {
    /// `/dev/null`.
    Null,
    /// A pipe, whose other end [`crate::Child`] has.
    Pipe,
    /// This file.
    Open(OwnedFd),
}
