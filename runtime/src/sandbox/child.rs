//! A process in a sandbox, from outside.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::enter::Identity;
use super::terminal::Terminal;
use crate::error::Error;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

impl ExitStatus {
    /// Whether it ended by itself with code 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }

    /// The code as shells and Docker report it: 128 and the signal's number for a signal.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Code(code) => code.into(),
            Self::Signal(signal) => 128 + signal,
        }
    }

    fn new(status: &WaitIdStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Code(code as u8),
            (None, signal) => Self::Signal(signal.unwrap_or(libc::SIGKILL)),
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(_) => write!(f, "exit code: {}", self.exit_code()),
            Self::Signal(signal) => write!(f, "exit code: {} (signal {signal})", self.exit_code()),
        }
    }
}

/// A running process. Dropping it kills the process, and with the first process of a sandbox all others in it, and waits
/// until they are gone.
#[derive(Debug)]
pub struct Child {
    /// Where to write what the process reads, if it was to be a pipe.
    pub stdin: Option<OwnedFd>,
    /// Where to read what it writes, if it was to be a pipe.
    pub stdout: Option<OwnedFd>,
    /// Where to read its complaints, if it was to be a pipe.
    pub stderr: Option<OwnedFd>,
    /// Its terminal, if it was to have one.
    pub terminal: Option<Terminal>,
    pid: u32,
    pidfd: OwnedFd,
    status: Option<ExitStatus>,
    reaper: Reaper,
    /// What must outlive the process; let go of when it is reaped.
    _keep: Keep,
}

/// Who collects the status of a process.
#[derive(Debug)]
pub(super) enum Reaper {
    /// Whoever waits for it.
    Waiter,
    /// A thread that sends it. A process that entered a sandbox must be collected at once: the kernel lets the sandbox's
    /// first process end only after it.
    Thread(Mutex<mpsc::Receiver<ExitStatus>>),
}

/// What a process needs for as long as it runs: its cgroup, and the thread whose end would be its own.
pub(super) type Keep = Box<dyn fmt::Debug + Send + Sync>;

/// Our ends of a process's standard streams.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    pub(super) terminal: Option<Terminal>,
}

impl Child {
    pub(super) fn new(
        (pid, pidfd): (i32, OwnedFd),
        ends: Ends,
        reaper: Reaper,
        keep: Keep,
    ) -> Self {
        Self {
            stdin: ends.stdin,
            stdout: ends.stdout,
            stderr: ends.stderr,
            terminal: ends.terminal,
            pid: pid as u32,
            pidfd,
            status: None,
            reaper,
            _keep: keep,
        }
    }

    /// Its number, as the host counts.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What other programs of the host can find it by, to enter its sandbox.
    pub fn identity(&self) -> Result<Identity, Error> {
        Identity::of(self.pid)
    }

    /// Sends it a signal. It is no error if it has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Err(Errno::SRCH) | Ok(()) => Ok(()),
            Err(error) => Err(Error::system("send a signal")(error)),
        }
    }

    /// Kills it, and with the first process of a sandbox all others in it.
    pub fn kill(&self) -> Result<(), Error> {
        self.signal(Signal::KILL)
    }

    /// Waits until it has ended; then no process of its sandbox is left and its mounts are gone.
    pub fn wait(&mut self) -> Result<ExitStatus, Error> {
        match self.status {
            Some(status) => Ok(status),
            // A wait that may take as long as it takes has an answer.
            None => Ok(self.reap(true)?.unwrap_or(KILLED)),
        }
    }

    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        match self.status {
            Some(status) => Ok(Some(status)),
            None => self.reap(false),
        }
    }

    /// As [`Child::wait`], in a task of tokio. Nothing is lost if it is dropped early.
    pub async fn exited(&mut self) -> Result<ExitStatus, Error> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let failed = |source| Error::System {
            action: "watch a process",
            source,
        };
        let pidfd = self.pidfd.try_clone().map_err(failed)?;
        // SAFETY: the descriptor is the watch's own, which never changes it.
        let watch = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
        let watch = watch.map_err(|error| failed(error.into()))?;
        let ready = watch.readable().await.map_err(failed)?;
        drop(ready);
        drop(watch);
        self.wait()
    }

    fn reap(&mut self, patient: bool) -> Result<Option<ExitStatus>, Error> {
        self.status = match &self.reaper {
            Reaper::Waiter => {
                reap(self.pidfd.as_fd(), patient).map_err(Error::system("wait for a process"))?
            }
            Reaper::Thread(statuses) => {
                let statuses = statuses.lock().unwrap_or_else(PoisonError::into_inner);
                if patient {
                    Some(statuses.recv().unwrap_or(KILLED))
                } else {
                    match statuses.try_recv() {
                        Ok(status) => Some(status),
                        Err(TryRecvError::Empty) => None,
                        Err(TryRecvError::Disconnected) => Some(KILLED),
                    }
                }
            }
        };
        Ok(self.status)
    }
}

/// The status when there is nobody left to ask.
const KILLED: ExitStatus = ExitStatus::Signal(libc::SIGKILL);

/// Collects the status of a process, waiting for its end if `patient`.
pub(super) fn reap(pidfd: BorrowedFd<'_>, patient: bool) -> Result<Option<ExitStatus>, Errno> {
    let mut options = WaitIdOptions::EXITED;
    options.set(WaitIdOptions::NOHANG, !patient);
    loop {
        match waitid(WaitId::PidFd(pidfd), options) {
            Err(Errno::INTR) => {}
            status => return Ok(status?.as_ref().map(ExitStatus::new)),
        }
    }
}

impl AsFd for Child {
    /// A descriptor that becomes readable when the process ends.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.status.is_none() && self.kill().is_ok() {
            // A process that can't be waited for is not ours any more.
            drop(self.wait());
        }
    }
}
