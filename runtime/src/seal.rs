//! Keeping the program's own file out of the reach of those it runs.

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::ptr;

use rustix::fs::StatVfsMountFlags;

use crate::error::Error;
use crate::mount::bind;
use crate::sys::{self, MountAttributes};

/// Executes the calling program anew, with the same arguments and environment, through a read-only mount of its own
/// file, unless that has been done. To be called first thing, before there are threads, by whatever
/// [enters](crate::Runtime::enter) sandboxes.
///
/// A process that enters a sandbox is, until it executes its program, this program. One inside that makes it execute
/// `/proc/self/exe`, which is then this file, can open that from outside the process and write to it when it has ended
/// (CVE-2019-5736), but not through a read-only mount.
///
/// Afterwards the path of the program's file reads oddly; `/proc/self/exe` still leads to it.
pub fn seal_executable() -> Result<(), Error> {
    let executable = Path::new("/proc/self/exe");
    let failed = || Error::path("find", executable);
    let file_system = rustix::fs::statvfs(executable).map_err(failed())?;
    if file_system.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let sealed = bind(None, executable, false, MountAttributes::READ_ONLY)
        .map_err(Error::path("mount", executable))?;
    let strings = |strings: Vec<OsString>| -> Result<Vec<CString>, Error> {
        let strings = strings.into_iter().map(|string| {
            CString::new(string.into_vec()).map_err(|_| Error::ZeroByte { what: "a string" })
        });
        strings.collect()
    };
    let arguments = strings(std::env::args_os().collect())?;
    let environment = strings(std::env::vars_os().map(variable).collect())?;
    let pointers = |strings: &[CString]| {
        let pointers = strings.iter().map(|string| string.as_ptr());
        pointers.chain([ptr::null()]).collect::<Vec<_>>()
    };
    let path = format!("/proc/self/fd/{}", sealed.as_fd().as_raw_fd());
    let path = CString::new(path).map_err(|_| Error::ZeroByte { what: "a path" })?;
    // SAFETY: both arrays end with null and point into strings that live until the call has failed.
    let error = unsafe { sys::execve(&path, &pointers(&arguments), &pointers(&environment)) };
    Err(Error::path("execute", executable)(error))
}

fn variable((mut name, value): (OsString, OsString)) -> OsString {
    name.push("=");
    name.push(value);
    name
}
