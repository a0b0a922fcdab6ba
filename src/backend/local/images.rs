//! Images: the engine's words as the commands want them.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use engine::event::Listener;
use engine::images::{self, ArchiveSource, Compression, Reference};
use engine::output::Destination;
use engine::{Engine, ImageError};

use super::{containers, other};
use crate::backend::{ImageDetail, ImageSummary, Kept, Login, Pulled, Pushed, Removal};
use crate::error::BackendError;

/// Fetches an image.
pub(super) async fn pull(
    engine: &Engine,
    name: &str,
    listener: Arc<dyn Listener>,
) -> Result<Pulled, BackendError> {
    let reference = reference(name)?;
    let pulled = engine.pull(&reference, listener).await.map_err(failure)?;
    Ok(Pulled {
        name: pulled.reference.to_string(),
        digest: pulled.digest.to_string(),
        new: pulled.is_new,
    })
}

/// Sends an image.
pub(super) async fn push(
    engine: &Engine,
    name: &str,
    compression: Compression,
    listener: Arc<dyn Listener>,
) -> Result<Pushed, BackendError> {
    let reference = reference(name)?;
    let pushed = engine.push(&reference, compression, listener).await;
    let pushed = pushed.map_err(failure)?;
    Ok(Pushed {
        name: pushed.reference.to_string(),
        digest: pushed.manifest.digest.to_string(),
        size: pushed.manifest.size,
    })
}

/// Logs in to a registry, and keeps the login.
pub(super) async fn log_in(
    engine: &Engine,
    registry: &str,
    login: &Login,
) -> Result<Kept, BackendError> {
    let kept = engine.log_in(registry, &login.user, &login.password).await;
    Ok(match kept.map_err(failure)? {
        images::Kept::File(path) => Kept::File(path),
        images::Kept::Helper => Kept::Helper,
    })
}

/// All images.
pub(super) fn list(engine: &Engine) -> Result<Vec<ImageSummary>, BackendError> {
    let images = engine.images().map_err(failure)?;
    Ok(images.into_iter().map(summary).collect())
}

/// One image.
pub(super) fn detail(engine: &Engine, name: &str) -> Result<ImageDetail, BackendError> {
    let image = engine.image(name).map_err(failure)?;
    Ok(ImageDetail {
        summary: summary(image.summary),
        manifest: image.manifest.digest.to_string(),
        media_type: image.manifest.media_type,
        manifest_size: image.manifest.size,
        config: serde_json::from_slice(&image.config_bytes).map_err(other)?,
        layer_sizes: image.layer_sizes,
    })
}

/// Gives an image another name.
pub(super) fn tag(engine: &Engine, name: &str, new_name: &str) -> Result<(), BackendError> {
    engine.tag(name, &reference(new_name)?).map_err(failure)
}

/// Removes a name or an image.
pub(super) fn remove(
    engine: &Engine,
    name: &str,
    force: bool,
) -> Result<Vec<Removal>, BackendError> {
    let users = users(engine)?;
    let container = |id: &_| {
        let id = format!("{id}");
        let user = users.iter().find(|(image, _)| *image == id);
        user.map(|(_, container)| container.clone())
    };
    let removals = engine.remove_image(name, force, container);
    let removals = removals.map_err(failure)?.into_iter();
    let removals = removals.map(|removal| match removal {
        images::Removal::Untagged(name) => Removal::Untagged(name.familiar()),
        images::Removal::Deleted(id) => Removal::Deleted(id.to_string()),
    });
    Ok(removals.collect())
}

/// The images that containers use, by id, each with the container's name.
fn users(engine: &Engine) -> Result<Vec<(String, String)>, BackendError> {
    let mut users = Vec::new();
    for container in containers::containers(engine, true)? {
        // One that was removed in the meantime uses nothing.
        if let Ok(detail) = containers::container(engine, &container.id) {
            users.push((detail.image_id, container.name));
        }
    }
    Ok(users)
}

/// Writes images to an archive.
pub(super) async fn save(
    engine: &Engine,
    names: &[String],
    file: Option<PathBuf>,
) -> Result<(), BackendError> {
    let to = match file {
        Some(path) => Destination::Path(path),
        None => standard_output()?,
    };
    engine.save(names, &to).await.map_err(failure)
}

/// Reads the images of an archive.
pub(super) async fn load(
    engine: &Engine,
    file: Option<PathBuf>,
) -> Result<Vec<String>, BackendError> {
    let from = match file {
        Some(path) => ArchiveSource::Path(path),
        None => ArchiveSource::Stream(own(std::io::stdin())?),
    };
    let loaded = engine.load(from).await.map_err(failure)?;
    let names = loaded.into_iter().map(|image| match image {
        Ok(name) => name.familiar(),
        Err(id) => id.to_string(),
    });
    Ok(names.collect())
}

/// Names as the user wrote them.
pub(super) fn references(names: &[String]) -> Result<Vec<Reference>, BackendError> {
    names.iter().map(|name| reference(name)).collect()
}

fn reference(name: &str) -> Result<Reference, BackendError> {
    name.parse().map_err(other)
}

/// Standard output for what is no text: without the buffer that text goes through.
pub(super) fn standard_output() -> Result<Destination, BackendError> {
    Ok(Destination::Stream(Arc::new(own(std::io::stdout())?)))
}

/// A stream of the program as a file.
fn own(stream: impl std::os::fd::AsFd) -> Result<File, BackendError> {
    let stream = stream.as_fd().try_clone_to_owned().map_err(other)?;
    Ok(stream.into())
}

fn summary(image: images::ImageSummary) -> ImageSummary {
    let familiar = |names: Vec<Reference>| names.iter().map(Reference::familiar).collect();
    ImageSummary {
        id: image.id.to_string(),
        names: familiar(image.names),
        digests: familiar(image.digests),
        created: image.created,
        size: image.size,
    }
}

/// The class of an error.
pub(super) fn failure(error: ImageError) -> BackendError {
    let source = Box::new(error);
    match *source {
        ImageError::NotFound(_) => BackendError::NotFound { source },
        _ => BackendError::Other { source },
    }
}
