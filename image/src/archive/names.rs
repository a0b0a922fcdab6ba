//! The small documents of an archive that give images their names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CREATED, IMAGE_NAME, REF_NAME};
use crate::config::null_as_default;
use crate::reference::Reference;

/// An image in Docker's `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerImage {
    /// The config's file.
    pub(super) config: String,
    /// Familiar names with tags; Go writes none as `null`.
    pub(super) repo_tags: Option<Vec<String>>,
    /// The layers' files.
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) layers: Vec<String>,
}

/// The content of `oci-layout`.
pub(super) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The annotations that BuildKit gives an image in `index.json`.
pub(super) fn annotations(
    name: Option<&Reference>,
    created: Option<&str>,
) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    if let Some(name) = name {
        annotations.insert(IMAGE_NAME.to_owned(), name.to_string());
        let short = name.tag().map_or_else(|| name.target(), str::to_owned);
        annotations.insert(REF_NAME.to_owned(), short);
    }
    if let Some(created) = created {
        annotations.insert(CREATED.to_owned(), created.to_owned());
    }
    annotations
}

/// The name that annotations give. A lone tag, which OCI allows, is none.
pub(super) fn annotated(annotations: &BTreeMap<String, String>) -> Option<Reference> {
    let full = annotations
        .get(IMAGE_NAME)
        .and_then(|name| name.parse().ok());
    full.or_else(|| {
        let name = annotations.get(REF_NAME)?;
        name.contains([':', '/']).then(|| name.parse().ok())?
    })
}
