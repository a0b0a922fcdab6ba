//! What a file has besides its content.

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z; negative before it.
    pub seconds: i64,
    /// Nanoseconds past that second, below 1,000,000,000.
    pub nanos: u32,
}

impl Timestamp {
    /// A whole second.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }
}

/// Extended attributes: full names (`user.a`, `security.capability`) and values.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Mode, owner, time and extended attributes of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Metadata {
    /// Permission, set-id and sticky bits: 07777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last change of the content.
    pub mtime: Timestamp,
    /// Extended attributes, sorted by name where rbuild made them.
    pub xattrs: Xattrs,
}

impl Metadata {
    /// What a directory has that a layer does not describe but that must exist for the entries below it.
    pub const fn implied() -> Self {
        Self {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Timestamp::from_seconds(0),
            xattrs: Vec::new(),
        }
    }

    /// Keeps the mode's 12 bits, the nanoseconds in their range and the attributes in their order.
    pub(crate) fn normalise(&mut self) {
        self.mode &= 0o7777;
        self.mtime.nanos = self.mtime.nanos.min(999_999_999);
        self.xattrs.sort_unstable();
        self.xattrs.dedup_by(|later, earlier| later.0 == earlier.0);
    }
}
