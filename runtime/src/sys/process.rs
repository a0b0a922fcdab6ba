//! What a process does to itself, and the programs the kernel runs for it.

use std::ffi::{CStr, c_char};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use super::{BpfInstruction, raw};

/// One instruction of a seccomp filter (`struct sock_filter`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeccompInstruction {
    /// What it does.
    pub(crate) code: u16,
    /// Instructions to skip when the test holds.
    pub(crate) jump_true: u8,
    /// Instructions to skip when it does not.
    pub(crate) jump_false: u8,
    /// The operand.
    pub(crate) operand: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct SeccompProgram {
    length: u16,
    instructions: *const SeccompInstruction,
}

/// Puts a filter over the system calls of this process and of all it makes.
///
/// Needs the capability to administer the system, or no-new-privileges.
pub(crate) fn install_seccomp_filter(filter: &[SeccompInstruction]) -> Result<(), Errno> {
    let program = SeccompProgram {
        length: u16::try_from(filter.len()).map_err(|_| Errno::TOOBIG)?,
        instructions: filter.as_ptr(),
    };
    // SAFETY: the program points at `length` instructions, which outlive the call: the kernel copies them.
    raw::check(unsafe {
        raw::syscall(
            libc::SYS_seccomp,
            [
                libc::SECCOMP_SET_MODE_FILTER as usize,
                // Speculation is left as the host has it, as Docker does.
                libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as usize,
                (&raw const program) as usize,
                0,
                0,
                0,
            ],
        )
    })
    .map(drop)
}

/// Executes a program in this process.
///
/// # Safety
/// `arguments` and `environment` must be arrays of strings that end with a null pointer.
pub(crate) unsafe fn execve(
    path: &CStr,
    arguments: &[*const c_char],
    environment: &[*const c_char],
) -> Errno {
    // SAFETY: a valid string and, by the caller's promise, two arrays ended by null.
    let result = unsafe {
        raw::syscall(
            libc::SYS_execve,
            [
                path.as_ptr() as usize,
                arguments.as_ptr() as usize,
                environment.as_ptr() as usize,
                0,
                0,
                0,
            ],
        )
    };
    match raw::check(result) {
        Err(error) => error,
        Ok(_) => Errno::INVAL,
    }
}

/// Ends this process at once, running nothing of the language's.
pub(crate) fn exit(code: i32) -> ! {
    loop {
        // SAFETY: ends the process; no memory is touched.
        let _ = unsafe { raw::syscall(libc::SYS_exit_group, [code as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Closes all descriptors from `first` on, in a process that has its own and needs none.
pub(crate) fn close_from(first: RawFd) -> Result<(), Errno> {
    close_range(first, RawFd::MAX)
}

/// Closes the descriptors from `first` to `last`, both included; none if the first is beyond the last.
pub(crate) fn close_range(first: RawFd, last: RawFd) -> Result<(), Errno> {
    if first > last {
        return Ok(());
    }
    // SAFETY: only numbers are passed. A process that is about to execute has a table of its own, and uses none of these.
    raw::check(unsafe {
        raw::syscall(
            libc::SYS_close_range,
            [first as usize, last as usize, 0, 0, 0, 0],
        )
    })
    .map(drop)
}

/// Says whether others may look into this process's memory (`PR_SET_DUMPABLE`).
pub(crate) fn set_dumpable(dumpable: bool) -> Result<(), Errno> {
    // SAFETY: a flag of the process; no memory is touched.
    raw::check(unsafe {
        raw::syscall(
            libc::SYS_prctl,
            [
                libc::PR_SET_DUMPABLE as usize,
                usize::from(dumpable),
                0,
                0,
                0,
                0,
            ],
        )
    })
    .map(drop)
}

/// Sets the signals that the calling thread holds back: bit n-1 is signal n.
pub(crate) fn set_signal_mask(mask: u64) -> Result<(), Errno> {
    // SAFETY: the mask is eight bytes, as told, and outlives the call.
    raw::check(unsafe {
        raw::syscall(
            libc::SYS_rt_sigprocmask,
            [
                libc::SIG_SETMASK as usize,
                (&raw const mask) as usize,
                0,
                size_of::<u64>(),
                0,
                0,
            ],
        )
    })
    .map(drop)
}

/// Gives every signal its default effect, also those that the parent ignores.
pub(crate) fn reset_signals() -> Result<(), Errno> {
    /// The kernel's `struct sigaction`: handler, flags, restorer, mask.
    static DEFAULT: [u64; 4] = [0; 4];
    for signal in 1..=64 {
        if signal == libc::SIGKILL || signal == libc::SIGSTOP {
            continue;
        }
        // SAFETY: the structure is as large as the kernel's and outlives the call; no handler is installed.
        raw::check(unsafe {
            raw::syscall(
                libc::SYS_rt_sigaction,
                [
                    signal as usize,
                    (&raw const DEFAULT) as usize,
                    0,
                    size_of::<u64>(),
                    0,
                    0,
                ],
            )
        })?;
    }
    Ok(())
}

/// Brings the network interface `name` up, through any socket of its network namespace.
pub(crate) fn set_socket_interface_up(socket: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    /// The part of `struct ifreq` that `SIOCSIFFLAGS` reads, padded to its full size.
    #[repr(C)]
    struct InterfaceFlags {
        name: [u8; libc::IFNAMSIZ],
        flags: i16,
        padding: [u8; 22],
    }
    let mut request = InterfaceFlags {
        name: [0; libc::IFNAMSIZ],
        flags: (libc::IFF_UP | libc::IFF_RUNNING) as i16,
        padding: [0; 22],
    };
    let name = name.to_bytes();
    if name.len() >= libc::IFNAMSIZ {
        return Err(Errno::NAMETOOLONG);
    }
    request.name[..name.len()].copy_from_slice(name);
    // SAFETY: the request is as large as `struct ifreq` and outlives the call.
    raw::check(unsafe {
        raw::syscall(
            libc::SYS_ioctl,
            [
                socket.as_raw_fd() as usize,
                libc::SIOCSIFFLAGS as usize,
                (&raw const request) as usize,
                0,
                0,
                0,
            ],
        )
    })
    .map(drop)
}

/// The other end of a pseudo terminal, opened without its name.
pub(crate) fn get_peer_terminal(master: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the argument is a number; the result is a new descriptor.
    let fd = raw::check(unsafe {
        raw::syscall(
            libc::SYS_ioctl,
            [
                master.as_raw_fd() as usize,
                libc::TIOCGPTPEER as usize,
                flags as usize,
                0,
                0,
                0,
            ],
        )
    })?;
    // SAFETY: the kernel just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// `union bpf_attr` for loading a program, as far as we fill it.
#[repr(C)]
#[derive(Default)]
struct BpfLoad {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

/// `union bpf_attr` for attaching a program.
#[repr(C)]
struct BpfAttach {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

const BPF_PROG_LOAD: usize = 5;
const BPF_PROG_ATTACH: usize = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// Loads a program that decides about device access.
pub(crate) fn load_device_program(program: &[BpfInstruction]) -> Result<OwnedFd, Errno> {
    let load = BpfLoad {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..BpfLoad::default()
    };
    // SAFETY: the attributes are laid out as the kernel reads them, and all they point at outlives the call.
    let fd = raw::check(unsafe {
        raw::syscall(
            libc::SYS_bpf,
            [
                BPF_PROG_LOAD,
                (&raw const load) as usize,
                size_of::<BpfLoad>(),
                0,
                0,
                0,
            ],
        )
    })?;
    // SAFETY: the kernel just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Has the kernel ask `program` about each device that a process below `cgroup`, a directory of the unified
/// hierarchy, makes or opens.
pub(crate) fn attach_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
) -> Result<(), Errno> {
    let attach = BpfAttach {
        target: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: the attributes are laid out as the kernel reads them and outlive the call.
    raw::check(unsafe {
        raw::syscall(
            libc::SYS_bpf,
            [
                BPF_PROG_ATTACH,
                (&raw const attach) as usize,
                size_of::<BpfAttach>(),
                0,
                0,
                0,
            ],
        )
    })
    .map(drop)
}
