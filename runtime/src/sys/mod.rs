//! The kernel calls that `rustix` has no function for.
//!
//! They go to the kernel by the instruction, not through the C library: a process that shares the memory of its
//! parent until it executes a program must not write to the parent's `errno`.

mod clone;
mod mount;
mod process;
mod raw;

pub(crate) use clone::{CloneFlags, CloneRequest, Stack, clone};
pub(crate) use mount::{MountAttributes, pivot_root, set_mount_attributes};
pub(crate) use process::{
    SeccompInstruction, attach_device_program, close_from, close_range, execve, exit,
    get_peer_terminal, install_seccomp_filter, load_device_program, reset_signals, set_dumpable,
    set_signal_mask, set_socket_interface_up,
};

/// One instruction of an eBPF program, as the kernel reads it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BpfInstruction {
    /// What it does.
    pub(crate) code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub(crate) registers: u8,
    /// Jump distance or memory offset.
    pub(crate) offset: i16,
    /// The constant operand.
    pub(crate) immediate: i32,
}
