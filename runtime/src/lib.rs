//! The sandbox that build steps and containers run in: a process with namespaces of its own, a root file system of
//! merged layers, few powers and few system calls.
//!
//! [`Runtime`] makes them from a [`Spec`]; a [`Child`] is one that runs. Nothing here knows images or Dockerfiles. Nothing
//! is mounted where the host sees it, and nothing is left, whichever way the process that uses this ends.
//!
//! Linux 5.12 is needed, and the superuser or a [user namespace](enter_user_namespace).
#![expect(
    unsafe_code,
    reason = "the kernel calls of a sandbox have no safe wrappers"
)]

mod capability;
mod cgroup;
mod error;
mod helper;
mod mount;
mod namespace;
mod network;
mod runtime;
mod sandbox;
mod seal;
mod seccomp;
mod signal;
mod sys;
mod user;
mod worker;

pub use capability::{Capabilities, Capability};
pub use error::{Error, ExecError, Stage};
pub use helper::helper;
pub use mount::{Lower, MAX_LOWERS, Unsupported, Upper, erofs_supported};
pub use namespace::{
    Ids, MissingId, NamespaceError, Refusal, Shortfall, enter_user_namespace, is_superuser,
    join_user_namespace,
};
pub use network::NoOwnNetwork;
pub use runtime::Runtime;
pub use rustix::process::Signal;
pub use sandbox::{
    Child, ExitStatus, Identity, Isolation, Limit, Mount, Network, Parent, Process, Resource, Root,
    SYSTEM_DIRECTORIES, Source, Spec, Stdio, Stream, Stub, StubKind, Terminal, TerminalSize,
    prepare_stubs,
};
pub use seal::seal_executable;
pub use signal::signal;
pub use user::{User, UserError, resolve_group, resolve_user};
