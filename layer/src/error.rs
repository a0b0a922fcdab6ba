//! Why a layer cannot be written, read or unpacked.

use std::path::{Path, PathBuf};

use crate::path::{LayerPath, PathError};

/// Something that could not be done with a layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the host could not be used.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The layer's own tar or index could not be read or written.
    #[error("cannot {action}")]
    Storage {
        /// What was tried, and on which of the two.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A planned entry cannot be part of a layer.
    #[error("cannot put `{path}` in a layer")]
    Plan {
        /// Which.
        path: LayerPath,
        /// Why.
        source: PlanProblem,
    },
    /// A file became shorter while it was being copied.
    #[error("`{path}` changed while it was being copied")]
    Changed {
        /// Where it was to go.
        path: LayerPath,
    },
    /// A tar from outside is damaged or asks for what no layer may have.
    #[error("bad entry `{entry}` in the tar, at byte {offset}")]
    Tar {
        /// The name in the header; empty where there is none.
        entry: String,
        /// Where its header begins.
        offset: u64,
        /// Why.
        source: TarProblem,
    },
    /// An index is damaged, or was made by another version.
    #[error("the layer's index is damaged: {0}")]
    Index(IndexProblem),
    /// More symbolic links than one path may lead through.
    #[error("too many links in `{path}`")]
    TooManyLinks {
        /// The path as it was given.
        path: String,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

/// Why a planned entry cannot be part of a layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanProblem {
    /// Two entries of the plan have this path.
    #[error("it is planned twice")]
    Twice,
    /// It comes behind an entry that it should come before.
    #[error("it is planned out of order")]
    Unordered,
    /// An entry of the plan is below something that is no directory.
    #[error("`{0}` is above it and is no directory")]
    NotADirectory(LayerPath),
    /// The name begins with `.wh.`, by which layers mark deletions.
    #[error("names that begin with `.wh.` stand for deletions")]
    ReservedName,
    /// The root can only be a directory.
    #[error("the root can only be a directory")]
    Root,
    /// A hard link to nothing, to a directory, to a whiteout or in a circle.
    #[error("it is a hard link to `{0}`, which is no file of this layer")]
    LinkTarget(LayerPath),
    /// The target of a symbolic link is empty, too long or has a NUL byte.
    #[error("it is a link with an empty or an overlong target")]
    SymlinkTarget,
    /// A character device with the numbers by which overlayfs marks deletions.
    #[error("a character device 0:0 stands for a deletion")]
    WhiteoutDevice,
    /// A device number that Linux does not have.
    #[error("there is no device {0}:{1}")]
    DeviceNumber(u32, u32),
    /// An attribute that neither a tar nor the index can hold.
    #[error("its attribute `{0}` cannot be stored")]
    Xattr(String),
    /// An overlay feature is in use that leaves the file's content elsewhere.
    #[error("its overlay attribute `{0}` refers to another layer")]
    OverlayFeature(String),
    /// The path is none.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The index cannot address what is so far into the tar.
    #[error("the layer is larger than 2 TiB")]
    TooLarge,
}

/// Why a tar is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarProblem {
    /// The stream could not be read.
    #[error("cannot read the tar")]
    Read(#[source] std::io::Error),
    /// It ends in the middle of an entry.
    #[error("the tar ends in the middle of it")]
    Truncated,
    /// The header's checksum is another.
    #[error("the header's checksum is wrong")]
    Checksum,
    /// A field that should hold a number does not.
    #[error("the field `{0}` is no number in its range")]
    Number(&'static str),
    /// An extended header that cannot be read.
    #[error("its extended header is damaged")]
    Pax,
    /// An extended header or an overlong name is larger than is allowed.
    #[error("its extended header is larger than {0} bytes")]
    LargeHeader(u64),
    /// Its extended attributes are too large.
    #[error("its extended attributes are too large")]
    Xattrs,
    /// The path is none.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A kind of entry that is not known.
    #[error("the entry has the unknown type {0:#04x}")]
    Type(u8),
    /// A part of the path is a file.
    #[error("a part of its path is no directory")]
    NotADirectory,
    /// The path leads through too many links.
    #[error("its path leads through too many links")]
    TooManyLinks,
    /// The root can only be a directory.
    #[error("the root can only be a directory")]
    Root,
    /// A hard link to something that does not come before it.
    #[error("it is a hard link to `{0}`, which does not come before it")]
    LinkTarget(String),
    /// The target of a symbolic link is empty, too long or has a NUL byte.
    #[error("it is a link with an empty or an overlong target")]
    SymlinkTarget,
    /// A device that stands for a deletion in overlayfs; only `.wh.` files may do so in a tar.
    #[error("it is the device 0:0, which stands for a deletion")]
    WhiteoutDevice,
    /// A whiteout of nothing.
    #[error("it is a deletion mark without a name")]
    Whiteout,
    /// The map of a sparse file contradicts itself.
    #[error("its map of holes is wrong")]
    SparseMap,
    /// The parts of a sparse file do not begin at multiples of 512 bytes.
    #[error("its map of holes is not in steps of 512 bytes")]
    UnalignedSparse,
    /// More of something than is allowed.
    #[error("the tar has more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
}

/// What is wrong with an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexProblem {
    /// It is no index of this version.
    #[error("it is not one of this version")]
    Format,
    /// Something lies outside the file.
    #[error("a part of it is missing")]
    Truncated,
    /// An inode makes no sense.
    #[error("an inode makes no sense")]
    Inode,
    /// A directory makes no sense.
    #[error("a directory makes no sense")]
    Directory,
    /// A list of extended attributes makes no sense.
    #[error("an extended attribute makes no sense")]
    Xattr,
    /// A path was asked of something that is no directory, or the like.
    #[error("an entry is of another kind than it was used as")]
    Kind,
    /// The tar is shorter than the index says.
    #[error("its tar is shorter than it says")]
    Tar,
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: impl Into<std::io::Error>) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source: source.into(),
        }
    }

    pub(crate) fn storage(action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Storage { action, source }
    }

    pub(crate) fn plan(path: &LayerPath, source: PlanProblem) -> Self {
        Self::Plan {
            path: path.clone(),
            source,
        }
    }
}

impl From<IndexProblem> for Error {
    fn from(problem: IndexProblem) -> Self {
        Self::Index(problem)
    }
}

/// The result of working with layers.
pub type Result<T, E = Error> = std::result::Result<T, E>;
