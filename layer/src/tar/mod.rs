//! The tar format: POSIX ustar headers with PAX extended headers, and what GNU tar adds when reading.

pub(crate) mod header;
pub(crate) mod pax;
pub(crate) mod read;
pub(crate) mod sparse;
pub(crate) mod write;

/// Size of a block: headers and data begin at its multiples.
pub(crate) const BLOCK: u64 = 512;

/// By what a name says that something is deleted (OCI image specification, "Whiteouts").
pub(crate) const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// Names of a union file system's own files; this one marks an opaque directory.
pub(crate) const OPAQUE_MARK: &[u8] = b".wh..wh..opq";
/// Prefix of names that a union file system keeps for itself.
pub(crate) const WHITEOUT_META_PREFIX: &[u8] = b".wh..wh.";

/// Whether Linux has devices of these numbers: 12 bits and 20 bits.
pub(crate) const fn is_device(major: u32, minor: u32) -> bool {
    major <= 0xfff && minor <= 0xf_ffff
}
