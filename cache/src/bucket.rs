//! The places of the store. This is the one table of its layout.

/// A directory under the store's root. Its name carries the version of what lies in it, so that one format can
/// change without the others. `hh` stands for the first two digits of the name that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// `OWNER.N`: files and directories that are being made.
    Temporary,
    /// `OWNER.N`: what has been removed and not yet deleted.
    Trash,
    /// `hh/DIFFID/`: a layer, with the files `tar` (the uncompressed tar), `index` (the EROFS image that points
    /// into it) and `layer` (a record of their sizes and digests), and maybe the directories `upper-BOOT` (overlayfs
    /// upper form) and `unpacked-BOOT` (the same, made from the tar), which are of no use once the machine has been
    /// started anew.
    Layers,
    /// `OWNER.N/{upper,work}`: overlayfs uppers of running steps.
    Uppers,
    /// `sha256/HEX`: image configs and manifests.
    Blobs,
    /// `ID`: a record for each image, by the digest of its config.
    Images,
    /// `HASH`: a record for each image name, by the name's hash.
    Tags,
    /// `hh/KEY`: the layers that a step gave, by definition key.
    Actions,
    /// `hh/KEY`: the layers that an operation adds, by content key.
    Contents,
    /// `hh/DIGEST`: empty; says that the operation has a record by content.
    Operations,
    /// `hh/DIGEST`: the first layer that had this content.
    Equal,
    /// `hh/DIFFID.COMPRESSION`: the blob that a layer was compressed to.
    Transfers,
    /// `hh/DIGEST`: the layer that a blob holds.
    Origins,
    /// `hh/DIGEST/HASH`: a repository that is known to have the blob.
    Locations,
    /// `hh/KEY`: what a URL led to last, by a key of the URL.
    Downloads,
    /// `HEX`: the beginning of a blob that is coming.
    Partial,
    /// `HASH`: digests of a build context's files.
    Contexts,
    /// `TIME.ID`: a record for each build.
    Builds,
    /// `TIME.ID`: the output of that build's steps.
    BuildLogs,
    /// `hh/KEY`: what a step depended on when it ran, by definition key.
    Inputs,
    /// `HASH/{data,id}`: the directories of cache mounts.
    Mounts,
    /// `HASH`: the name of a cache mount that is never collected.
    Pins,
    /// `ID/`: a container; `names/NAME`: a symbolic link to the container of that name.
    Containers,
}

impl Bucket {
    /// The directory's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Temporary => "tmp",
            Self::Trash => "trash",
            Self::Layers => "layers-v1",
            Self::Uppers => "uppers",
            Self::Blobs => "blobs",
            Self::Images => "images-v1",
            Self::Tags => "tags-v1",
            Self::Actions => "actions-v1",
            Self::Contents => "contents-v1",
            Self::Operations => "operations-v1",
            Self::Equal => "equal-v1",
            Self::Transfers => "transfers-v1",
            Self::Origins => "origins-v1",
            Self::Locations => "locations-v1",
            Self::Downloads => "downloads-v1",
            Self::Partial => "partial",
            Self::Contexts => "contexts-v1",
            Self::Builds => "builds-v1",
            Self::BuildLogs => "build-logs-v1",
            Self::Inputs => "inputs-v1",
            Self::Mounts => "mounts-v1",
            Self::Pins => "pins-v1",
            Self::Containers => "containers-v1",
        }
    }
}
