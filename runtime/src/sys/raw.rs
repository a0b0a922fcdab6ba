//! The system call instruction.

use rustix::io::Errno;

/// Calls the kernel.
///
/// # Safety
/// The arguments must be what system call `number` asks for: pointers valid for the reads and writes it makes, and
/// descriptors whose state its effect does not break for their owners.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) unsafe fn syscall(number: libc::c_long, arguments: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel's calling convention: it clobbers `rcx`, `r11` and the result, and no stack of ours.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            in("r9") arguments[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags),
        );
    }
    result
}

/// Calls the kernel.
///
/// # Safety
/// The arguments must be what system call `number` asks for: pointers valid for the reads and writes it makes, and
/// descriptors whose state its effect does not break for their owners.
#[cfg(target_arch = "aarch64")]
#[inline]
pub(super) unsafe fn syscall(number: libc::c_long, arguments: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel's calling convention: it clobbers the result register alone, and no stack of ours.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") arguments[0] as isize => result,
            in("x1") arguments[1],
            in("x2") arguments[2],
            in("x3") arguments[3],
            in("x4") arguments[4],
            in("x5") arguments[5],
            options(nostack, preserves_flags),
        );
    }
    result
}

/// The kernel's answer as a result: it returns errors as small negative numbers.
#[inline]
pub(super) fn check(result: isize) -> Result<usize, Errno> {
    if result < 0 {
        Err(Errno::from_raw_os_error(-result as i32))
    } else {
        Ok(result as usize)
    }
}
