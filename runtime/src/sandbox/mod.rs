//! Processes in namespaces of their own, with a root file system made of layers.

mod child;
mod enter;
mod execute;
mod init;
mod launch;
mod paths;
mod plan;
mod prepare;
mod spec;
mod stdio;
mod stubs;
mod terminal;

use std::os::fd::OwnedFd;
use std::sync::Arc;

pub use child::{Child, ExitStatus};
pub use enter::Identity;
pub use spec::{
    Isolation, Limit, Mount, Network, Process, Resource, Root, SYSTEM_DIRECTORIES, Source, Spec,
    Stdio, Stream,
};
pub use stubs::{Parent, Stub, StubKind, prepare_stubs};
pub use terminal::{Terminal, TerminalSize};

pub(crate) use launch::Launcher;
pub(crate) use prepare::Possible;

use self::child::Reaper;
use self::launch::{Status, launch};
use crate::error::Error;
use crate::runtime::Shared;
use crate::sys::CloneFlags;

/// Makes a sandbox and starts its first process.
pub(crate) fn spawn(shared: &Arc<Shared>, mut spec: Spec) -> Result<Child, Error> {
    require_ids(shared, &spec.process)?;
    let slot = match spec.isolation {
        Isolation::Full => shared.cgroups.take()?,
        Isolation::Open => shared.open_cgroups().take()?,
    };
    let membership = slot.membership()?;
    let status = Status::new()?;
    let stdio = std::mem::replace(&mut spec.stdio, Stdio::piped());
    let terminals = match stdio {
        Stdio::Terminal(_) => Some(terminal::terminals().map_err(Error::system("make terminals"))?),
        Stdio::Streams { .. } => None,
    };
    let uid = spec.process.user.uid;
    let (theirs, ours) = stdio::open(stdio, terminals.as_ref(), uid)?;
    let surroundings = prepare::surroundings(shared, &spec, terminals, &membership)?;
    let mut flags = CloneFlags::SHARED_MEMORY
        | CloneFlags::MOUNTS
        | CloneFlags::PIDS
        | CloneFlags::IPC
        | CloneFlags::HOST_NAME;
    if spec.network == Network::None {
        flags |= CloneFlags::NETWORK;
    }
    let mut plan = prepare::plan(&spec.process, &shared.possible, theirs, status.writer())?;
    plan.surroundings = Some(surroundings);
    plan.join = membership.join;
    let cgroup = membership.unified;
    let process = launch(&shared.launcher, plan, status, flags, cgroup)?;
    let keep = Box::new((slot, Arc::clone(shared)));
    Ok(Child::new(process, ours, Reaper::Waiter, keep))
}

/// The user that a process is to have must exist; its groups too, where they can be set at all.
fn require_ids(shared: &Shared, process: &Process) -> Result<(), Error> {
    let (ids, user) = (&shared.possible.ids, &process.user);
    ids.require(user.uid, user.gid)?;
    if ids.may_set_groups() {
        for group in &user.groups {
            ids.require(user.uid, *group)?;
        }
    }
    Ok(())
}

/// Starts a process in the sandbox of another.
pub(crate) fn enter(
    shared: &Arc<Shared>,
    target: Identity,
    process: &Process,
    stdio: Stdio,
) -> Result<Child, Error> {
    require_ids(shared, process)?;
    let pidfd = target.open()?;
    let membership = shared.cgroups.of(target.pid)?;
    let thread = enter::thread_in(target, pidfd)?;
    let status = Status::new()?;
    let terminals: Option<OwnedFd> = match stdio {
        Stdio::Terminal(_) => Some(enter::terminals_of(&thread)?),
        Stdio::Streams { .. } => None,
    };
    let (theirs, ours) = stdio::open(stdio, terminals.as_ref(), process.user.uid)?;
    let mut plan = prepare::plan(process, &shared.possible, theirs, status.writer())?;
    plan.join = membership.join;
    let flags = CloneFlags::empty();
    let process = launch(&thread, plan, status, flags, membership.unified)?;
    let reaper = enter::reaper(&thread, &process.1)?;
    let keep = Box::new((thread, Arc::clone(shared)));
    Ok(Child::new(process, ours, reaper, keep))
}
