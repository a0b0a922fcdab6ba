//! Capabilities: the parts of the superuser's power, and which of them a sandbox keeps.

/// One capability, with the kernel's number (`capability.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(
    missing_docs,
    reason = "the names are the kernel's; capabilities(7) describes them"
)]
pub enum Capability {
    Chown = 0,
    DacOverride = 1,
    DacReadSearch = 2,
    Fowner = 3,
    Fsetid = 4,
    Kill = 5,
    Setgid = 6,
    Setuid = 7,
    Setpcap = 8,
    LinuxImmutable = 9,
    NetBindService = 10,
    NetBroadcast = 11,
    NetAdmin = 12,
    NetRaw = 13,
    IpcLock = 14,
    IpcOwner = 15,
    SysModule = 16,
    SysRawio = 17,
    SysChroot = 18,
    SysPtrace = 19,
    SysPacct = 20,
    SysAdmin = 21,
    SysBoot = 22,
    SysNice = 23,
    SysResource = 24,
    SysTime = 25,
    SysTtyConfig = 26,
    Mknod = 27,
    Lease = 28,
    AuditWrite = 29,
    AuditControl = 30,
    Setfcap = 31,
    MacOverride = 32,
    MacAdmin = 33,
    Syslog = 34,
    WakeAlarm = 35,
    BlockSuspend = 36,
    AuditRead = 37,
    Perfmon = 38,
    Bpf = 39,
    CheckpointRestore = 40,
}

/// A set of capabilities: bit n is capability n, as `/proc/PID/status` shows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Capabilities(u64);

impl Capabilities {
    /// None.
    pub const NONE: Self = Self(0);

    /// All that this version knows; what the caller itself lacks is left out when a sandbox starts.
    pub const ALL: Self = Self((1 << (Capability::CheckpointRestore as u8 + 1)) - 1);

    /// Those of a container by default: Docker's list of fourteen (moby, `oci/caps/defaults.go`).
    pub const DEFAULT: Self = Self::NONE
        .with(Capability::Chown)
        .with(Capability::DacOverride)
        .with(Capability::Fsetid)
        .with(Capability::Fowner)
        .with(Capability::Mknod)
        .with(Capability::NetRaw)
        .with(Capability::Setgid)
        .with(Capability::Setuid)
        .with(Capability::Setfcap)
        .with(Capability::Setpcap)
        .with(Capability::NetBindService)
        .with(Capability::SysChroot)
        .with(Capability::Kill)
        .with(Capability::AuditWrite);

    /// This set and one more.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u8)
    }

    /// This set less one.
    #[must_use]
    pub const fn without(self, capability: Capability) -> Self {
        Self(self.0 & !(1 << capability as u8))
    }

    /// Whether one is in it.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & 1 << capability as u8 != 0
    }

    /// The set as the kernel writes it.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Those in both sets.
    pub(crate) const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The set with these bits.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl std::fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Capabilities({:016x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_set_is_dockers() {
        assert_eq!(Capabilities::DEFAULT.bits(), 0xa804_25fb);
    }

    #[test]
    fn sets_grow_and_shrink() {
        let set = Capabilities::DEFAULT.with(Capability::SysAdmin);
        assert!(set.contains(Capability::SysAdmin));
        assert_eq!(set.without(Capability::SysAdmin), Capabilities::DEFAULT);
        assert_eq!(Capabilities::ALL.bits(), 0x1ff_ffff_ffff);
    }
}
