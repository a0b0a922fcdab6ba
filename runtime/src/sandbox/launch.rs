//! Making the process of a plan.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, mkdirat};
use rustix::io::Errno;
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, UnmountFlags, mount_change, move_mount, unmount,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::fchdir;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::child;
use super::init;
use super::plan::{Failure, Plan};
use crate::error::Error;
use crate::mount::{bind, file_system};
use crate::sys::{self, CloneFlags, CloneRequest, MountAttributes, Stack};
use crate::worker::Worker;

/// The thread that sandboxes are the children of.
///
/// Its mount namespace has nothing but an empty tmpfs with the two directories that the set-up of a sandbox needs, so
/// that giving each its own copy costs nothing, however many mounts the host has. And it lives as long as the sandboxes:
/// the kernel kills a process at the death of the *thread* that made it.
pub(crate) type Launcher = Worker<LauncherThread>;

/// The launcher's state is its namespaces.
#[derive(Debug)]
pub(crate) struct LauncherThread(());

impl Launcher {
    /// Starts the thread. In a user namespace (`namespaced`) the kernel gives a sandbox its `/proc` and `/sys` only where
    /// the host's can be seen, so these two stay.
    pub(crate) fn new(namespaced: bool) -> Result<Self, Error> {
        Worker::start("sandboxes", move || {
            leave_mounts(namespaced).map_err(Error::system("make an empty mount namespace"))?;
            Ok(LauncherThread(()))
        })
    }
}

/// The file systems in which the kernel shows itself.
const KERNELS: [&str; 2] = ["/proc", "/sys"];

fn leave_mounts(namespaced: bool) -> Result<(), Errno> {
    // SAFETY: the thread has no descriptors or paths of its own yet, and the table of descriptors stays shared.
    unsafe { unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS) }?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    let root = file_system(c"tmpfs", &[(c"mode", c"0700")], MountAttributes::empty())?;
    for directory in [init::NEW_ROOT, init::SOURCES] {
        let name = directory.to_bytes().trim_ascii_start();
        let name = name.strip_prefix(b"/").unwrap_or(name);
        mkdirat(root.as_fd(), name, Mode::from_raw_mode(0o700))?;
    }
    let empty_path = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    let kernels = if namespaced { &KERNELS[..] } else { &[] };
    let mut kept = Vec::with_capacity(kernels.len());
    for path in kernels {
        kept.push(bind(None, path.as_ref(), true, MountAttributes::empty())?);
        mkdirat(root.as_fd(), &path[1..], Mode::from_raw_mode(0o700))?;
    }
    move_mount(root.as_fd(), "", CWD, "/", empty_path)?;
    for (path, mount) in kernels.iter().zip(kept) {
        move_mount(mount.as_fd(), "", root.as_fd(), &path[1..], empty_path)?;
    }
    fchdir(root.as_fd())?;
    sys::pivot_root(c".", c".")?;
    unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")
}

/// The ends of the pipe that a process reports its failure through.
pub(super) struct Status {
    read: OwnedFd,
    write: OwnedFd,
}

impl Status {
    pub(super) fn new() -> Result<Self, Error> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(Error::system("make a pipe"))?;
        Ok(Self {
            read,
            write: super::stdio::above_streams(write)?,
        })
    }

    /// The end that the process writes to, by its number alone.
    pub(super) fn writer(&self) -> BorrowedFd<'static> {
        use std::os::fd::AsRawFd;
        // SAFETY: the descriptor stays open until the process has been made with its own copy of it, and only the
        // process uses this.
        unsafe { BorrowedFd::borrow_raw(self.write.as_raw_fd()) }
    }
}

/// Makes the process of a plan as a child of a thread, and waits until its program runs.
pub(super) fn launch<S: 'static>(
    thread: &Worker<S>,
    plan: Plan,
    status: Status,
    flags: CloneFlags,
    cgroup: Option<OwnedFd>,
) -> Result<(i32, OwnedFd), Error> {
    let Status { read, write } = status;
    let stack = if flags.contains(CloneFlags::SHARED_MEMORY) {
        Some(Stack::new().map_err(Error::system("make a stack"))?)
    } else {
        None
    };
    let plan = Box::new(plan);
    let (made, plan, stack) = thread.call(move |_| {
        let request = CloneRequest {
            flags,
            cgroup: cgroup.as_ref().map(OwnedFd::as_fd),
            stack: stack.as_ref(),
        };
        // SAFETY: `run` only makes system calls and never returns; plan and stack are given back to the caller, who
        // keeps them until the process has executed or ended.
        let made = unsafe { sys::clone(&request, init::run, (&raw const *plan).cast()) };
        drop(write);
        (made, plan, stack)
    })?;
    let (pid, pidfd) = made.map_err(Error::system("make a process"))?;
    // The end of the pipe: the process left the shared memory.
    let failure = read_status(&read);
    drop(stack);
    match failure {
        None => Ok((pid, pidfd)),
        Some(failure) => {
            // Its status says no more than the failure.
            let _ = child::reap(pidfd.as_fd(), true);
            Err(failure.explain(&plan))
        }
    }
}

fn read_status(pipe: &OwnedFd) -> Option<Failure> {
    let mut bytes = [0; Failure::SIZE * 2];
    let mut length = 0;
    while length < bytes.len() {
        match rustix::io::read(pipe, &mut bytes[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(Errno::INTR) => {}
            // A pipe of our own can always be read.
            Err(_) => break,
        }
    }
    Failure::from_bytes(&bytes[..length])
}
