//! All that a new process needs to set itself up, made ready before it exists.
//!
//! The process may share memory with its parent until it executes its program, so it allocates nothing, locks nothing,
//! frees nothing: it walks this plan, and says by numbers what failed.

use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;

use rustix::process::{Gid, Resource, Uid};

use crate::capability::Capabilities;
use crate::error::{Error, ExecError, Stage};
use crate::seccomp::Filter;
use crate::sys::MountAttributes;

/// The plan.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where a failure is reported; closes without a word when the program starts. The process has its own copy of the
    /// descriptor, and the parent closes its own early.
    pub(super) status: BorrowedFd<'static>,
    /// Standard input, output and error; none of them is numbered below 3.
    pub(super) stdio: [OwnedFd; 3],
    /// Whether standard input is a terminal to take control of.
    pub(super) terminal: bool,
    /// Files of cgroup v1 to write to in order to join.
    pub(super) join: Vec<OwnedFd>,
    /// What a process that does not enter an existing sandbox makes.
    pub(super) surroundings: Option<Surroundings>,
    /// Limits, as soft and hard values.
    pub(super) limits: Vec<(Resource, Option<u64>, Option<u64>)>,
    /// Who it becomes.
    pub(super) credentials: Credentials,
    /// The working directory.
    pub(super) cwd: CString,
    /// What it executes.
    pub(super) program: Program,
}

/// The sandbox around a process.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) host_name: String,
    pub(super) loopback: bool,
    /// A network namespace to join.
    pub(super) network: Option<OwnedFd>,
    pub(super) cgroup_namespace: bool,
    /// The root file system, a detached mount.
    pub(super) root: OwnedFd,
    /// Detached mounts that parts are taken from; they don't stay.
    pub(super) sources: Vec<OwnedFd>,
    pub(super) operations: Vec<Operation>,
}

/// One thing to do below the new root. Targets are relative to it.
#[derive(Debug)]
pub(super) enum Operation {
    /// Makes a file system and mounts it.
    Make {
        file_system: &'static FileSystem,
        target: &'static CStr,
    },
    /// Fills a fresh `/dev` with links and directories, and with `nodes` unless these are mounted.
    FillDevices { nodes: bool },
    /// Makes a place to mount on below another mount; what exists stays.
    Place {
        parent: CString,
        name: CString,
        directory: bool,
    },
    /// Mounts a detached mount.
    Attach { mount: OwnedFd, target: CString },
    /// Mounts a detached mount on a place of the system's own, to which no link leads.
    AttachItself { mount: OwnedFd, target: CString },
    /// Mounts a part of one of the sources.
    AttachPart {
        source: usize,
        path: CString,
        attributes: MountAttributes,
        target: CString,
    },
    /// Makes the terminal the console.
    Console,
    /// Hides a path, if it exists.
    Mask(&'static CStr),
    /// Makes a path read-only, if it exists.
    ReadOnly(&'static CStr),
}

/// A file system that every sandbox gets one of.
#[derive(Debug)]
pub(super) struct FileSystem {
    pub(super) kind: &'static CStr,
    pub(super) options: &'static [(&'static CStr, &'static CStr)],
    pub(super) attributes: MountAttributes,
}

impl Operation {
    /// What to name in an error about it.
    fn subject(&self) -> String {
        if let Self::Place { parent, name, .. } = self {
            return format!("/{}/{}", parent.to_string_lossy(), name.to_string_lossy());
        }
        let path: &CStr = match self {
            Self::Make { target, .. } => target,
            Self::FillDevices { .. } | Self::Place { .. } => c"dev",
            Self::Attach { target, .. }
            | Self::AttachItself { target, .. }
            | Self::AttachPart { target, .. } => target,
            Self::Console => c"dev/console",
            Self::Mask(path) | Self::ReadOnly(path) => path,
        };
        format!("/{}", path.to_string_lossy().trim_start_matches('/'))
    }
}

/// The identity and powers of a process.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    /// `None` where they can't be changed.
    pub(super) groups: Option<Vec<Gid>>,
    /// What it keeps.
    pub(super) capabilities: Capabilities,
    /// What no program it executes may gain, so far as it could.
    pub(super) unbound: Capabilities,
    pub(super) no_new_privileges: bool,
    pub(super) filter: Option<Filter>,
}

/// A program with its arguments and environment, as the kernel takes them.
pub(super) struct Program {
    /// The paths to try, in order.
    pub(super) candidates: Vec<CString>,
    arguments: Strings,
    environment: Strings,
}

/// Strings behind an array of pointers that ends with null.
struct Strings {
    owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers point into the strings beside them, which nobody changes.
unsafe impl Send for Strings {}

impl Strings {
    fn new(owned: Vec<CString>) -> Self {
        let pointers = owned.iter().map(|string| string.as_ptr());
        let pointers = pointers.chain([ptr::null()]).collect();
        Self { owned, pointers }
    }
}

/// Where programs are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Program {
    pub(super) fn new(args: &[String], env: &[(String, String)]) -> Result<Self, Error> {
        let name = args.first().ok_or(Error::NoCommand)?;
        let path = env.iter().rev().find(|(key, _)| key == "PATH");
        let path = path.map_or(DEFAULT_PATH, |(_, value)| value);
        let candidates = if name.contains('/') || name.is_empty() {
            vec![c_string(name.as_bytes(), "the program")?]
        } else {
            path.split(':')
                .map(|directory| if directory.is_empty() { "." } else { directory })
                .map(|directory| c_string(format!("{directory}/{name}").as_bytes(), "the program"))
                .collect::<Result<_, _>>()?
        };
        let arguments = args
            .iter()
            .map(|argument| c_string(argument.as_bytes(), "an argument"));
        let environment = env
            .iter()
            .map(|(key, value)| c_string(format!("{key}={value}").as_bytes(), "a variable"));
        Ok(Self {
            candidates,
            arguments: Strings::new(arguments.collect::<Result<_, _>>()?),
            environment: Strings::new(environment.collect::<Result<_, _>>()?),
        })
    }

    /// Pointers to the arguments, ended by null.
    pub(super) fn arguments(&self) -> &[*const c_char] {
        &self.arguments.pointers
    }

    /// Pointers to the variables, ended by null.
    pub(super) fn environment(&self) -> &[*const c_char] {
        &self.environment.pointers
    }

    fn name(&self) -> String {
        let name = self.arguments.owned.first();
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("candidates", &self.candidates)
            .finish_non_exhaustive()
    }
}

pub(super) fn c_string(bytes: &[u8], what: &'static str) -> Result<CString, Error> {
    CString::new(bytes).map_err(|_| Error::ZeroByte { what })
}

/// What a process reports when it can't set itself up: three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) stage: Stage,
    pub(super) error: rustix::io::Errno,
    /// Which operation, or which limit.
    pub(super) index: u32,
}

impl Failure {
    pub(super) const SIZE: usize = 12;

    pub(super) fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&(self.stage as u32).to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.error.raw_os_error().to_ne_bytes());
        bytes[8..].copy_from_slice(&self.index.to_ne_bytes());
        bytes
    }

    /// The failure that was reported, if whole.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            let word = bytes.get(at..at + 4)?;
            Some(u32::from_ne_bytes(word.try_into().ok()?))
        };
        Some(Self {
            stage: Stage::from_number(number(0)?)?,
            error: rustix::io::Errno::from_raw_os_error(number(4)? as i32),
            index: number(8)?,
        })
    }

    /// The failure in words, with the names from the plan that failed.
    pub(super) fn explain(self, plan: &Plan) -> Error {
        let operation = || {
            let surroundings = plan.surroundings.as_ref()?;
            let operation = surroundings.operations.get(self.index as usize)?;
            Some(operation.subject())
        };
        let subject = match self.stage {
            Stage::Exec => return ExecError::new(plan.program.name(), self.error).into(),
            Stage::MakeMount
            | Stage::MountTarget
            | Stage::Place
            | Stage::Mount
            | Stage::Mask
            | Stage::ReadOnly => operation(),
            Stage::WorkingDirectory => Some(plan.cwd.to_string_lossy().into_owned()),
            Stage::Limit => plan
                .limits
                .get(self.index as usize)
                .map(|(resource, ..)| format!("{resource:?}")),
            _ => None,
        };
        Error::Setup {
            stage: self.stage,
            subject,
            source: self.error.into(),
        }
    }
}

impl Plan {
    /// The descriptors of the standard streams, in order.
    pub(super) fn streams(&self) -> [BorrowedFd<'_>; 3] {
        self.stdio.each_ref().map(OwnedFd::as_fd)
    }
}
