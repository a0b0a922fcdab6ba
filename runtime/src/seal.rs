//! Keeping the program's own file out of the reach of those it runs.

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::ptr;

use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;

use crate::error::Error;
use crate::mount::bind;
use crate::sys::{self, MountAttributes};

/// Executes the calling program anew, with the same arguments and environment, through a read-only mount of its own
/// file, unless that has been done. To be called first thing, before there are threads, by whatever
/// [enters](crate::Runtime::enter) sandboxes. Does nothing for a caller that may not mount, and so can enter none.
///
/// A process that enters a sandbox is, until it executes its program, this program. One inside that makes it execute
/// `/proc/self/exe`, which is then this file, can open that from outside the process and write to it when it has ended
/// (CVE-2019-5736), but not through a read-only mount. The first process of a sandbox, beside which there is no other
/// yet, looks at what it executes instead, which costs less.
///
/// An ordinary user's program can't mount, so it is left alone until it has [joined](crate::join_user_namespace) the user
/// namespace of what it enters.
///
/// Afterwards the path of the program's file reads oddly; `/proc/self/exe` still leads to it.
pub fn seal_executable() -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let executable = Path::new("/proc/self/exe");
    let failed = || Error::path("find", executable);
    let file_system = rustix::fs::statvfs(executable).map_err(failed())?;
    if file_system.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let sealed = match bind(None, executable, false, MountAttributes::READ_ONLY) {
        // The process has left the mount namespace it was executed in: by its path the file is in this one too.
        Err(Errno::INVAL) => {
            let path = std::fs::read_link(executable).map_err(|source| Error::Path {
                action: "find",
                path: executable.to_owned(),
                source,
            })?;
            if !is_same(&path, executable) {
                // It has been replaced or removed, and nobody will execute it again.
                return Ok(());
            }
            bind(None, &path, false, MountAttributes::READ_ONLY)
        }
        // Who may not mount can enter nothing either.
        Err(Errno::PERM) => return Ok(()),
        bound => bound,
    };
    let sealed = sealed.map_err(Error::path("mount", executable))?;
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

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| rustix::fs::stat(path).map(|stat| (stat.st_dev, stat.st_ino));
    identity(one).is_ok_and(|one| identity(other) == Ok(one))
}

fn variable((mut name, value): (OsString, OsString)) -> OsString {
    name.push("=");
    name.push(value);
    name
}
