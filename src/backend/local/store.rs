//! The store of the engine in this process: space, collection, checks.

use engine::Engine;
use engine::retention::{Checked, Item, Prune, Usage};

use super::other;
use crate::error::BackendError;

/// What takes space.
pub(super) async fn usage(engine: &Engine) -> Result<Usage, BackendError> {
    let engine = engine.clone();
    blocking(move || engine.usage().map_err(other)).await
}

/// Removes what is not needed, or tells what that is.
pub(super) async fn prune(
    engine: &Engine,
    prune: Prune,
    dry_run: bool,
) -> Result<Vec<Item>, BackendError> {
    let engine = engine.clone();
    blocking(move || {
        let pruned = if dry_run {
            engine.would_prune(&prune)
        } else {
            engine.prune(&prune)
        };
        pruned.map_err(other)
    })
    .await
}

/// Checks the store.
pub(super) async fn check(engine: &Engine, repair: bool) -> Result<Checked, BackendError> {
    let engine = engine.clone();
    blocking(move || engine.check_store(repair).map_err(other)).await
}

/// Pins a cache mount, or lets it go.
pub(super) fn pin(engine: &Engine, id: &str, pinned: bool) -> Result<(), BackendError> {
    let mounts = engine.store().mounts();
    let changed = if pinned {
        mounts.pin(id)
    } else {
        mounts.unpin(id).map(drop)
    };
    changed.map_err(other)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackendError> + Send + 'static,
) -> Result<T, BackendError> {
    tokio::task::spawn_blocking(work).await.map_err(other)?
}
