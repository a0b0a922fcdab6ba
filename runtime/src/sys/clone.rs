//! Making a process, optionally on a stack of its own in shared memory.

use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use rustix::io::Errno;

use super::raw;

bitflags::bitflags! {
    /// What a new process shares with its parent and what it gets anew.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct CloneFlags: u64 {
        /// Share memory until the new process executes a program: nothing is copied.
        const SHARED_MEMORY = libc::CLONE_VM as u64;
        /// A user namespace.
        const USERS = libc::CLONE_NEWUSER as u64;
        /// A mount namespace.
        const MOUNTS = libc::CLONE_NEWNS as u64;
        /// A PID namespace.
        const PIDS = libc::CLONE_NEWPID as u64;
        /// An IPC namespace.
        const IPC = libc::CLONE_NEWIPC as u64;
        /// A host and domain name.
        const HOST_NAME = libc::CLONE_NEWUTS as u64;
        /// A network namespace.
        const NETWORK = libc::CLONE_NEWNET as u64;
    }
}

/// `CLONE_CLEAR_SIGHAND`: no signal handler of the parent in the child.
const CLEAR_SIGNAL_HANDLERS: u64 = 1 << 32;
/// `CLONE_INTO_CGROUP`: the child is born in the given cgroup.
const INTO_CGROUP: u64 = 1 << 33;

/// `struct clone_args` of `clone3(2)`.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Memory for the stack of a process that shares ours.
#[derive(Debug)]
pub(crate) struct Stack {
    base: NonNull<c_void>,
}

impl Stack {
    /// Enough for the deepest call of the set-up, with a wide margin; pages that are not touched cost nothing.
    const SIZE: usize = 256 << 10;
    /// Below the stack, so that an overrun faults and does not corrupt.
    const GUARD: usize = 4096 * 16;

    /// Maps a stack.
    pub(crate) fn new() -> Result<Self, Errno> {
        let size = Self::GUARD + Self::SIZE;
        // SAFETY: a new private mapping at an address that the kernel chooses touches no memory of ours.
        let result = unsafe {
            raw::syscall(
                libc::SYS_mmap,
                [
                    0,
                    size,
                    (libc::PROT_READ | libc::PROT_WRITE) as usize,
                    (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize,
                    usize::MAX,
                    0,
                ],
            )
        };
        let address = raw::check(result)?;
        let base = NonNull::new(address as *mut c_void).ok_or(Errno::NOMEM)?;
        let stack = Self { base };
        // SAFETY: the range is the low end of the mapping just made, which nobody uses yet.
        raw::check(unsafe {
            raw::syscall(
                libc::SYS_mprotect,
                [address, Self::GUARD, libc::PROT_NONE as usize, 0, 0, 0],
            )
        })?;
        Ok(stack)
    }

    fn usable(&self) -> (u64, u64) {
        let low = self.base.as_ptr() as usize + Self::GUARD;
        (low as u64, Self::SIZE as u64)
    }
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only read through `usable`.
unsafe impl Send for Stack {}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this size, and its owner keeps it until no process runs on it.
        let _ = unsafe {
            raw::syscall(
                libc::SYS_munmap,
                [
                    self.base.as_ptr() as usize,
                    Self::GUARD + Self::SIZE,
                    0,
                    0,
                    0,
                    0,
                ],
            )
        };
    }
}

/// What `clone` makes.
#[derive(Debug)]
pub(crate) struct CloneRequest<'a> {
    /// What is shared and what is new.
    pub(crate) flags: CloneFlags,
    /// Where the process is born, when the unified hierarchy is used.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// The stack, needed with [`CloneFlags::SHARED_MEMORY`].
    pub(crate) stack: Option<&'a Stack>,
}

/// Makes a process that runs `entry(argument)` and never returns, and gives its PID and a descriptor for it.
///
/// # Safety
/// `entry` must never return, and must do nothing but system calls: other threads of this process may hold any lock,
/// and with shared memory its thread-local storage is that of the caller. `argument` must be what `entry` expects,
/// and with shared memory stay valid, as must the stack, until the process has executed a program or is gone.
pub(crate) unsafe fn clone(
    request: &CloneRequest<'_>,
    entry: unsafe extern "C" fn(*const c_void) -> !,
    argument: *const c_void,
) -> Result<(i32, OwnedFd), Errno> {
    let mut pidfd: RawFd = -1;
    let mut arguments = CloneArguments {
        flags: request.flags.bits() | libc::CLONE_PIDFD as u64 | CLEAR_SIGNAL_HANDLERS,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArguments::default()
    };
    if let Some(cgroup) = request.cgroup {
        arguments.flags |= INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    if let Some(stack) = request.stack {
        (arguments.stack, arguments.stack_size) = stack.usable();
    }
    // SAFETY: the arguments are laid out as `clone3` reads them and outlive the call; the rest is the caller's promise.
    let pid = raw::check(unsafe { clone3(&arguments, entry, argument) })?;
    // SAFETY: on success the kernel stored a new descriptor there, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok((pid as i32, pidfd))
}

/// The call itself. The child never returns through this frame: it calls `entry` on whichever stack it has.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
unsafe fn clone3(
    arguments: &CloneArguments,
    entry: unsafe extern "C" fn(*const c_void) -> !,
    argument: *const c_void,
) -> isize {
    let result: isize;
    // SAFETY: as `raw::syscall`; in the child the stack pointer is aligned to 16 (the top of a mapping, or ours,
    // which is aligned because the block is not `nostack`), so `entry` may be called.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") arguments,
            in("rsi") size_of::<CloneArguments>(),
            in("r12") argument,
            in("r13") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// The call itself. The child never returns through this frame: it calls `entry` on whichever stack it has.
#[cfg(target_arch = "aarch64")]
#[inline(never)]
unsafe fn clone3(
    arguments: &CloneArguments,
    entry: unsafe extern "C" fn(*const c_void) -> !,
    argument: *const c_void,
) -> isize {
    let result: isize;
    // SAFETY: as `raw::syscall`; the stack pointer is always aligned to 16 on this architecture.
    unsafe {
        core::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x20",
            "blr x21",
            "brk #1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") arguments as *const CloneArguments as isize => result,
            in("x1") size_of::<CloneArguments>(),
            in("x20") argument,
            in("x21") entry,
            lateout("x30") _,
        );
    }
    result
}
