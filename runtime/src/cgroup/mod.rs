//! A cgroup for each sandbox, and the policy on devices that hangs on it.
//!
//! All cgroups of a process are below one of its own, `rbuild/<pid>-<number>`, which it holds locked: an unlocked one was
//! left by a process that died, and whoever comes next kills what is in it and removes it. The policy is attached to
//! that parent once. A sandbox's own cgroup is used again by a later one, as making one costs more than a mount. All of
//! them are below the cgroup that the process itself is in, whose limits so hold for its sandboxes too.
//!
//! The unified hierarchy is used where it is mounted, also beside the old ones: a process is born in its cgroup, where
//! joining later would stall every fork of the machine. Without it the old `devices` hierarchy serves.

mod devices;
mod hierarchy;
mod sweep;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, mkdir, openat, rmdir};
use rustix::io::Errno;

use self::hierarchy::{Hierarchy, Version};
use crate::error::Error;

/// The cgroup that those of all processes are in.
const COMMON: &str = "rbuild";

/// Which devices the sandboxes may use.
#[derive(Debug, Clone, Copy)]
enum Devices {
    /// Those of the policy.
    Few,
    All,
}

/// How a new process gets into a cgroup.
#[derive(Debug)]
pub(crate) struct Membership {
    /// The cgroup of the unified hierarchy to be born in.
    pub(crate) unified: Option<OwnedFd>,
    /// Files to write "0" to.
    pub(crate) join: Vec<OwnedFd>,
    /// Whether there is a policy on devices.
    pub(crate) confines_devices: bool,
}

/// The cgroups of this process's sandboxes.
#[derive(Debug)]
pub(crate) struct Cgroups {
    /// `None` where cgroups can't be made.
    own: Option<Own>,
    free: Mutex<Vec<PathBuf>>,
    made: AtomicU32,
}

/// This process's cgroup, the parent of those of its sandboxes.
#[derive(Debug)]
struct Own {
    hierarchy: Hierarchy,
    path: PathBuf,
    confines_devices: bool,
    /// Locked until the process ends.
    _lock: OwnedFd,
}

impl Cgroups {
    /// Prepares them, and clears away those of processes that died. Where there are none to be had, sandboxes do without.
    pub(crate) fn new() -> Arc<Self> {
        Self::on(Hierarchy::find(), Devices::Few)
    }

    /// The same for sandboxes that may use all devices.
    pub(crate) fn unconfined() -> Arc<Self> {
        Self::on(Hierarchy::find(), Devices::All)
    }

    /// None at all.
    pub(crate) fn none() -> Arc<Self> {
        Self::on(None, Devices::Few)
    }

    /// As [`Cgroups::new`] on a certain hierarchy.
    fn on(hierarchy: Option<Hierarchy>, devices: Devices) -> Arc<Self> {
        let own = hierarchy.and_then(|hierarchy| {
            // A cgroup of threads can have no cgroups of processes below it.
            let places = [hierarchy.own(), Some(hierarchy.mount_point.clone())];
            places.into_iter().flatten().find_map(|place| {
                let common = place.join(COMMON);
                sweep::dead(&common);
                Own::new(&hierarchy, &common, devices).ok()
            })
        });
        Arc::new(Self {
            own,
            free: Mutex::default(),
            made: AtomicU32::new(0),
        })
    }

    /// A cgroup for a sandbox, until the slot is dropped.
    pub(crate) fn take(self: &Arc<Self>) -> Result<Slot, Error> {
        let path = match &self.own {
            None => None,
            Some(own) => Some(match self.lock_free().pop() {
                Some(path) => path,
                None => self.make(own)?,
            }),
        };
        Ok(Slot {
            cgroups: Arc::clone(self),
            path,
        })
    }

    /// The membership that a running process of the host has, for another to have too.
    pub(crate) fn of(&self, pid: u32) -> Result<Membership, Error> {
        let Some(own) = &self.own else {
            return Ok(Membership::none());
        };
        let path = own.hierarchy.of(pid).ok_or(Error::Gone)?;
        own.membership(&path)
    }

    pub(crate) fn confines_devices(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.confines_devices)
    }

    fn make(&self, own: &Own) -> Result<PathBuf, Error> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = own.path.join(number.to_string());
        mkdir(&path, Mode::from_raw_mode(0o755)).map_err(Error::path("make the cgroup", &path))?;
        Ok(path)
    }

    fn lock_free(&self) -> std::sync::MutexGuard<'_, Vec<PathBuf>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        let Some(own) = &self.own else {
            return;
        };
        for path in self.lock_free().drain(..) {
            // What can't be removed now, the next process sweeps.
            let _ = rmdir(&path);
        }
        let _ = rmdir(&own.path);
    }
}

impl Own {
    fn new(hierarchy: &Hierarchy, common: &Path, devices: Devices) -> Result<Self, Errno> {
        make_directory(common)?;
        if !hierarchy::holds_processes(common) {
            // Empty, or another's for whom it is of no use either.
            let _ = rmdir(common);
            return Err(Errno::OPNOTSUPP);
        }
        for attempt in 0_u32.. {
            let path = common.join(format!("{}-{attempt}", std::process::id()));
            match mkdir(&path, Mode::from_raw_mode(0o755)) {
                // Another in this process, or one with the same number in another PID namespace.
                Err(Errno::EXIST) => continue,
                made => made?,
            }
            let directory = match open_directory(&path) {
                Err(Errno::NOENT) => continue,
                directory => directory?,
            };
            // Between its making and now somebody may have taken it for one left behind.
            if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err()
                || open_directory(&path).is_err()
            {
                continue;
            }
            let confined = match (devices, hierarchy.version) {
                (Devices::All, _) => false,
                (Devices::Few, Version::Unified) => devices::confine(directory.as_fd()).is_ok(),
                (Devices::Few, Version::Devices) => devices::confine_old(&path).is_ok(),
            };
            return Ok(Self {
                hierarchy: hierarchy.clone(),
                path,
                confines_devices: confined,
                _lock: directory,
            });
        }
        Err(Errno::EXIST)
    }

    fn membership(&self, path: &Path) -> Result<Membership, Error> {
        let failed = || Error::path("open the cgroup", path);
        let mut membership = Membership {
            confines_devices: self.confines_devices,
            ..Membership::none()
        };
        match self.hierarchy.version {
            Version::Unified => {
                membership.unified = Some(open_directory(path).map_err(failed())?);
            }
            Version::Devices => {
                let flags = OFlags::WRONLY | OFlags::CLOEXEC;
                let file = openat(CWD, path.join("cgroup.procs"), flags, Mode::empty());
                membership.join.push(file.map_err(failed())?);
            }
        }
        Ok(membership)
    }
}

impl Membership {
    fn none() -> Self {
        Self {
            unified: None,
            join: vec![],
            confines_devices: false,
        }
    }
}

/// The cgroup of one sandbox.
#[derive(Debug)]
pub(crate) struct Slot {
    cgroups: Arc<Cgroups>,
    path: Option<PathBuf>,
}

impl Slot {
    /// How the sandbox's process gets in.
    pub(crate) fn membership(&self) -> Result<Membership, Error> {
        match (&self.cgroups.own, &self.path) {
            (Some(own), Some(path)) => own.membership(path),
            _ => Ok(Membership::none()),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            self.cgroups.lock_free().push(path);
        }
    }
}

fn make_directory(path: &Path) -> Result<(), Errno> {
    match mkdir(path, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty())
}

#[cfg(test)]
impl Cgroups {
    /// On the old hierarchy, which must be mounted at its usual place, or on none.
    pub(crate) fn lesser(old: bool) -> Arc<Self> {
        Self::on(
            old.then(|| Hierarchy {
                version: Version::Devices,
                mount_point: "/sys/fs/cgroup/devices".into(),
            }),
            Devices::Few,
        )
    }
}

#[cfg(test)]
mod tests;
