//! What makes sandboxes.

use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use rustix::thread::CapabilitySet;

use crate::capability::Capabilities;
use crate::cgroup::Cgroups;
use crate::error::Error;
use crate::mount::{Lower, Marks, MountSpace, Overlay, OverlayUpper};
use crate::namespace::Ids;
use crate::network::{NoOwnNetwork, OwnNetwork};
use crate::sandbox::{Child, Identity, Launcher, Possible, Process, Spec, Stdio};
use crate::sys::MountAttributes;

/// Makes sandboxes. One is enough for a process; it is cheap to clone, and whatever was made with it keeps what it
/// needs of it.
#[derive(Debug, Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) space: MountSpace,
    pub(crate) launcher: Launcher,
    pub(crate) cgroups: Arc<Cgroups>,
    /// Those of sandboxes that may use all devices; made when the first of them is.
    open_cgroups: OnceLock<Arc<Cgroups>>,
    pub(crate) possible: Possible,
    /// Made when a sandbox first wants it.
    own_network: OnceLock<Result<OwnNetwork, NoOwnNetwork>>,
}

impl Shared {
    pub(crate) fn open_cgroups(&self) -> &Arc<Cgroups> {
        self.open_cgroups.get_or_init(|| {
            if self.possible.ids.are_the_machines() {
                Cgroups::unconfined()
            } else {
                Cgroups::none()
            }
        })
    }

    pub(crate) fn own_network(&self) -> Result<&OwnNetwork, &NoOwnNetwork> {
        let network = self.own_network.get_or_init(|| {
            if self.possible.ids.are_the_machines() {
                Err(NoOwnNetwork::Superuser)
            } else {
                OwnNetwork::new()
            }
        });
        network.as_ref()
    }
}

impl Runtime {
    /// Makes ready: namespaces for mounts, the cgroups' parent, and an end to what dead processes left.
    ///
    /// Must be called by a thread that is in the mount namespace of the host's paths, as is every thread at first.
    pub fn new() -> Result<Self, Error> {
        let ids = ids()?;
        // An ordinary user's sandboxes end with their PID namespace, and device nodes have no power there: cgroups
        // would add nothing.
        let cgroups = if ids.are_the_machines() {
            Cgroups::new()
        } else {
            Cgroups::none()
        };
        Self::with(cgroups, ids)
    }

    fn with(cgroups: Arc<Cgroups>, ids: Ids) -> Result<Self, Error> {
        let marks = if ids.are_the_machines() {
            Marks::Trusted
        } else {
            Marks::User
        };
        Ok(Self {
            shared: Arc::new(Shared {
                space: MountSpace::new(marks)?,
                launcher: Launcher::new(!ids.are_the_machines())?,
                cgroups,
                open_cgroups: OnceLock::new(),
                possible: possible(ids)?,
                own_network: OnceLock::new(),
            }),
        })
    }

    /// Starts the first process of a new sandbox, and returns when its program runs. Blocks for a millisecond or so, and
    /// longer the first time that layers are mounted.
    pub fn spawn(&self, spec: Spec) -> Result<Child, Error> {
        crate::sandbox::spawn(&self.shared, spec)
    }

    /// Starts another process in the sandbox of one that runs, and returns when its program runs.
    pub fn enter(&self, target: Identity, process: &Process, stdio: Stdio) -> Result<Child, Error> {
        crate::sandbox::enter(&self.shared, target, process, stdio)
    }

    /// The merged files of layers, lowest first, as a directory to read through this descriptor. It is mounted for as
    /// long as the descriptor, or any file opened below it, is open.
    pub fn view(&self, lowers: &[Lower]) -> Result<OwnedFd, Error> {
        self.shared.space.overlay(Overlay {
            lowers: lowers.to_vec(),
            upper: OverlayUpper::None,
            attributes: MountAttributes::READ_ONLY,
        })
    }

    /// Unmounts a layer once nothing uses it any more. Call it before the layer's files are deleted for good.
    pub fn forget(&self, lower: &Lower) -> Result<(), Error> {
        self.shared.space.forget(lower)
    }

    /// Why sandboxes that want a network of their own are on the host's, if they are. Connects it, if that was not done
    /// yet.
    pub fn own_network(&self) -> Result<(), &NoOwnNetwork> {
        self.shared.own_network().map(drop)
    }

    /// Whether device nodes are confined by the kernel's policy; if not, sandboxes can't open any but those in `/dev`.
    pub fn confines_devices(&self) -> bool {
        self.shared.cgroups.confines_devices()
    }
}

fn ids() -> Result<Ids, Error> {
    Ids::current().map_err(|source| Error::System {
        action: "read the map of ids",
        source,
    })
}

fn possible(ids: Ids) -> Result<Possible, Error> {
    let sets =
        rustix::thread::capabilities(None).map_err(Error::system("read the capabilities"))?;
    let mut bounding = Capabilities::NONE;
    for number in 0..64 {
        let one = Capabilities::from_bits(1 << number);
        let flag = CapabilitySet::from_bits_retain(one.bits());
        match rustix::thread::capability_is_in_bounding_set(flag) {
            Ok(true) => bounding = Capabilities::from_bits(bounding.bits() | one.bits()),
            Ok(false) => {}
            // The first number that this kernel does not have.
            Err(_) => break,
        }
    }
    Ok(Possible {
        capabilities: Capabilities::from_bits(sets.permitted.bits()),
        bounding,
        ids,
    })
}

#[cfg(test)]
mod tests;
