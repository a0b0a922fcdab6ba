//! Clearing away the cgroups of processes that died, and what still runs in them.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, rmdir};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::open_directory;

/// How often, and how long apart, it is tried to remove a cgroup whose processes were just killed.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);

/// Clears away all cgroups in `common` that no living process holds. What can't be cleared stays for the next time.
pub(super) fn dead(common: &Path) {
    let Ok(entries) = fs::read_dir(common) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(directory) = open_directory(&path) else {
            continue;
        };
        if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok() {
            clear(&path);
        }
    }
}

fn clear(path: &Path) {
    // Linux 5.14 and later, in the unified hierarchy; else one by one.
    let killed = fs::write(path.join("cgroup.kill"), "1").is_ok();
    let inner = fs::read_dir(path).into_iter().flatten().flatten();
    for cgroup in inner.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        remove(&cgroup, killed);
    }
    remove(path, killed);
}

fn remove(cgroup: &Path, killed: bool) {
    for _ in 0..ATTEMPTS {
        if !killed {
            kill_all(cgroup);
        }
        if rmdir(cgroup) != Err(Errno::BUSY) {
            return;
        }
        thread::sleep(PAUSE);
    }
}

fn kill_all(cgroup: &Path) {
    let processes = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()) {
        if let Some(pid) = Pid::from_raw(pid) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
