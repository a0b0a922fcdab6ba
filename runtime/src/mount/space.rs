//! The mount namespace where layers are mounted, once a process, and from which overlays are made.
//!
//! A thread has left the file system context of the process: it has its own copy of the host's mounts, which follows
//! the host's unmounts but shows the host nothing, and on top of its root a small tmpfs, out of the way of all paths,
//! where layers are mounted and which is the thread's current directory. An overlay is made there from short relative
//! names and handed out as a descriptor. It needs no place in the namespace of who uses it, and the kernel's private
//! copies of its layers' mounts keep it whole. So a sandbox's namespace never holds, copies or tears down the mounts of
//! layers, and when the process dies, however it dies, every mount is gone.
//!
//! Detached layers under a detached overlay would need no namespace at all, but only from Linux 6.15 on.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, mkdirat, symlinkat, unlinkat};
use rustix::io::Errno;
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, UnmountFlags, mount_change, move_mount, unmount,
};
use rustix::process::fchdir;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::erofs::{self, Backing};
use super::overlay::{self, MAX_LOWERS, Marks, Parts, Syntax};
use super::{Lower, Overlay, OverlayUpper, file_system};
use crate::error::Error;
use crate::sys::MountAttributes;
use crate::worker::Worker;

/// A handle to the namespace.
#[derive(Debug)]
pub(crate) struct MountSpace {
    worker: Worker<Keeper>,
}

impl MountSpace {
    /// Makes the namespace.
    pub(crate) fn new(marks: Marks) -> Result<Self, Error> {
        let worker = Worker::start("mounts", move || {
            Keeper::new(marks).map_err(Error::system("make a mount namespace"))
        })?;
        Ok(Self { worker })
    }

    /// Makes an overlay as a detached mount, mounting the layers that are not yet.
    pub(crate) fn overlay(&self, overlay: Overlay) -> Result<OwnedFd, Error> {
        let overlay = overlay.absolute()?;
        self.worker.call(move |keeper| keeper.overlay(&overlay))?
    }

    /// Unmounts a layer, if it is mounted. Overlays that have it keep it.
    pub(crate) fn forget(&self, lower: &Lower) -> Result<(), Error> {
        let lower = lower.clone().absolute()?;
        self.worker.call(move |keeper| keeper.forget(&lower))
    }
}

/// The thread's state. Its current directory is `root`.
#[derive(Debug)]
struct Keeper {
    root: OwnedFd,
    next_name: u64,
    /// The names of layers in `root`: mount points, and symbolic links to directories.
    layers: HashMap<Lower, String>,
    marks: Marks,
    syntax: Syntax,
    backing: Backing,
}

impl Keeper {
    fn new(marks: Marks) -> Result<Self, Errno> {
        // SAFETY: the thread has no descriptors or paths of its own yet, and the table of descriptors stays shared.
        unsafe { unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS) }?;
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        mount_change("/", slave)?;
        let root = file_system(c"tmpfs", &[(c"mode", c"0700")], MountAttributes::empty())?;
        // On the root itself, where lookups of paths don't see it: they start below it.
        let empty_path = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(root.as_fd(), "", rustix::fs::CWD, "/", empty_path)?;
        fchdir(root.as_fd())?;
        for directory in overlay::EMPTY.into_iter().chain([overlay::ATTACHED]) {
            mkdirat(root.as_fd(), directory, Mode::from_raw_mode(0o755))?;
        }
        Ok(Self {
            root,
            next_name: 0,
            layers: HashMap::new(),
            marks,
            syntax: Syntax::Separate,
            backing: Backing::File,
        })
    }

    fn overlay(&mut self, wanted: &Overlay) -> Result<OwnedFd, Error> {
        let mut parts = Parts {
            lowers: self.lowers(&wanted.lowers)?,
            upper: None,
        };
        let mut links = vec![];
        let made = self.with_upper(wanted, &mut parts, &mut links);
        for link in links {
            // A link that stays does no harm.
            let _ = unlinkat(self.root.as_fd(), link, AtFlags::empty());
        }
        made
    }

    /// The names of the layers, topmost first. A layer that comes twice counts where it is highest: there it has all
    /// that it has further down, and the kernel refuses a layer over itself.
    fn lowers(&mut self, lowers: &[Lower]) -> Result<Vec<String>, Error> {
        let mut seen = HashSet::new();
        let distinct: Vec<_> = lowers
            .iter()
            .rev()
            .filter(|lower| seen.insert(*lower))
            .collect();
        if distinct.len() > MAX_LOWERS {
            return Err(Error::TooManyLayers {
                count: distinct.len(),
                limit: MAX_LOWERS,
            });
        }
        distinct
            .into_iter()
            .map(|lower| self.layer(lower))
            .collect()
    }

    fn with_upper(
        &mut self,
        wanted: &Overlay,
        parts: &mut Parts,
        links: &mut Vec<String>,
    ) -> Result<OwnedFd, Error> {
        let needed = match &wanted.upper {
            OverlayUpper::None => 2,
            OverlayUpper::Directory(upper) => {
                overlay::clear_volatile_mark(&upper.work);
                let directory = self.value(&upper.directory, links)?;
                let work = self.value(&upper.work, links)?;
                parts.upper = Some((directory, work, upper.durable));
                1
            }
            OverlayUpper::Temporary => {
                return self
                    .with_temporary_upper(wanted, parts)
                    .map_err(Error::system("mount an overlay on memory"));
            }
        };
        parts.fill(needed);
        self.make(parts, wanted.attributes)
            .map_err(Error::system("mount an overlay of the layers"))
    }

    fn with_temporary_upper(
        &mut self,
        wanted: &Overlay,
        parts: &mut Parts,
    ) -> Result<OwnedFd, Errno> {
        parts.fill(1);
        let name = self.name();
        let memory = file_system(c"tmpfs", &[], MountAttributes::empty())?;
        self.attach(&memory, &name)?;
        let made = overlay::temporary_upper(self.root.as_fd(), &name).and_then(|(upper, work)| {
            parts.upper = Some((upper, work, true));
            self.make(parts, wanted.attributes)
        });
        self.detach(&name);
        made
    }

    fn make(&mut self, parts: &Parts, attributes: MountAttributes) -> Result<OwnedFd, Errno> {
        match overlay::make(parts, attributes, (self.syntax, self.marks)) {
            Err(Errno::INVAL) if self.syntax == Syntax::Separate => {
                let made = overlay::make(parts, attributes, (Syntax::Joined, self.marks))?;
                self.syntax = Syntax::Joined;
                Ok(made)
            }
            made => made,
        }
    }

    /// The name of a layer in the root, made if needed.
    fn layer(&mut self, lower: &Lower) -> Result<String, Error> {
        if let Some(name) = self.layers.get(lower) {
            return Ok(name.clone());
        }
        let name = match lower {
            Lower::Directory(directory) => {
                // The kernel would report a missing layer without saying which.
                rustix::fs::stat(directory).map_err(layer_error(directory))?;
                self.link(directory).map_err(layer_error(directory))?
            }
            Lower::Erofs { index, tar } => {
                let mut links = vec![];
                let name = self.erofs(index, tar.as_deref(), &mut links);
                for link in links {
                    // A link that stays does no harm.
                    let _ = unlinkat(self.root.as_fd(), link, AtFlags::empty());
                }
                name?
            }
        };
        self.layers.insert(lower.clone(), name.clone());
        Ok(name)
    }

    fn erofs(
        &mut self,
        index: &Path,
        tar: Option<&Path>,
        links: &mut Vec<String>,
    ) -> Result<String, Error> {
        let source = self.value(index, links)?;
        let device = tar.map(|tar| self.value(tar, links)).transpose()?;
        let mut made = erofs::make(&source, device.as_deref(), self.backing);
        if let (Err(error), Backing::File) = (&made, self.backing)
            && erofs::needs_loop_device(*error)
        {
            made = erofs::make(&source, device.as_deref(), Backing::LoopDevice);
        }
        let attach = made.and_then(|mount| {
            let name = self.name();
            self.attach(&mount, &name)?;
            Ok(name)
        });
        attach.map_err(layer_error(index))
    }

    fn forget(&mut self, lower: &Lower) {
        let Some(name) = self.layers.remove(lower) else {
            return;
        };
        match lower {
            // Only a name goes; one that stays does no harm.
            Lower::Directory(_) => {
                let _ = unlinkat(self.root.as_fd(), name, AtFlags::empty());
            }
            Lower::Erofs { .. } => self.detach(&name),
        }
    }

    /// Mounts a detached mount on a new directory of the root.
    fn attach(&self, mount: &OwnedFd, name: &str) -> Result<(), Errno> {
        mkdirat(self.root.as_fd(), name, Mode::from_raw_mode(0o755))?;
        let empty_path = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(mount.as_fd(), "", self.root.as_fd(), name, empty_path)
    }

    fn detach(&self, name: &str) {
        // What can't be unmounted now goes with the namespace.
        if unmount(name, UnmountFlags::DETACH).is_ok() {
            let _ = unlinkat(self.root.as_fd(), name, AtFlags::REMOVEDIR);
        }
    }

    /// A path as an option's value: itself, or a link to it when it is too long or the kernel would read separators or
    /// escapes in it.
    fn value(&mut self, path: &Path, links: &mut Vec<String>) -> Result<String, Error> {
        if overlay::is_plain(path.as_os_str())
            && let Some(text) = path.to_str()
        {
            return Ok(text.to_owned());
        }
        let link = self
            .link(path)
            .map_err(Error::path("make a name for", path))?;
        links.push(link.clone());
        Ok(link)
    }

    fn link(&mut self, target: &Path) -> Result<String, Errno> {
        let name = self.name();
        let target = CString::new(target.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
        symlinkat(target, self.root.as_fd(), &name)?;
        Ok(name)
    }

    fn name(&mut self) -> String {
        self.next_name += 1;
        self.next_name.to_string()
    }
}

fn layer_error(layer: &Path) -> impl FnOnce(Errno) -> Error {
    move |error| Error::Layer {
        layer: layer.to_owned(),
        source: error.into(),
    }
}

#[cfg(test)]
mod tests;
