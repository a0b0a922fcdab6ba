//! Manifests and indexes, as they are in registries and archives.
//!
//! Both are read strictly, since what they say decides what is fetched: a document that is a manifest and an index at
//! once, or that its own media type contradicts, is refused (CVE-2021-41190). They are written as BuildKit writes
//! them: manifests indented by two spaces, the index of an archive on one line.

use std::collections::BTreeMap;

use layer::Digest;
use serde::{Deserialize, Serialize};

use crate::config::null_as_default;
use crate::error::Error;
use crate::json;
use crate::media_type::{self, MediaTypes};
use crate::platform::{self, Platform};

/// The most bytes of a manifest, an index or a config that are read: 8 MiB. Registries take 4 MiB.
pub const SIZE_MAX: u64 = 8 << 20;

/// A pointer to a blob, a manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Where else it can be got.
    #[serde(
        default,
        deserialize_with = "json::list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub urls: Vec<String>,
    /// Notes.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// What the image behind it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What the artifact behind it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

/// An image's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    schema_version: u32,
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// The image's config.
    pub config: Descriptor,
    /// Its layers, base first.
    #[serde(default, deserialize_with = "json::list")]
    pub layers: Vec<Descriptor>,
    /// Notes.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests, one a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    schema_version: u32,
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// The manifests, or further indexes.
    #[serde(default, deserialize_with = "json::list")]
    pub manifests: Vec<Descriptor>,
    /// Notes.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// What a name in a registry leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one exists at a time, and not for long"
)]
pub enum Document {
    /// An image.
    Manifest(Manifest),
    /// Images for several platforms.
    Index(Index),
}

/// What is wrong with a manifest, an index or a config.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestProblem {
    /// Not JSON, or not of the form it must have.
    #[error("it is not what its type says")]
    Json(#[source] serde_json::Error),
    /// More bytes than [`SIZE_MAX`].
    #[error("it has {0} bytes; the limit is {SIZE_MAX}")]
    TooLarge(u64),
    /// Docker's first schema.
    #[error(
        "it is of Docker's schema 1, which is no longer supported; push the image again with a newer tool"
    )]
    Schema1,
    /// A media type that is no image's.
    #[error("its media type `{0}` is not that of an image")]
    MediaType(String),
    /// It could be read in two ways.
    #[error("it is ambiguous: {0}")]
    Ambiguous(&'static str),
    /// The config of an artifact that is not an image, such as a chart or a signature.
    #[error("it describes `{0}`, not an image")]
    NotAnImage(String),
    /// The config names another number of layers.
    #[error("it has {layers} layers, and its config names {diff_ids}")]
    LayerCount {
        /// In the manifest.
        layers: usize,
        /// In the config.
        diff_ids: usize,
    },
    /// Indexes in indexes in indexes.
    #[error("its indexes are nested too deep")]
    TooDeep,
}

impl Descriptor {
    /// A pointer without notes.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
        }
    }

    /// The pointer to these bytes.
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Whether these bytes are the ones it points to.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() as u64 != self.size {
            return Err(Error::WrongSize {
                digest: self.digest,
                expected: self.size,
                actual: bytes.len() as u64,
            });
        }
        let actual = Digest::of(bytes);
        if actual != self.digest {
            return Err(Error::WrongDigest {
                expected: self.digest,
                actual,
            });
        }
        Ok(())
    }
}

impl Manifest {
    /// A manifest of an image.
    pub fn new(media_types: MediaTypes, config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: media_types.manifest().to_owned(),
            config,
            layers,
            annotations: BTreeMap::new(),
        }
    }

    /// Its bytes, and the pointer to them.
    pub fn encode(&self) -> (Vec<u8>, Descriptor) {
        let bytes = json::indented(self);
        let descriptor = Descriptor::of(&self.media_type, &bytes);
        (bytes, descriptor)
    }
}

impl Index {
    /// An OCI index.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self::of(MediaTypes::Oci, manifests)
    }

    /// An index of these media types.
    pub fn of(media_types: MediaTypes, manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: media_types.index().to_owned(),
            manifests,
            annotations: BTreeMap::new(),
        }
    }

    /// The entry that serves a platform best.
    pub fn choose(&self, wanted: &Platform) -> Option<&Descriptor> {
        platform::choose(&self.manifests, wanted)
    }

    /// Its bytes as a document of its own, which a name leads to, and the pointer to them.
    pub fn encode_document(&self) -> (Vec<u8>, Descriptor) {
        let bytes = json::indented(self);
        let descriptor = Descriptor::of(&self.media_type, &bytes);
        (bytes, descriptor)
    }

    /// Its bytes on one line, as in an archive's `index.json`.
    pub fn encode(&self) -> Vec<u8> {
        json::compact(self)
    }
}

impl Document {
    /// Reads a manifest or an index. `name` is what errors call it; `announced` the media type that the registry or
    /// the descriptor gave, empty for none.
    pub fn parse(name: &str, announced: &str, bytes: &[u8]) -> Result<Self, Error> {
        parse(announced, bytes).map_err(|source| Error::Manifest {
            document: format!("manifest of {name}"),
            source,
        })
    }
}

/// The parts of a document that tell what it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

fn parse(announced: &str, bytes: &[u8]) -> Result<Document, ManifestProblem> {
    if bytes.len() as u64 > SIZE_MAX {
        return Err(ManifestProblem::TooLarge(bytes.len() as u64));
    }
    if media_type::is_schema_1(announced) {
        return Err(ManifestProblem::Schema1);
    }
    let outline: Outline = json::object(bytes).map_err(ManifestProblem::Json)?;
    if outline.schema_version == 1 || outline.fs_layers.is_some() {
        return Err(ManifestProblem::Schema1);
    }
    if is_index(announced, &outline)? {
        let index: Index = json::object(bytes).map_err(ManifestProblem::Json)?;
        return Ok(Document::Index(index));
    }
    let manifest: Manifest = json::object(bytes).map_err(ManifestProblem::Json)?;
    check_image(&manifest)?;
    Ok(Document::Manifest(manifest))
}

fn is_index(announced: &str, outline: &Outline) -> Result<bool, ManifestProblem> {
    let has_image = outline.config.is_some() || outline.layers.is_some();
    if has_image && outline.manifests.is_some() {
        return Err(ManifestProblem::Ambiguous("it has layers and manifests"));
    }
    let index = outline.manifests.is_some();
    // Registries that do not know better announce plain JSON.
    let known = |name: &str| media_type::is_index(name) || media_type::is_manifest(name);
    if !outline.media_type.is_empty() && !known(&outline.media_type) {
        return Err(ManifestProblem::MediaType(excerpt(&outline.media_type)));
    }
    for name in [announced, &outline.media_type] {
        if known(name) && media_type::is_index(name) != index {
            return Err(ManifestProblem::Ambiguous(
                "its media type contradicts its content",
            ));
        }
    }
    Ok(index)
}

fn check_image(manifest: &Manifest) -> Result<(), ManifestProblem> {
    let config = manifest.config.media_type.as_str();
    let other = || Err(ManifestProblem::NotAnImage(excerpt(config)));
    match config {
        media_type::OCI_CONFIG
        | media_type::DOCKER_CONFIG
        // What some registries and tools write, and Docker takes.
        | ""
        | "text/html"
        | "application/octet-stream"
        | "application/json" => {}
        _ => return other(),
    }
    match manifest
        .layers
        .iter()
        .find(|layer| !media_type::is_layer(&layer.media_type))
    {
        Some(layer) => Err(ManifestProblem::NotAnImage(excerpt(&layer.media_type))),
        None => Ok(()),
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests;
