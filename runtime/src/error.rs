//! What can go wrong, with the place where it did.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::namespace::MissingId;

/// A sandbox or mount that could not be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused something while the sandbox was prepared.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel refused something about a path of the host.
    #[error("cannot {action} `{path}`")]
    Path {
        /// What was tried.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A layer could not be mounted.
    #[error("cannot mount layer `{layer}`")]
    Layer {
        /// Its index or directory.
        layer: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// More layers than an overlay takes.
    #[error("{count} layers are more than the {limit} that can be mounted over one another")]
    TooManyLayers {
        /// How many there are.
        count: usize,
        /// How many can be.
        limit: usize,
    },
    /// A step of the set-up inside the sandbox failed.
    #[error("cannot {stage}{}", .subject.as_ref().map(|subject| format!(" `{subject}`")).unwrap_or_default())]
    Setup {
        /// Which.
        stage: Stage,
        /// The path or name it was about, where there is one.
        subject: Option<String>,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A process or file would belong to nobody.
    #[error(transparent)]
    MissingId(#[from] MissingId),
    /// The program could not be executed.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// An argument, a variable or a path holds a zero byte.
    #[error("{what} holds a zero byte")]
    ZeroByte {
        /// What it is.
        what: &'static str,
    },
    /// There is nothing to execute.
    #[error("no command to run")]
    NoCommand,
    /// The process to enter is gone.
    #[error("the process to enter has ended")]
    Gone,
    /// The threads that hold the mounts have ended.
    #[error("the mount space is closed")]
    Closed,
}

impl Error {
    pub(crate) fn system(action: &'static str) -> impl FnOnce(Errno) -> Self {
        move |error| Self::System {
            action,
            source: error.into(),
        }
    }

    pub(crate) fn path(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(Errno) -> Self {
        move |error| Self::Path {
            action,
            path: path.into(),
            source: error.into(),
        }
    }
}

/// A program that could not be executed, in the cases a shell tells apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// A name without a slash that no directory of `PATH` has.
    #[error("exec `{program}`: executable file not found in $PATH")]
    NotInPath {
        /// The name.
        program: String,
    },
    /// A file that the kernel cannot execute.
    #[error(
        "exec `{program}`: exec format error: it is for another machine, or a script without `#!`; programs of other \
         platforms need QEMU, registered with binfmt_misc (Debian's package `qemu-user-static`)"
    )]
    WrongFormat {
        /// The path.
        program: String,
    },
    /// The file, or the interpreter it names, does not exist.
    #[error("exec `{program}`: no such file or directory")]
    NotFound {
        /// The path.
        program: String,
    },
    /// The file is there but may not be executed, or is a directory.
    #[error("exec `{program}`: permission denied")]
    Denied {
        /// The path or name.
        program: String,
    },
    /// The kernel would not execute it for another reason.
    #[error("exec `{program}`")]
    Failed {
        /// The path or name.
        program: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl ExecError {
    /// The exit code that a shell, and Docker, report for it: 127 for what is not there, else 126.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotInPath { .. } | Self::NotFound { .. } => 127,
            Self::WrongFormat { .. } | Self::Denied { .. } | Self::Failed { .. } => 126,
        }
    }

    pub(crate) fn new(program: String, error: Errno) -> Self {
        match error {
            Errno::NOENT | Errno::NOTDIR if !program.contains('/') => Self::NotInPath { program },
            Errno::NOENT | Errno::NOTDIR => Self::NotFound { program },
            Errno::NOEXEC => Self::WrongFormat { program },
            Errno::ACCESS | Errno::ISDIR => Self::Denied { program },
            error => Self::Failed {
                program,
                source: error.into(),
            },
        }
    }
}

/// The steps of setting up a process, in the order they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Stage {
    /// Session, controlling terminal, standard streams, parent-death signal.
    Session = 1,
    /// Joining the cgroup and its namespace.
    Cgroup,
    /// The host name.
    HostName,
    /// Joining a network.
    Network,
    /// The loopback interface.
    Loopback,
    /// The root file system.
    Root,
    /// Making a mount.
    MakeMount,
    /// Finding a mount's target beneath the root.
    MountTarget,
    /// Making a mount's target below another mount.
    Place,
    /// Attaching a mount.
    Mount,
    /// Hiding a path of the kernel's.
    Mask,
    /// Making a path of the kernel's read-only.
    ReadOnly,
    /// Changing to the new root.
    PivotRoot,
    /// A resource limit.
    Limit,
    /// Capabilities.
    Capabilities,
    /// Groups and user.
    User,
    /// The working directory.
    WorkingDirectory,
    /// The system call filter.
    Seccomp,
    /// The descriptors that stay open.
    Descriptors,
    /// Executing the program.
    Exec,
}

impl Stage {
    const ALL: [Self; 20] = [
        Self::Session,
        Self::Cgroup,
        Self::HostName,
        Self::Network,
        Self::Loopback,
        Self::Root,
        Self::MakeMount,
        Self::MountTarget,
        Self::Place,
        Self::Mount,
        Self::Mask,
        Self::ReadOnly,
        Self::PivotRoot,
        Self::Limit,
        Self::Capabilities,
        Self::User,
        Self::WorkingDirectory,
        Self::Seccomp,
        Self::Descriptors,
        Self::Exec,
    ];

    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage as u32 == number)
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Session => "start a session",
            Self::Cgroup => "join the cgroup",
            Self::HostName => "set the host name",
            Self::Network => "join the network",
            Self::Loopback => "bring up the loopback interface",
            Self::Root => "attach the root file system",
            Self::MakeMount => "make the file system for",
            Self::MountTarget => "find the mount point",
            Self::Place => "make the mount point",
            Self::Mount => "mount on",
            Self::Mask => "mask",
            Self::ReadOnly => "make read-only",
            Self::PivotRoot => "change the root",
            Self::Limit => "set a resource limit",
            Self::Capabilities => "set the capabilities",
            Self::User => "set the user",
            Self::WorkingDirectory => "enter the working directory",
            Self::Seccomp => "install the system call filter",
            Self::Descriptors => "mark the open descriptors",
            Self::Exec => "execute",
        })
    }
}
