//! Layers by diff ID, drafts of new ones, and the uppers of running steps.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layer::{ContentDigest, DiffId};
use serde::{Deserialize, Serialize};

use crate::error::{Error, IoContext as _, optional};
use crate::lock::{Mode, Range, RangeLock};
use crate::record::{self, Record};
use crate::store::entries;
use crate::{Bucket, Store, durable, names};

/// The layers of a store.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    pub(crate) store: &'a Store,
}

/// A layer that is in the store, and stays there as long as this lives.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its name: the SHA-256 of its tar.
    pub diff_id: DiffId,
    /// The digest of its content, which is the same for layers that differ in times only.
    pub content: ContentDigest,
    /// The length of its tar in bytes.
    pub tar_size: u64,
    pub(crate) directory: PathBuf,
    /// Keeps it from being removed.
    _lease: Arc<RangeLock>,
}

/// A layer that is being written: the caller writes the files at [`LayerDraft::tar`] and [`LayerDraft::index`].
/// Dropping it discards them.
#[derive(Debug)]
pub struct LayerDraft {
    store: Store,
    directory: PathBuf,
}

/// What is kept of a layer in its file `layer`. Stamps and digests tell a layer that a power failure tore, or that somebody
/// wrote to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) content: ContentDigest,
    pub(crate) tar: Stamp,
    pub(crate) index: Stamp,
    /// BLAKE3 of the index.
    pub(crate) index_digest: String,
    /// The start of the machine after which it was written.
    boot: String,
}

/// What `stat` says of a file that changes when somebody writes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    /// When it was written to last: seconds and nanoseconds.
    written: (i64, i64),
}

impl Stamp {
    /// That of a file; `None` if it is absent.
    pub(crate) fn of(path: &Path) -> Result<Option<Self>, Error> {
        let found = optional(fs::metadata(path)).at("read", path)?;
        Ok(found.map(|metadata| Self {
            size: metadata.len(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
        }))
    }
}

impl Record for Description {
    const KIND: &'static str = "layer";
    const VERSION: u32 = 3;
}

/// Which layer was the first of its content.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct First {
    layer: DiffId,
}

impl Record for First {
    const KIND: &'static str = "equal";
    const VERSION: u32 = 1;
}

impl<'a> Layers<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// The layer of this name, if it is there and whole. Notes that it is in use.
    pub fn get(self, diff_id: &DiffId) -> Result<Option<Layer>, Error> {
        let directory = self.directory(diff_id);
        // Who has it alone is removing it.
        let Some(lease) = self.store.try_lock(range(diff_id), Mode::Shared)? else {
            return Ok(None);
        };
        let Some(description) = record::read_used::<Description>(&directory.join("layer"))? else {
            return Ok(None);
        };
        let layer = Layer {
            diff_id: *diff_id,
            content: description.content,
            tar_size: description.tar.size,
            directory,
            _lease: Arc::new(lease),
        };
        Ok(layer.is_whole(self.store, description)?.then_some(layer))
    }

    /// Whether there is a layer of this name: one system call. A layer that a power failure cut short is only
    /// noticed by [`Layers::get`].
    pub fn contains(self, diff_id: &DiffId) -> bool {
        self.directory(diff_id).join("layer").exists()
    }

    /// The first layer of this content, if it is still there.
    pub fn with_content(self, content: &ContentDigest) -> Result<Option<DiffId>, Error> {
        let first = record::read_used::<First>(&self.equal(content))?;
        Ok(first
            .map(|first| first.layer)
            .filter(|layer| self.contains(layer)))
    }

    /// Begins a new layer.
    pub fn begin(self) -> Result<LayerDraft, Error> {
        Ok(LayerDraft {
            directory: self.store.new_directory(Bucket::Temporary)?,
            store: self.store.clone(),
        })
    }

    /// Removes a layer unless it is in use; whether it is gone.
    pub fn remove(self, diff_id: &DiffId) -> Result<bool, Error> {
        let Some(_alone) = self.store.try_lock(range(diff_id), Mode::Exclusive)? else {
            return Ok(false);
        };
        self.store.discard(&self.directory(diff_id))?;
        Ok(true)
    }

    /// Whether somebody uses a layer now.
    pub(crate) fn is_used(self, diff_id: &DiffId) -> Result<bool, Error> {
        self.store.is_locked(range(diff_id))
    }

    /// Removes what is remembered of layers that are gone.
    pub(crate) fn forget_lost(self) -> Result<(), Error> {
        self.store
            .forget_records(Bucket::Equal, |first: &First| self.contains(&first.layer))
    }

    /// The names of all layers, whole or not.
    pub(crate) fn names(self) -> Result<Vec<DiffId>, Error> {
        let mut names = Vec::new();
        for shard in entries(&self.store.directory(Bucket::Layers))? {
            for path in entries(&shard)? {
                let digits = path.file_name().unwrap_or_default().to_string_lossy();
                names.extend(format!("sha256:{digits}").parse::<DiffId>());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) fn directory(self, diff_id: &DiffId) -> PathBuf {
        self.store.sharded(Bucket::Layers, &names::digits(diff_id))
    }

    fn equal(self, content: &ContentDigest) -> PathBuf {
        self.store.sharded(Bucket::Equal, &names::digits(content))
    }
}

impl Layer {
    /// The uncompressed tar.
    pub fn tar(&self) -> PathBuf {
        self.directory.join("tar")
    }

    /// The EROFS image that points into the tar.
    pub fn index(&self) -> PathBuf {
        self.directory.join("index")
    }

    /// What is its own: all files but its forms.
    pub(crate) fn files(&self) -> [PathBuf; 3] {
        [self.tar(), self.index(), self.record()]
    }

    /// The file that says what it is, and whether all of it is durable.
    pub(crate) fn record(&self) -> PathBuf {
        self.directory.join("layer")
    }

    /// Whether it outlasts a power failure.
    pub(crate) fn is_durable(&self) -> bool {
        durable::is_marked(&self.record())
    }

    /// Whether its files are as they were. Their bytes are read where somebody has written to them since, or a power
    /// failure may have torn them.
    fn is_whole(&self, store: &Store, description: Description) -> Result<bool, Error> {
        let (Some(tar), Some(index)) = (Stamp::of(&self.tar())?, Stamp::of(&self.index())?) else {
            return Ok(false);
        };
        if tar.size != description.tar.size || index.size != description.index.size {
            return Ok(false);
        }
        let is_untouched = tar == description.tar && index == description.index;
        let is_settled = description.boot == durable::boot() || self.is_durable();
        if is_untouched && is_settled {
            return Ok(true);
        }
        let same_bytes = durable::sha256(&self.tar())? == *self.diff_id.digest().as_bytes()
            && durable::blake3(&self.index())?.to_string() == description.index_digest;
        if same_bytes && is_untouched {
            // What was read after a restart came from the disk.
            let record = self.record();
            let file = fs::File::open(&record).at("open", &record)?;
            durable::mark(&file, &record)?;
        } else if same_bytes {
            let description = Description {
                tar,
                index,
                boot: durable::boot().to_owned(),
                ..description
            };
            store.write_record(&self.record(), &description)?;
        }
        Ok(same_bytes)
    }
}

impl LayerDraft {
    /// Where the uncompressed tar is to be written.
    pub fn tar(&self) -> PathBuf {
        self.directory.join("tar")
    }

    /// Where the EROFS image is to be written.
    pub fn index(&self) -> PathBuf {
        self.directory.join("index")
    }

    /// Puts the layer into the store. The caller vouches for the name. If the store has it already, the draft is
    /// discarded.
    pub fn commit(self, diff_id: &DiffId, content: &ContentDigest) -> Result<Layer, Error> {
        let stamp = |path: PathBuf| {
            let absent = || io::Error::from(io::ErrorKind::NotFound);
            Stamp::of(&path)?.ok_or_else(absent).at("read", &path)
        };
        let description = Description {
            content: *content,
            tar: stamp(self.tar())?,
            index: stamp(self.index())?,
            index_digest: durable::blake3(&self.index())?.to_string(),
            boot: durable::boot().to_owned(),
        };
        self.store
            .write_record(&self.directory.join("layer"), &description)?;
        let layers = self.store.layers();
        let directory = layers.directory(diff_id);
        let lease = self.store.lock_soon(range(diff_id), Mode::Shared)?;
        self.place(diff_id, &directory)?;
        self.store.note_growth();
        layers.remember_content(content, diff_id)?;
        let layer = Layer {
            diff_id: *diff_id,
            content: description.content,
            tar_size: description.tar.size,
            directory,
            _lease: Arc::new(lease),
        };
        self.store.begin_sync(&layer.tar(), layer.tar_size);
        Ok(layer)
    }

    /// Renames the draft into place. A layer there that is not whole gives way.
    fn place(&self, diff_id: &DiffId, directory: &Path) -> Result<(), Error> {
        loop {
            match self
                .store
                .with_parents(directory, || fs::rename(&self.directory, directory))
            {
                Err(error) if is_occupied(&error) => {
                    if self.store.layers().get(diff_id)?.is_some() {
                        return Ok(());
                    }
                    self.store.discard(directory)?;
                }
                result => return result.at("create", directory),
            }
        }
    }
}

impl Layers<'_> {
    /// Notes a layer as the first of its content, unless there is one.
    fn remember_content(self, content: &ContentDigest, diff_id: &DiffId) -> Result<(), Error> {
        if self.with_content(content)?.is_some() {
            return Ok(());
        }
        let first = First { layer: *diff_id };
        self.store.write_record(&self.equal(content), &first)
    }
}

impl Drop for LayerDraft {
    fn drop(&mut self) {
        // A failure leaves it to the sweep after this process.
        self.store.discard(&self.directory).ok();
    }
}

/// The lock of a layer: shared by its users, exclusive for who removes it.
pub(crate) fn range(diff_id: &DiffId) -> Range {
    Range::key("layer", diff_id.digest().as_bytes())
}

/// Whether a rename failed because of what is at the new name.
pub(crate) fn is_occupied(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
    )
}

#[cfg(test)]
mod tests;
