//! The media types of images: OCI's and those of Docker's image manifest version 2, schema 2.

use crate::compression::Compression;

/// An image's manifest, by OCI.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// A list of manifests, by OCI.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An image's config, by OCI.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer's tar, by OCI; `+gzip` or `+zstd` may follow.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// An image's manifest, by Docker.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A list of manifests, by Docker.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// An image's config, by Docker.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// A layer's tar, by Docker; `.gzip` or `.zstd` may follow.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

const OCI_FOREIGN_LAYER: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
const DOCKER_FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";
const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// Which family of media types an image is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MediaTypes {
    /// OCI's.
    #[default]
    Oci,
    /// Docker's.
    Docker,
}

impl MediaTypes {
    /// That of a manifest.
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Oci => OCI_MANIFEST,
            Self::Docker => DOCKER_MANIFEST,
        }
    }

    /// That of a list of manifests.
    pub fn index(self) -> &'static str {
        match self {
            Self::Oci => OCI_INDEX,
            Self::Docker => DOCKER_INDEX,
        }
    }

    /// That of a config.
    pub fn config(self) -> &'static str {
        match self {
            Self::Oci => OCI_CONFIG,
            Self::Docker => DOCKER_CONFIG,
        }
    }

    /// That of a layer.
    pub fn layer(self, compression: Compression) -> String {
        match (self, compression) {
            (Self::Oci, Compression::None) => OCI_LAYER.to_owned(),
            (Self::Oci, compression) => format!("{OCI_LAYER}+{compression}"),
            (Self::Docker, Compression::None) => DOCKER_LAYER.to_owned(),
            (Self::Docker, compression) => format!("{DOCKER_LAYER}.{compression}"),
        }
    }
}

/// Whether it is an image's manifest.
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
}

/// Whether it is a list of manifests.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_INDEX)
}

/// Whether it is a manifest of the schema that Docker gave up in 2017.
pub(crate) fn is_schema_1(media_type: &str) -> bool {
    media_type.starts_with(DOCKER_SCHEMA_1)
}

/// Whether it is a layer: of a file system, not an attestation or another artifact.
pub fn is_layer(media_type: &str) -> bool {
    media_type.starts_with(OCI_LAYER)
        || media_type.starts_with(DOCKER_LAYER)
        || is_foreign_layer(media_type)
}

/// Whether it is a layer that registries do not keep themselves.
pub fn is_foreign_layer(media_type: &str) -> bool {
    media_type.starts_with(OCI_FOREIGN_LAYER) || media_type.starts_with(DOCKER_FOREIGN_LAYER)
}

/// How a layer of this type is compressed, by its name. Readers look at the bytes instead.
pub fn compression(media_type: &str) -> Compression {
    let end = |name: &str| media_type.ends_with(name);
    if end("+gzip") || end(".gzip") {
        Compression::Gzip
    } else if end("+zstd") || end(".zstd") {
        Compression::Zstd
    } else {
        Compression::None
    }
}
