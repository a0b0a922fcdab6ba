//! Where layers come from and go to: the caller's store, behind three small traits, and an observer.

use std::fs::File;
use std::sync::Arc;

use layer::{DiffId, Digest};

use crate::compression::Compression;
use crate::error::StoreError;
use crate::manifest::Descriptor;
use crate::reference::Repository;

/// A store that takes layers. Called from several threads at once, which may block.
pub trait LayerSink: Send + Sync {
    /// Whether it has this layer already.
    fn contains(&self, layer: &DiffId) -> Result<bool, StoreError>;

    /// Begins a new layer. Dropping what this gives discards it.
    fn begin(&self) -> Result<Box<dyn LayerDraft>, StoreError>;

    /// A place for the bytes of a blob of this size while they come, with those that earlier attempts left there. `None`
    /// if nothing is to be kept, or another one is bringing in this blob.
    fn partial(&self, blob: &Digest, size: u64)
    -> Result<Option<Box<dyn PartialBlob>>, StoreError>;
}

/// The beginning of a blob, kept over interruptions. Nobody has verified it.
pub trait PartialBlob: Send + Sync {
    /// Its file, open for reading and writing.
    fn file(&self) -> Arc<File>;

    /// Forgets it: the blob is whole, or what came of it is wrong.
    fn discard(self: Box<Self>);
}

/// A layer that is being written.
pub trait LayerDraft: Send {
    /// Its empty files.
    fn files(&self) -> Result<LayerFiles, StoreError>;

    /// Puts it into the store: both files are whole and the name is verified.
    fn commit(self: Box<Self>, layer: &ReceivedLayer) -> Result<(), StoreError>;
}

/// The files of a layer that is being written, open for reading and writing.
#[derive(Debug)]
pub struct LayerFiles {
    /// For the uncompressed tar.
    pub tar: File,
    /// For the EROFS image that points into it.
    pub index: File,
}

/// A layer that has come in.
#[derive(Debug)]
pub struct ReceivedLayer {
    /// What was found while it was indexed, its name among it.
    pub summary: layer::Summary,
    /// The blob that it came in, if that has a digest of its own and may be pushed as it was.
    pub blob: Option<KnownBlob>,
    /// The repository that has this blob, if it came from a registry.
    pub repository: Option<Repository>,
}

/// A blob that holds a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// How it holds the layer.
    pub compression: Compression,
}

/// A store that gives layers. Called from several threads at once, which may block.
pub trait LayerSource: Send + Sync {
    /// A layer's uncompressed tar and its length.
    fn open(&self, layer: &DiffId) -> Result<(File, u64), StoreError>;

    /// The blob that the layer was once compressed to, or came in.
    fn known_blob(
        &self,
        layer: &DiffId,
        compression: Compression,
    ) -> Result<Option<KnownBlob>, StoreError>;

    /// Remembers what a layer was compressed to.
    fn remember_blob(&self, layer: &DiffId, blob: &KnownBlob) -> Result<(), StoreError>;

    /// Repositories that may have a blob, so that a registry can mount it from there.
    fn repositories(&self, blob: &Digest) -> Result<Vec<Repository>, StoreError>;

    /// Remembers that a repository has a blob.
    fn remember_repository(&self, blob: &Digest, repository: &Repository)
    -> Result<(), StoreError>;
}

/// One who watches transfers. Called often, from several threads; must not block.
pub trait Observer: Send + Sync {
    /// Something went on.
    fn update(&self, update: &Update);
}

/// What went on with one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The layer.
    pub layer: DiffId,
    /// Its blob, where it is known.
    pub blob: Option<Digest>,
    /// What is being done.
    pub phase: Phase,
    /// Bytes done of this phase: of the blob, or of the tar while it is compressed.
    pub done: u64,
    /// Bytes there are to do; 0 where it is not known.
    pub total: u64,
}

/// What is being done with a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Fetched, decompressed, hashed and indexed in one go.
    Downloading,
    /// Compressed for the wire.
    Compressing,
    /// Sent.
    Uploading,
    /// It is there; nothing was sent or fetched.
    Exists,
    /// The registry took it from another repository of its own.
    Mounted,
    /// Done.
    Done,
}

/// An observer that does not care.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn update(&self, _: &Update) {}
}

/// The caller's wish to stop, for work on threads: dropped with the future that waits for it.
#[derive(Debug, Default)]
pub(crate) struct StopOnDrop(pub(crate) std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

impl From<&Descriptor> for KnownBlob {
    fn from(descriptor: &Descriptor) -> Self {
        Self {
            digest: descriptor.digest,
            size: descriptor.size,
            compression: crate::media_type::compression(&descriptor.media_type),
        }
    }
}
