//! Which images an archive has: read from its documents before any layer is.

use layer::{DiffId, Digest};

use super::contents::Contents;
use super::names::{self, DockerImage};
use super::{ArchiveProblem, INDEX_FILE, LAYOUT_FILE, MANIFEST_FILE, REF_NAME, blob_file};
use crate::config::ImageConfig;
use crate::error::Error;
use crate::json;
use crate::manifest::{Descriptor, Document, Index, Manifest, ManifestProblem, SIZE_MAX};
use crate::media_type;
use crate::platform::Platform;
use crate::pull;
use crate::reference::Reference;

/// How deep indexes may be nested.
const NESTING_MAX: usize = 4;
/// The tag of a layout that is meant where none is said.
const DEFAULT_TAG: &str = "latest";
/// More images than this in one archive are not believed.
const IMAGES_MAX: usize = 10_000;

/// An image in an archive: its documents, verified.
#[derive(Debug, Clone)]
pub(super) struct FoundImage {
    pub(super) names: Vec<Reference>,
    pub(super) id: Digest,
    pub(super) config: Vec<u8>,
    pub(super) manifest: Option<(Descriptor, Vec<u8>)>,
    pub(super) layers: Vec<FoundLayer>,
}

/// A layer in an archive.
#[derive(Debug, Clone)]
pub(super) struct FoundLayer {
    pub(super) diff_id: DiffId,
    /// The name of its file.
    pub(super) file: String,
    /// What its manifest says of the blob, if there is a manifest.
    pub(super) blob: Option<Descriptor>,
}

/// The images of an archive. Where it has them in both forms, OCI's manifests count and the names of both.
pub(super) fn find(contents: &Contents, platform: &Platform) -> Result<Vec<FoundImage>, Error> {
    let mut images = Vec::new();
    if contents.has(INDEX_FILE) && contents.has(LAYOUT_FILE) {
        images = oci_images(contents, platform)?;
    }
    if contents.has(MANIFEST_FILE) {
        let listed = docker_list(contents)?;
        if images.is_empty() {
            let found = listed.iter().map(|image| docker_image(contents, image));
            images = found.collect::<Result<_, _>>()?;
        } else {
            add_names(contents, &listed, &mut images);
        }
    }
    if images.is_empty() {
        return Err(ArchiveProblem::NoImages.into());
    }
    Ok(merge(images))
}

/// The image of a layout by a digest, a tag, or as the only one. `index.json` need not name a digest.
pub(super) fn find_one(
    contents: &Contents,
    tag: Option<&str>,
    digest: Option<Digest>,
    platform: &Platform,
) -> Result<FoundImage, Error> {
    if let Some(digest) = digest {
        let size = contents.member(&blob_file(&digest))?.size();
        return oci_image(contents, &Descriptor::new("", digest, size), platform);
    }
    let tag = tag.unwrap_or(DEFAULT_TAG);
    let index = index(contents)?;
    let is_named =
        |entry: &&Descriptor| entry.annotations.get(REF_NAME).is_some_and(|it| it == tag);
    let entry = match (index.manifests.iter().find(is_named), &*index.manifests) {
        (Some(named), _) => named,
        (None, [only]) => only,
        (None, _) => return Err(ArchiveProblem::NoTag(tag.to_owned()).into()),
    };
    oci_image(contents, entry, platform)
}

/// One image a config, with all its names.
fn merge(images: Vec<FoundImage>) -> Vec<FoundImage> {
    let mut merged: Vec<FoundImage> = Vec::new();
    for image in images {
        match merged.iter_mut().find(|found| found.id == image.id) {
            Some(found) => found.names.extend(image.names),
            None => merged.push(image),
        }
    }
    for image in &mut merged {
        image.names.sort();
        image.names.dedup();
    }
    merged
}

fn index(contents: &Contents) -> Result<Index, Error> {
    let bytes = contents.bytes(INDEX_FILE, SIZE_MAX)?;
    let index: Index = json::object(&bytes).map_err(|source| ArchiveProblem::Document {
        name: INDEX_FILE.to_owned(),
        source,
    })?;
    if index.manifests.len() > IMAGES_MAX {
        return Err(ArchiveProblem::TooLarge.into());
    }
    Ok(index)
}

fn oci_images(contents: &Contents, platform: &Platform) -> Result<Vec<FoundImage>, Error> {
    let index = index(contents)?;
    let mut images = Vec::new();
    for entry in &index.manifests {
        let known = |name: &str| media_type::is_manifest(name) || media_type::is_index(name);
        if known(&entry.media_type) {
            images.push(oci_image(contents, entry, platform)?);
        }
    }
    Ok(images)
}

fn oci_image(
    contents: &Contents,
    entry: &Descriptor,
    platform: &Platform,
) -> Result<FoundImage, Error> {
    let name = names::annotated(&entry.annotations);
    let shown = name
        .as_ref()
        .map_or_else(|| entry.digest.to_string(), Reference::familiar);
    let mut next = entry.clone();
    for _ in 0..NESTING_MAX {
        let bytes = blob(contents, &next)?;
        match Document::parse(&shown, &next.media_type, &bytes)? {
            Document::Manifest(manifest) => {
                let image = manifest_image(contents, &shown, &manifest)?;
                return Ok(FoundImage {
                    names: name.into_iter().collect(),
                    manifest: Some((next, bytes)),
                    ..image
                });
            }
            Document::Index(mut index) => {
                // An archive need not have the images for all the platforms that its index speaks of.
                index
                    .manifests
                    .retain(|manifest| contents.has(&blob_file(&manifest.digest)));
                next = pull::choose(&shown, &index, platform)?.clone();
            }
        }
    }
    Err(Error::Manifest {
        document: format!("manifest of {shown}"),
        source: ManifestProblem::TooDeep,
    })
}

fn manifest_image(
    contents: &Contents,
    shown: &str,
    manifest: &Manifest,
) -> Result<FoundImage, Error> {
    let config_bytes = blob(contents, &manifest.config)?;
    let config = ImageConfig::parse(shown, &config_bytes)?;
    let layers = pull::pair_layers(shown, manifest, &config)?;
    let layers = layers.into_iter().map(|layer| FoundLayer {
        diff_id: layer.diff_id,
        file: blob_file(&layer.blob.digest),
        blob: Some(layer.blob),
    });
    Ok(FoundImage {
        names: Vec::new(),
        id: manifest.config.digest,
        config: config_bytes,
        manifest: None,
        layers: layers.collect(),
    })
}

/// A document under its digest.
fn blob(contents: &Contents, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
    let bytes = contents.bytes(&blob_file(&descriptor.digest), SIZE_MAX)?;
    descriptor.check(&bytes)?;
    Ok(bytes)
}

fn docker_list(contents: &Contents) -> Result<Vec<DockerImage>, Error> {
    let bytes = contents.bytes(MANIFEST_FILE, SIZE_MAX)?;
    let list: Vec<DockerImage> =
        serde_json::from_slice(&bytes).map_err(|source| ArchiveProblem::Document {
            name: MANIFEST_FILE.to_owned(),
            source,
        })?;
    if list.len() > IMAGES_MAX {
        return Err(ArchiveProblem::TooLarge.into());
    }
    Ok(list)
}

fn docker_image(contents: &Contents, image: &DockerImage) -> Result<FoundImage, Error> {
    let config_bytes = contents.bytes(&image.config, SIZE_MAX)?;
    let id = Digest::of(&config_bytes);
    if let Some(named) = digest_in(&image.config)
        && named != id
    {
        return Err(ArchiveProblem::WrongDigest {
            name: image.config.clone(),
            actual: id,
        }
        .into());
    }
    let config = ImageConfig::parse(&image.config, &config_bytes)?;
    let diff_ids = config.rootfs.diff_ids;
    if diff_ids.len() != image.layers.len() {
        return Err(ArchiveProblem::LayerCount {
            name: image.config.clone(),
            layers: image.layers.len(),
            diff_ids: diff_ids.len(),
        }
        .into());
    }
    let layers = diff_ids.into_iter().zip(&image.layers);
    Ok(FoundImage {
        names: names_of(image)?,
        id,
        config: config_bytes,
        manifest: None,
        layers: layers
            .map(|(diff_id, file)| FoundLayer {
                diff_id,
                file: file.clone(),
                blob: None,
            })
            .collect(),
    })
}

fn names_of(image: &DockerImage) -> Result<Vec<Reference>, Error> {
    let names = image.repo_tags.iter().flatten();
    Ok(names.map(|name| name.parse()).collect::<Result<_, _>>()?)
}

/// The digest that a file's name tells: `<hex>.json`, `blobs/sha256/<hex>`.
fn digest_in(file: &str) -> Option<Digest> {
    let name = file.rsplit('/').next()?;
    let hex = name.strip_suffix(".json").unwrap_or(name);
    format!("sha256:{hex}").parse().ok()
}

/// Gives images the names that `manifest.json` has for their configs.
fn add_names(contents: &Contents, listed: &[DockerImage], images: &mut [FoundImage]) {
    for image in listed {
        let id = digest_in(&image.config).or_else(|| {
            let bytes = contents.bytes(&image.config, SIZE_MAX).ok()?;
            Some(Digest::of(&bytes))
        });
        let found = images.iter_mut().find(|found| Some(found.id) == id);
        if let (Some(found), Ok(names)) = (found, names_of(image)) {
            found.names.extend(names);
        }
    }
}
