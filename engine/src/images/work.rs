//! Work on threads that ends with the future that waits for it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cache::Store;

use crate::error::ImageError;

/// Does blocking work on a thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(ImageError::Cancelled),
    }
}

/// Tells work on threads to stop when the future that holds it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// What the thread asks.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A writer that fails once its work is to stop.
#[derive(Debug)]
pub(crate) struct Stoppable<W> {
    pub(crate) out: W,
    pub(crate) stop: Arc<AtomicBool>,
}

impl<W: Write> Write for Stoppable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("cancelled"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A directory of the store for files that live as long as one piece of work.
#[derive(Debug)]
pub(crate) struct Scratch {
    store: Store,
    path: PathBuf,
}

impl Scratch {
    pub(crate) fn new(store: &Store) -> Result<Self, cache::Error> {
        Ok(Self {
            path: store.temporary_directory()?,
            store: store.clone(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A failure leaves it to the sweep after this process.
        self.store.discard(&self.path).ok();
    }
}
