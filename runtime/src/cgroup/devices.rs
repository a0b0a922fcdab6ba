//! Which device nodes may be used: those of runc (`specconv.AllowedDevices`). Docker adds 5:1, the console of the machine,
//! which is nobody's business inside: `/dev/console` is a terminal of the sandbox.
//!
//! Any node may be made, as an image may bring any; only these may be opened.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::io::Errno;

use crate::sys::{BpfInstruction, attach_device_program, load_device_program};

/// The character devices that may be opened: major and minor number, where `None` is any.
const ALLOWED: [(u32, Option<u32>); 8] = [
    (1, Some(3)), // null
    (1, Some(5)), // zero
    (1, Some(7)), // full
    (1, Some(8)), // random
    (1, Some(9)), // urandom
    (5, Some(0)), // tty
    (5, Some(2)), // ptmx
    (136, None),  // terminals
];

/// Puts the policy on a cgroup of the unified hierarchy and all below it.
pub(super) fn confine(cgroup: BorrowedFd<'_>) -> Result<(), Errno> {
    let program = load_device_program(&program())?;
    attach_device_program(cgroup, program.as_fd())
}

/// Puts the policy on a cgroup of the old `devices` hierarchy; those made below it take it over.
pub(super) fn confine_old(cgroup: &Path) -> Result<(), Errno> {
    let write = |file: &str, rule: &str| {
        let error = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        fs::write(cgroup.join(file), rule).map_err(error)
    };
    write("devices.deny", "a")?;
    write("devices.allow", "c *:* m")?;
    write("devices.allow", "b *:* m")?;
    for (major, minor) in ALLOWED {
        let minor = minor.map_or_else(|| "*".to_owned(), |minor| minor.to_string());
        write("devices.allow", &format!("c {major}:{minor} rwm"))?;
    }
    Ok(())
}

/// `BPF_DEVCG_ACC_MKNOD`, in the upper half of the first word.
const MAKE: i32 = 1;
/// `BPF_DEVCG_DEV_CHAR`, in the lower half.
const CHARACTER: i32 = 2;

/// The policy as a program. The kernel passes a pointer to three words: what is done to which kind of device, major,
/// minor. The program returns 1 to allow and 0 to refuse.
fn program() -> Vec<BpfInstruction> {
    const LOAD_WORD: u8 = 0x61;
    const COPY: u8 = 0xbf;
    const SET: u8 = 0xb7;
    const AND: u8 = 0x57;
    const SHIFT_RIGHT: u8 = 0x77;
    const SKIP_UNLESS_EQUAL: u8 = 0x55;
    const EXIT: u8 = 0x95;
    let instruction = |code, to: u8, from: u8, offset, immediate| BpfInstruction {
        code,
        registers: from << 4 | to,
        offset,
        immediate,
    };
    let skip_unless = |register, value: u32, count| {
        instruction(SKIP_UNLESS_EQUAL, register, 0, count, value as i32)
    };
    let answer = |allow: bool| {
        [
            instruction(SET, 0, 0, 0, i32::from(allow)),
            instruction(EXIT, 0, 0, 0, 0),
        ]
    };
    let (kind, access, major, minor) = (2, 3, 4, 5);
    let mut program = vec![
        instruction(LOAD_WORD, kind, 1, 0, 0),
        instruction(LOAD_WORD, major, 1, 4, 0),
        instruction(LOAD_WORD, minor, 1, 8, 0),
        instruction(COPY, access, kind, 0, 0),
        instruction(SHIFT_RIGHT, access, 0, 0, 16),
        instruction(AND, kind, 0, 0, 0xffff),
        skip_unless(access, MAKE as u32, 2),
    ];
    program.extend(answer(true));
    // Over the refusal that follows, for character devices.
    program.push(instruction(0x15, kind, 0, 2, CHARACTER));
    program.extend(answer(false));
    for (wanted_major, wanted_minor) in ALLOWED {
        match wanted_minor {
            Some(wanted_minor) => {
                program.push(skip_unless(major, wanted_major, 3));
                program.push(skip_unless(minor, wanted_minor, 2));
            }
            None => program.push(skip_unless(major, wanted_major, 2)),
        }
        program.extend(answer(true));
    }
    program.extend(answer(false));
    program
}
