//! What a layer is made of.

use crate::digest::ContentDigest;
use crate::metadata::Metadata;
use crate::path::LayerPath;
use crate::source::FileSource;

/// What kind of thing stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// A named pipe.
    Fifo,
    /// The mark that hides what a lower layer has at this path.
    Whiteout,
}

/// One entry of a layer that is to be written.
#[derive(Debug, Clone)]
pub struct PlannedEntry {
    /// Where it goes; the root for the root directory's own metadata.
    pub path: LayerPath,
    /// Its metadata. A hard link has that of the entry it names, a whiteout has none.
    pub metadata: Metadata,
    /// What it is.
    pub node: PlannedNode,
}

/// What a planned entry is.
#[derive(Debug, Clone)]
pub enum PlannedNode {
    /// A directory.
    Directory {
        /// It hides everything that lower layers have in it.
        opaque: bool,
    },
    /// A regular file.
    File(PlannedFile),
    /// A symbolic link with this target.
    Symlink(Vec<u8>),
    /// One more name of the entry at this path of the same plan, which is no directory and no whiteout.
    HardLink(LayerPath),
    /// A character device.
    Char {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// Hides what lower layers have at this path.
    Whiteout,
}

/// A regular file of a plan.
#[derive(Debug, Clone)]
pub struct PlannedFile {
    /// Where its bytes come from.
    pub source: FileSource,
    /// The digest that its bytes are expected to have, where one was taken before; see [`Summary::changed`].
    ///
    /// [`Summary::changed`]: crate::Summary::changed
    pub expected: Option<ContentDigest>,
}

impl From<FileSource> for PlannedFile {
    fn from(source: FileSource) -> Self {
        Self {
            source,
            expected: None,
        }
    }
}

impl PlannedNode {
    /// A regular file whose bytes are not known beforehand.
    pub fn file(source: FileSource) -> Self {
        Self::File(source.into())
    }
}
