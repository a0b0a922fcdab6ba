//! Layers of what was fetched.

use std::io::Read;
use std::path::{Path, PathBuf};

use layer::{DiffId, Timestamp};

use super::SourceError;
use crate::engine::Engine;
use crate::files::archive;
use crate::files::node::Node;
use crate::files::planner::{NOTHING, Planner};
use crate::rootfs::Sealed;

/// A directory for what is on its way into a layer. It goes when this is dropped.
#[derive(Debug)]
pub(super) struct Workplace(PathBuf);

impl Workplace {
    pub(super) fn new(engine: &Engine) -> Result<Self, SourceError> {
        Ok(Self(engine.store().temporary_directory()?))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // What stays is swept when the process has ended.
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// The layer with a tree as its root: the children of a directory.
pub(super) fn of_tree(engine: &Engine, tree: &Node) -> Result<Sealed, SourceError> {
    write(engine, |planner| Ok(planner.copy(b"", tree, b"/")?))
}

/// The layer of what an archive holds, as it is or compressed.
pub(crate) fn archive_layer(
    engine: &Engine,
    reader: impl Read + Send,
) -> Result<Sealed, SourceError> {
    let archive = archive::unpack(reader, engine.store())?;
    write(engine, |planner| {
        Ok(planner.unpack(&archive.tree, b"/", &archive.implied)?)
    })
}

/// The layer that a planner comes to on top of nothing.
pub(super) fn write<'a>(
    engine: &Engine,
    plan: impl FnOnce(&mut Planner<'a>) -> Result<(), SourceError>,
) -> Result<Sealed, SourceError> {
    // Directories that are only implied have no time of their own.
    let mut planner = Planner::new(&NOTHING, None, None, Timestamp::from_seconds(0));
    plan(&mut planner)?;
    Ok(engine.write_layer_in_order(planner.entries(), None, &|| false)?)
}

/// The layer that was made for a key, if the store still has it.
pub(super) fn known(engine: &Engine, key: &[u8; 32]) -> Result<Option<Sealed>, SourceError> {
    let found = engine.store().actions().by_content(key)?;
    match found.as_deref() {
        Some([layer]) => Ok(engine.sealed_layer(layer)?),
        _ => Ok(None),
    }
}

/// Remembers the layer that was made for a key.
pub(super) fn remember(engine: &Engine, key: &[u8; 32], layer: DiffId) -> Result<(), SourceError> {
    Ok(engine
        .store()
        .actions()
        .record_content(key, key, &[layer])?)
}

/// Runs work that blocks on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    crate::build::blocking(work)
        .await
        .map_err(SourceError::from)?
}
