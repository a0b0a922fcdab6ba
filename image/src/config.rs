//! The config of an image: OCI's fields and Docker's own, in the bytes that BuildKit would write.
//!
//! The order of the fields is the order in which they are written: the top level sorted by name (BuildKit passes it
//! through a map), `config` in the order of the Go types `ocispec.ImageConfig` and `dockerspec.DockerOCIImageConfigExt`.
//! Empty fields are left out where those leave them out; fields that those do not know are not kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use layer::{DiffId, Digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;
use crate::json;
use crate::manifest::{ManifestProblem, SIZE_MAX};
use crate::platform::Platform;

/// What an image says of itself. Its digest is the image's id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `MAINTAINER`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// How containers of it start.
    #[serde(deserialize_with = "null_as_default")]
    pub config: ContainerConfig,
    /// When it was made: RFC 3339, see [`timestamp`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// How it was made.
    #[serde(deserialize_with = "json::list")]
    pub history: Vec<History>,
    /// `linux`.
    pub os: String,
    /// Windows only.
    #[serde(
        rename = "os.features",
        deserialize_with = "json::list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// Windows only.
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Its layers.
    pub rootfs: RootFs,
    /// Variant of the architecture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// The layers of an image, base first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default = "layers")]
    kind: String,
    /// Their names.
    #[serde(default, deserialize_with = "json::list")]
    pub diff_ids: Vec<DiffId>,
}

/// One step in the making of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When: RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// Who.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// By which program.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// No layer belongs to it.
    #[serde(skip_serializing_if = "is_false")]
    pub empty_layer: bool,
}

/// How containers of an image start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// `USER`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `EXPOSE`: `port/protocol`.
    #[serde(with = "go_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub exposed_ports: BTreeSet<String>,
    /// `ENV`: `NAME=value`.
    #[serde(deserialize_with = "json::list", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// `ENTRYPOINT`.
    #[serde(
        deserialize_with = "json::words",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub entrypoint: Vec<String>,
    /// `CMD`.
    #[serde(
        deserialize_with = "json::words",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cmd: Vec<String>,
    /// `VOLUME`.
    #[serde(with = "go_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub volumes: BTreeSet<String>,
    /// `WORKDIR`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// `LABEL`.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// `STOPSIGNAL`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Windows only: the command line is one already escaped string.
    #[serde(skip_serializing_if = "is_false")]
    pub args_escaped: bool,
    /// `HEALTHCHECK`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// `ONBUILD`.
    #[serde(deserialize_with = "json::list", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// `SHELL`.
    #[serde(
        deserialize_with = "json::words",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub shell: Vec<String>,
}

/// `HEALTHCHECK`: durations in nanoseconds, 0 for "inherit".
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", "…"]`.
    #[serde(deserialize_with = "json::list", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Time between two checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// How long one check may take.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Failures in this time do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Time between two checks while starting.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// How many failures in a row make the container unhealthy.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

impl ImageConfig {
    /// Reads a config. `image` names the image in the error.
    pub fn parse(image: &str, bytes: &[u8]) -> Result<Self, Error> {
        let problem = if bytes.len() as u64 > SIZE_MAX {
            ManifestProblem::TooLarge(bytes.len() as u64)
        } else {
            match json::object(bytes) {
                Ok(config) => return Ok(config),
                Err(source) => ManifestProblem::Json(source),
            }
        };
        Err(Error::Manifest {
            document: format!("config of {image}"),
            source: problem,
        })
    }

    /// Its bytes and their digest, which is the image's id.
    pub fn encode(&self) -> (Vec<u8>, Digest) {
        let bytes = json::compact(self);
        let digest = Digest::of(&bytes);
        (bytes, digest)
    }

    /// What it runs on.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            variant: self.variant.clone(),
        }
    }
}

impl RootFs {
    /// The root file system of these layers.
    pub fn new(diff_ids: Vec<DiffId>) -> Self {
        Self {
            kind: layers(),
            diff_ids,
        }
    }
}

impl Default for RootFs {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// A time as Go writes it in JSON: RFC 3339 in UTC, as many fractional digits as there are. Times outside the years
/// 0 to 9999, which it has no form for, become the nearest.
pub fn timestamp(time: SystemTime) -> String {
    let latest = jiff::Timestamp::constant(253_402_207_199, 0);
    let earliest = jiff::Timestamp::constant(-62_167_219_200, 0);
    let bound = if time < SystemTime::UNIX_EPOCH {
        earliest
    } else {
        latest
    };
    jiff::Timestamp::try_from(time)
        .unwrap_or(bound)
        .clamp(earliest, latest)
        .to_string()
}

fn layers() -> String {
    "layers".to_owned()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// Go writes `null` for what was never set.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Go's form of a set: an object whose values are empty objects.
mod go_set {
    use super::{BTreeMap, BTreeSet, Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize)]
    struct Empty {}

    pub(super) fn serialize<S: Serializer>(
        set: &BTreeSet<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(set.iter().map(|key| (key, Empty {})))
    }

    #[expect(
        clippy::zero_sized_map_values,
        reason = "the keys of an object can only be read as those of a map"
    )]
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<String>, D::Error> {
        type Members = BTreeMap<String, serde::de::IgnoredAny>;
        let members: Option<Members> = Option::deserialize(deserializer)?;
        Ok(members.unwrap_or_default().into_keys().collect())
    }
}

#[cfg(test)]
mod tests;
