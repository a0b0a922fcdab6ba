//! The rules of the profile.

use crate::capability::{Capabilities, Capability};

/// When a system call is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Whoever calls.
    Always,
    /// With a capability.
    Needs(Capability),
    /// With one of two capabilities.
    NeedsEither(Capability, Capability),
    /// `personality`: for the execution domains that programs in use ask for.
    Personality,
    /// `socket`: for the address families that stay inside the network namespace or can do no harm.
    Socket,
    /// `clone`: unless it makes namespaces, which needs the capability to administer the system.
    Clone,
    /// `clone3`: its flags are in memory, where a filter can't look, so it is said not to exist and C libraries fall
    /// back to `clone`; with the capability to administer the system it is allowed.
    Clone3,
}

/// What the filter does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Lets it through.
    Allow,
    /// Refuses it: operation not permitted.
    Refuse,
    /// Says that the kernel does not have it.
    Unknown,
    /// Lets it through if its first argument is one of these ranges, both ends included.
    AllowFirstArgument(&'static [(u32, u32)]),
    /// Lets it through if its first argument has none of these bits.
    AllowWithout(u32),
}

/// The execution domains: Linux, BSD, and both with the machine name of 32-bit; and the question which is set.
const PERSONALITIES: &[(u32, u32)] = &[
    (0x0000_0000, 0x0000_0000),
    (0x0000_0008, 0x0000_0008),
    (0x0002_0000, 0x0002_0000),
    (0x0002_0008, 0x0002_0008),
    (0xffff_ffff, 0xffff_ffff),
];

/// The address families. Left out are long dead ones, those the kernel uses for itself, its cryptography (38), which
/// has had holes that lead out of containers, and virtual machine sockets (40), which no network namespace confines.
const ADDRESS_FAMILIES: &[(u32, u32)] = &[
    (0, 11),
    (13, 18),
    (21, 22),
    (24, 24),
    (26, 33),
    (35, 36),
    (39, 39),
    (41, 45),
];

/// `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID` and `NEWNET`.
const NAMESPACE_FLAGS: u32 = 0x7e02_0000;

impl Rule {
    /// What becomes of the call for a process with these capabilities.
    pub(super) fn action(self, capabilities: Capabilities) -> Action {
        let administers = capabilities.contains(Capability::SysAdmin);
        let when = |allowed| {
            if allowed {
                Action::Allow
            } else {
                Action::Refuse
            }
        };
        match self {
            Self::Always => Action::Allow,
            Self::Needs(capability) => when(capabilities.contains(capability)),
            Self::NeedsEither(one, other) => {
                when(capabilities.contains(one) || capabilities.contains(other))
            }
            Self::Personality => Action::AllowFirstArgument(PERSONALITIES),
            Self::Socket => Action::AllowFirstArgument(ADDRESS_FAMILIES),
            Self::Clone | Self::Clone3 if administers => Action::Allow,
            Self::Clone => Action::AllowWithout(NAMESPACE_FLAGS),
            Self::Clone3 => Action::Unknown,
        }
    }
}
