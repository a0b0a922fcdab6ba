//! A process that does nothing but be in its namespaces.

use std::ffi::c_void;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{
    Signal, WaitId, WaitIdOptions, pidfd_send_signal, set_parent_process_death_signal, waitid,
};

use crate::sys;

/// The process, ended with this value.
#[derive(Debug)]
pub(crate) struct Holder {
    pid: i32,
    pidfd: OwnedFd,
}

impl Holder {
    /// A process that was made with [`hold`] by the calling thread.
    pub(crate) fn new(pid: i32, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It cannot have ended before, and does not refuse.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let process = || WaitId::PidFd(self.pidfd.as_fd());
        while matches!(waitid(process(), WaitIdOptions::EXITED), Err(Errno::INTR)) {}
    }
}

/// What such a process runs: it waits for its end, which comes at the latest with that of the thread that made it.
pub(crate) unsafe extern "C" fn hold(_: *const c_void) -> ! {
    // Without either the process would only stay, and keep open what it got of its parent, until it is killed.
    let _ = sys::close_from(0);
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    loop {
        rustix::event::pause();
    }
}
