//! Putting this process in a user namespace.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command, Stdio};
use std::ptr;

use rustix::io::Errno;
use rustix::thread::{
    ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces, unshare_unsafe,
};

use super::holder::{Holder, hold};
use super::subordinate::{self, PROGRAMS, Range, Subordinates};
use crate::sandbox::Identity;
use crate::sys::{self, CloneFlags, CloneRequest, Stack};

/// A user namespace that could not be made or joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// The kernel would not make one.
    #[error("an ordinary user needs a user namespace, and the kernel gives none: {reason}")]
    Refused {
        /// Why.
        reason: Refusal,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Not even the user's own id could be mapped.
    #[error("cannot map the user's id into a user namespace")]
    Map(#[source] io::Error),
    /// The program's file could not be kept from those in the namespace.
    #[error("cannot protect the program")]
    Seal(#[source] Box<crate::Error>),
    /// It could not be entered.
    #[error("cannot enter the user namespace")]
    Enter(#[source] io::Error),
}

/// What keeps ordinary users from making user namespaces.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A setting of the kernel.
    #[error("`{name}` is {value}")]
    Setting {
        /// Its name for `sysctl`.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// Something else: most often the policy of the container that this process is in.
    #[error("not permitted here")]
    Policy,
}

/// The settings that can forbid it, with the value that does.
const SETTINGS: [(&str, &str, &str); 3] = [
    (
        "kernel.unprivileged_userns_clone",
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
    ),
    (
        "user.max_user_namespaces",
        "/proc/sys/user/max_user_namespaces",
        "0",
    ),
    (
        "kernel.apparmor_restrict_unprivileged_userns",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
    ),
];

impl NamespaceError {
    fn refused(error: Errno) -> Self {
        let setting = SETTINGS.into_iter().find_map(|(name, file, forbids)| {
            let value = fs::read_to_string(file).ok()?.trim().to_owned();
            (value == forbids).then_some(Refusal::Setting { name, value })
        });
        Self::Refused {
            reason: setting.unwrap_or(Refusal::Policy),
            source: error.into(),
        }
    }
}

/// Puts this process in a new user namespace, with a mount namespace to go with it, in which it is user 0. It must have
/// no other threads.
///
/// A process is born in the namespace and does nothing but hold it: its ids can only be mapped from outside. Then this
/// one joins it.
pub fn enter_user_namespace() -> Result<(), NamespaceError> {
    let stack = Stack::new().map_err(NamespaceError::refused)?;
    let request = CloneRequest {
        flags: CloneFlags::SHARED_MEMORY | CloneFlags::USERS,
        cgroup: None,
        stack: Some(&stack),
    };
    // SAFETY: `hold` only makes system calls, and its stack is kept until it has ended.
    let (pid, holder) =
        unsafe { sys::clone(&request, hold, ptr::null()) }.map_err(NamespaceError::refused)?;
    let holder = Holder::new(pid, holder);
    map(pid)?;
    join(holder.pidfd())?;
    drop(holder);
    drop(stack);
    Ok(())
}

/// Puts this process in the user namespace of another process of the same user, with a mount namespace of its own. It
/// must have no other threads.
pub fn join_user_namespace(target: Identity) -> Result<(), NamespaceError> {
    let pidfd = target
        .open()
        .map_err(|_| NamespaceError::Enter(Errno::SRCH.into()))?;
    join(pidfd.as_fd())
}

fn join(pidfd: BorrowedFd<'_>) -> Result<(), NamespaceError> {
    move_into_thread_name_spaces(pidfd, ThreadNameSpaceType::USER)
        .map_err(|error| NamespaceError::Enter(error.into()))?;
    // SAFETY: the process has one thread, and paths mean the same in the copy.
    // A policy that lets everybody make namespaces can still leave them without powers, which shows here.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(NamespaceError::refused)
}

/// Maps ids into the namespace of a process: all that the user has, else its own.
fn map(pid: i32) -> Result<(), NamespaceError> {
    let user = rustix::process::getuid().as_raw();
    let group = rustix::process::getgid().as_raw();
    let mapped = match subordinate::find(user) {
        Ok(Subordinates { users, groups }) => {
            let [map_users, map_groups] = PROGRAMS;
            let children = [
                start(map_users, pid, user, &users),
                start(map_groups, pid, group, &groups),
            ];
            children.map(|child| child.is_ok_and(finishes_well))
        }
        Err(_) => [false; 2],
    };
    let [users_mapped, groups_mapped] = mapped;
    let write = |file: &str, text: &str| {
        fs::write(format!("/proc/{pid}/{file}"), text).map_err(NamespaceError::Map)
    };
    if !users_mapped {
        write("uid_map", &format!("0 {user} 1"))?;
    }
    if !groups_mapped {
        // The kernel's condition: groups that are not mapped could otherwise be dropped, and with them what they deny.
        write("setgroups", "deny")?;
        write("gid_map", &format!("0 {group} 1"))?;
    }
    Ok(())
}

/// Starts `newuidmap` or `newgidmap`: 0 is `own`, and from 1 on come the ranges, one after another.
fn start(program: &str, pid: i32, own: u32, ranges: &[Range]) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args([pid.to_string(), "0".into(), own.to_string(), "1".into()]);
    let mut inside: u32 = 1;
    for Range { start, length } in ranges {
        command.args([inside, *start, *length].map(|number| number.to_string()));
        inside = inside.saturating_add(*length);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn finishes_well(mut child: Child) -> bool {
    child.wait().is_ok_and(|status| status.success())
}
