//! Finding a running sandbox, and starting another process in it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, mpsc};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::thread::{
    ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces, unshare_unsafe,
};

use super::child::{self, Reaper};
use crate::error::Error;
use crate::worker::Worker;

/// A process of the host's, told apart from any later one that gets the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its number.
    pub pid: u32,
    /// When it started, in the kernel's clock ticks since boot.
    pub start_time: u64,
}

impl Identity {
    /// The identity of the process that has this number now.
    pub fn of(pid: u32) -> Result<Self, Error> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).map_err(|_| Error::Gone)?;
        let start_time = start_time(&stat).ok_or(Error::Gone)?;
        Ok(Self { pid, start_time })
    }

    /// Whether the process is still there.
    pub fn is_running(self) -> bool {
        Self::of(self.pid).is_ok_and(|now| now == self)
    }

    /// A descriptor for the process (`pidfd_open(2)`): it becomes readable when the process ends.
    pub fn open(self) -> Result<OwnedFd, Error> {
        let pid = Pid::from_raw(self.pid as i32).ok_or(Error::Gone)?;
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Err(Error::Gone),
            opened => opened.map_err(Error::system("open a process"))?,
        };
        // Whatever has the number now is what was opened, unless it is another process already.
        if self.is_running() {
            Ok(pidfd)
        } else {
            Err(Error::Gone)
        }
    }

    /// The network that the process is on.
    pub(super) fn network(self) -> Result<OwnedFd, Error> {
        let path = format!("/proc/{}/ns/net", self.pid);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let network = match openat(CWD, path, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::SRCH) => return Err(Error::Gone),
            opened => opened.map_err(Error::system("open the network of a process"))?,
        };
        // Whose else it might be by now.
        if self.is_running() {
            Ok(network)
        } else {
            Err(Error::Gone)
        }
    }

    /// Sends the process a signal.
    pub fn signal(self, signal: Signal) -> Result<(), Error> {
        match pidfd_send_signal(self.open()?, signal) {
            Err(Errno::SRCH) => Err(Error::Gone),
            sent => sent.map_err(Error::system("send a signal")),
        }
    }
}

/// Field 22 of `/proc/PID/stat`; the second, in parentheses, may hold anything.
fn start_time(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Starts a thread in the namespaces of a process, whose children are born there.
///
/// The network is left alone where it is the caller's own: it may belong to the host, and not be the caller's to enter.
pub(super) fn thread_in(target: Identity, pidfd: OwnedFd) -> Result<Worker<()>, Error> {
    let mut spaces = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::CONTROL_GROUP;
    let network = |process: &str| {
        rustix::fs::stat(format!("/proc/{process}/ns/net")).map(|stat| (stat.st_dev, stat.st_ino))
    };
    if network(&target.pid.to_string()) != network("self") {
        spaces |= ThreadNameSpaceType::NETWORK;
    }
    Worker::start("entered", move || {
        let enter = || {
            // SAFETY: the thread has no paths of its own yet, and the table of descriptors stays shared.
            unsafe { unshare_unsafe(UnshareFlags::FS) }?;
            move_into_thread_name_spaces(pidfd.as_fd(), spaces)
        };
        match enter() {
            Err(Errno::SRCH) => Err(Error::Gone),
            result => result.map_err(Error::system("enter the namespaces of a process")),
        }
    })
}

/// Has the thread that a process is the child of collect its status.
pub(super) fn reaper(thread: &Worker<()>, pidfd: &OwnedFd) -> Result<Reaper, Error> {
    let pidfd =
        rustix::io::fcntl_dupfd_cloexec(pidfd, 3).map_err(Error::system("copy a descriptor"))?;
    let (send, statuses) = mpsc::sync_channel(1);
    thread.post(move |()| {
        if let Ok(Some(status)) = child::reap(pidfd.as_fd(), true) {
            // Unless nobody wants to know.
            let _ = send.send(status);
        }
    })?;
    Ok(Reaper::Thread(Mutex::new(statuses)))
}

/// The terminals of the sandbox that a thread is in.
pub(super) fn terminals_of(thread: &Worker<()>) -> Result<OwnedFd, Error> {
    let opened = thread.call(|()| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let terminals = openat(CWD, "/dev/pts", flags, Mode::empty())?;
        // Programs inside can't put anything else there, but they could have been given the power to.
        let kind = rustix::fs::fstatfs(&terminals)?.f_type;
        if kind as u64 == DEVPTS_MAGIC {
            Ok(terminals)
        } else {
            Err(Errno::NODEV)
        }
    })?;
    opened.map_err(Error::system("open a terminal of the sandbox"))
}

/// `DEVPTS_SUPER_MAGIC` of the kernel.
const DEVPTS_MAGIC: u64 = 0x1cd1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_found_behind_any_name() {
        let stat = b"42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(start_time(stat), Some(4711));
        assert_eq!(start_time(b"42 (short) S 1"), None);
        assert_eq!(start_time(b""), None);
    }

    #[test]
    fn identity_of_this_process_is_stable() {
        let pid = std::process::id();
        let identity = Identity::of(pid).expect("is running");
        assert!(identity.is_running());
        let other = Identity {
            start_time: identity.start_time + 1,
            ..identity
        };
        assert!(!other.is_running());
        assert!(matches!(other.open(), Err(Error::Gone)));
    }
}
