//! Executing the program of a plan, the last step of [`super::init`]: only system calls.

use std::convert::Infallible;
use std::ffi::CStr;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::init::keep;
use super::plan::Program;
use crate::sys;

/// Executes the first candidate that can be, as a shell searches `PATH`.
pub(super) fn execute(program: &Program) -> Result<Infallible, Errno> {
    let mut reason = Errno::NOENT;
    for candidate in &program.candidates {
        let error = match refuse_own_file(candidate, INTERPRETERS_MAX) {
            Err(error) => error,
            // SAFETY: the plan ends both arrays with null.
            Ok(()) => unsafe { sys::execve(candidate, program.arguments(), program.environment()) },
        };
        match error {
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => reason = error,
            error => return Err(error),
        }
    }
    Err(reason)
}

/// How many scripts the kernel follows to each other's interpreters.
const INTERPRETERS_MAX: usize = 5;
/// How much of a script the kernel looks at for its interpreter.
const HEAD: usize = 256;

/// Refuses what would be found by one of the kernel's own links, be it as a script's interpreter: until a program is
/// executed, `/proc/self/exe` is the file of this one, on the host (CVE-2019-5736).
fn refuse_own_file(path: &CStr, interpreters: usize) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let open = |flags| openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS);
    let file = match open(flags) {
        Err(Errno::LOOP) => return Err(Errno::ACCESS),
        // What may be executed need not be readable.
        Err(Errno::ACCESS) => match open(OFlags::PATH | OFlags::CLOEXEC) {
            Err(Errno::LOOP) => return Err(Errno::ACCESS),
            _ => return Ok(()),
        },
        // The kernel says the same when it is to execute it.
        Err(_) => return Ok(()),
        Ok(file) => keep(file),
    };
    let mut head = [0; HEAD + 1];
    let Ok(length) = rustix::io::read(file, &mut head[..HEAD]) else {
        return Ok(());
    };
    match interpreter(&mut head[..=length]) {
        Some(path) if interpreters > 0 => refuse_own_file(path, interpreters - 1),
        _ => Ok(()),
    }
}

/// The interpreter that the first line of a script names; `head` ends with a zero byte.
fn interpreter(head: &mut [u8]) -> Option<&CStr> {
    let rest = head.strip_prefix(b"#!")?;
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = 2 + rest.iter().position(|byte| !blank(byte))?;
    let ends = |byte: &u8| blank(byte) || matches!(byte, b'\n' | 0);
    let end = start + head[start..].iter().position(ends)?;
    head[end] = 0;
    CStr::from_bytes_with_nul(&head[start..=end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_read_as_the_kernel_reads_them() {
        for (head, expected) in [
            (&b"#!/bin/sh\n\0"[..], Some(c"/bin/sh")),
            (b"#! \t/usr/bin/env -S x\n\0", Some(c"/usr/bin/env")),
            (b"#!/bin/sh\0", Some(c"/bin/sh")),
            (b"#!\n\0", Some(c"")),
            (b"#!\0", Some(c"")),
            (b"#\0", None),
            (b"\x7fELF\0", None),
            (b"\0", None),
        ] {
            let mut head = head.to_vec();
            assert_eq!(interpreter(&mut head), expected);
        }
    }
}
