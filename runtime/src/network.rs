//! A network for the sandboxes of an ordinary user, apart from the host's and yet connected, without any privilege:
//! `pasta` carries what is sent in it through sockets of the host.
//!
//! One is enough for a process, since its sandboxes would share the host's as well. A process that does nothing holds
//! the namespaces of the network and of `pasta`'s own PIDs; it ends with this one, and the kernel ends `pasta` with it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::ptr;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, MoveMountFlags, mount_bind, mount_change, move_mount};
use rustix::thread::{
    ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces, unshare_unsafe,
};

use crate::error::Error;
use crate::mount::file_system;
use crate::namespace::{Holder, hold};
use crate::sys::{self, CloneFlags, CloneRequest, MountAttributes, Stack};
use crate::worker::Worker;

/// Why sandboxes are on the host's network instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoOwnNetwork {
    /// The machine's superuser needs nobody's help, and has asked for none.
    #[error("it is for ordinary users only")]
    Superuser,
    /// `pasta` is not there.
    #[error("`pasta` is not installed (Debian's package `passt` has it)")]
    NoProgram,
    /// Names could not be looked up from there.
    #[error("`/etc/resolv.conf` names only servers on the host's loopback interface")]
    LoopbackResolver,
    /// It was tried.
    #[error("`pasta` failed: {0}")]
    Failed(String),
}

/// A network of its own; `pasta` ends with this value.
#[derive(Debug)]
pub(crate) struct OwnNetwork {
    namespace: OwnedFd,
    _keeper: Worker<Kept>,
}

/// What the thread keeps: processes die with the thread that made them.
#[derive(Debug)]
struct Kept {
    holder: Holder,
    _stack: Stack,
}

impl OwnNetwork {
    pub(crate) fn new() -> Result<Self, NoOwnNetwork> {
        let resolvers = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        if !is_reachable(&resolvers) {
            return Err(NoOwnNetwork::LoopbackResolver);
        }
        let failed = |error: Error| NoOwnNetwork::Failed(explain(&error));
        let keeper = Worker::start("network", Kept::new).map_err(failed)?;
        keeper
            .call(|kept| connect(&kept.holder))
            .map_err(failed)?
            .map(|namespace| Self {
                namespace,
                _keeper: keeper,
            })
    }

    pub(crate) fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }
}

fn explain(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Whether a name server of `/etc/resolv.conf` can be reached from another network; having none is no hindrance.
fn is_reachable(resolvers: &str) -> bool {
    let mut servers = resolvers
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .map(str::trim)
        .peekable();
    servers.peek().is_none() || servers.any(|server| !server.starts_with("127.") && server != "::1")
}

impl Kept {
    /// Makes the namespaces and the process that holds them. The calling thread gets mounts of its own.
    fn new() -> Result<Self, Error> {
        let failed = || Error::system("make a network namespace");
        // SAFETY: the thread has no descriptors or paths of its own yet, and the table of descriptors stays shared.
        unsafe { unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS) }.map_err(failed())?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).map_err(failed())?;
        let stack = Stack::new().map_err(failed())?;
        let request = CloneRequest {
            flags: CloneFlags::SHARED_MEMORY | CloneFlags::NETWORK | CloneFlags::PIDS,
            cgroup: None,
            stack: Some(&stack),
        };
        // SAFETY: `hold` only makes system calls, and its stack is kept until it has ended.
        let (pid, pidfd) = unsafe { sys::clone(&request, hold, ptr::null()) }.map_err(failed())?;
        Ok(Self {
            holder: Holder::new(pid, pidfd),
            _stack: stack,
        })
    }
}

/// Has `pasta` connect the held network, and gives that when it is.
fn connect(holder: &Holder) -> Result<OwnedFd, NoOwnNetwork> {
    let prepared = expose(holder).map_err(|error| NoOwnNetwork::Failed(error.to_string()));
    let (namespace, path) = prepared?;
    // Addresses are the host's, but the host itself is not among what can be reached.
    let output = Command::new("pasta")
        .args(["--config-net", "--no-map-gw", "--netns-only", "--quiet"])
        .args(["-t", "none", "-u", "none", "-T", "none", "-U", "none"])
        .arg("--netns")
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output();
    match output {
        // It has gone to the background, connected.
        Ok(output) if output.status.success() => Ok(namespace),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty());
            Err(NoOwnNetwork::Failed(last.map_or_else(
                || output.status.to_string(),
                |line| line.trim().to_owned(),
            )))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(NoOwnNetwork::NoProgram),
        Err(error) => Err(NoOwnNetwork::Failed(error.to_string())),
    }
}

/// Where the policies of distributions (`AppArmor`) let `pasta` find networks, or what serves without such.
const PLACES: [&str; 2] = ["/run/user", "/tmp"];

/// Gives the network a path in this thread's mount namespace: `pasta` gives up the powers by which it could open that of
/// another process. What the thread starts from here on is in the held PID namespace.
fn expose(holder: &Holder) -> Result<(OwnedFd, PathBuf), Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let namespace = openat(
        CWD,
        format!("/proc/{}/ns/net", holder.pid()),
        flags,
        Mode::empty(),
    )?;
    let place = PLACES.into_iter().find(|place| Path::new(place).is_dir());
    let place = place.ok_or(Errno::NOENT)?;
    let memory = file_system(c"tmpfs", &[(c"mode", c"0755")], MountAttributes::empty())?;
    let directory = Path::new("0/netns");
    for part in ["0", "0/netns"] {
        rustix::fs::mkdirat(&memory, part, Mode::from_raw_mode(0o755))?;
    }
    let create = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    drop(File::from(openat(
        &memory,
        directory.join("sandboxes"),
        create,
        Mode::from_raw_mode(0o644),
    )?));
    let empty_path = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(memory.as_fd(), "", CWD, place, empty_path)?;
    let path = Path::new(place).join(directory).join("sandboxes");
    mount_bind(format!("/proc/self/fd/{}", namespace.as_raw_fd()), &path)?;
    move_into_thread_name_spaces(holder.pidfd(), ThreadNameSpaceType::PROCESS_ID)?;
    Ok((namespace, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_on_loopback_are_out_of_reach() {
        for (resolvers, reachable) in [
            ("", true),
            ("search example.com\n", true),
            ("nameserver 10.0.0.1\n", true),
            ("nameserver 127.0.0.53\noptions edns0\n", false),
            ("nameserver 127.0.0.1\nnameserver ::1\n", false),
            ("nameserver ::1\n nameserver 192.0.2.1\n", true),
        ] {
            assert_eq!(is_reachable(resolvers), reachable, "{resolvers:?}");
        }
    }
}
