//! Loads the images of an archive into a store.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use layer::{DiffId, Digest};
use sha2::{Digest as _, Sha256};

use super::contents::{Contents, Member};
use super::images::{FoundImage, FoundLayer, find};
use crate::error::Error;
use crate::manifest::Descriptor;
use crate::platform::Platform;
use crate::pull::receive::{Incoming, receive};
use crate::reference::Reference;
use crate::transfer::{KnownBlob, LayerSink, Observer, Phase, Update};

/// How many layers are brought in at the same time.
const PARALLEL: usize = 4;
const BUFFER: usize = 256 << 10;

/// An archive of images, open.
#[derive(Debug)]
pub struct Archive {
    contents: Contents,
}

/// An image that has been loaded.
#[derive(Debug, Clone)]
pub struct LoadedImage {
    /// Its names in the archive.
    pub names: Vec<Reference>,
    /// The digest of its config.
    pub id: Digest,
    /// Its config's bytes.
    pub config: Vec<u8>,
    /// Its manifest and the bytes, if the archive has one.
    pub manifest: Option<(Descriptor, Vec<u8>)>,
    /// Its layers, base first: all are in the store.
    pub layers: Vec<DiffId>,
}

impl Archive {
    /// Opens an archive in a file. One that is not compressed is read in place; another goes, uncompressed, to a file
    /// without a name in `scratch`.
    pub fn open(file: File, scratch: &Path) -> Result<Self, Error> {
        Contents::open(file, scratch).map(|contents| Self { contents })
    }

    /// Reads an archive from a stream to a file without a name in `scratch`.
    pub fn read(reader: impl Read + Send, scratch: &Path) -> Result<Self, Error> {
        Contents::spool(reader, scratch).map(|contents| Self { contents })
    }

    /// Brings all its images into a store; of those for several platforms, the one for `platform`. Blocks.
    pub fn load(
        &self,
        platform: &Platform,
        sink: &dyn LayerSink,
        observer: &dyn Observer,
    ) -> Result<Vec<LoadedImage>, Error> {
        let images = find(&self.contents, platform)?;
        self.contents.load_layers(&images, sink, observer)?;
        Ok(images.into_iter().map(LoadedImage::from).collect())
    }
}

impl Contents {
    /// Brings the layers of images into a store.
    pub(super) fn load_layers(
        &self,
        images: &[FoundImage],
        sink: &dyn LayerSink,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let mut seen = HashSet::new();
        let mut layers: Vec<&FoundLayer> = images
            .iter()
            .flat_map(|image| &image.layers)
            .filter(|layer| seen.insert(layer.diff_id))
            .collect();
        layers.reverse();
        let workers = layers.len().min(PARALLEL);
        let queue = Mutex::new(layers);
        let failed = AtomicBool::new(false);
        let next = || {
            let mut queue = queue
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            queue.pop().filter(|_| !failed.load(Ordering::Relaxed))
        };
        let work = || {
            while let Some(layer) = next() {
                if let Err(error) = self.load_layer(layer, sink, observer) {
                    failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let results = threads.into_iter().map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            // All are joined before the first error is reported.
            results.collect::<Vec<_>>().into_iter().collect()
        })
    }

    fn load_layer(
        &self,
        layer: &FoundLayer,
        sink: &dyn LayerSink,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let tell = |phase, done, total| {
            observer.update(&Update {
                layer: layer.diff_id,
                blob: layer.blob.as_ref().map(|blob| blob.digest),
                phase,
                done,
                total,
            });
        };
        if sink.contains(&layer.diff_id).map_err(Error::Store)? {
            tell(Phase::Exists, 0, 0);
            return Ok(());
        }
        let member = self.member(&layer.file)?;
        let size = member.size();
        let check = check(layer, &member)?;
        let incoming = Incoming {
            name: layer.file.clone(),
            expected: layer.diff_id,
            blob: known(layer, &member, size)?,
            repository: None,
        };
        let mut done = 0;
        let reader = Watched {
            reader: member,
            check,
            progress: |bytes: usize| {
                done += bytes as u64;
                tell(Phase::Downloading, done, size);
            },
        };
        receive(BufReader::with_capacity(BUFFER, reader), incoming, sink)?;
        tell(Phase::Done, size, size);
        Ok(())
    }
}

/// The blob's name, where it has one: its manifest's, or that of the plain tar itself.
fn known(layer: &FoundLayer, member: &Member, size: u64) -> Result<Option<KnownBlob>, Error> {
    if let Some(blob) = &layer.blob {
        return Ok(Some(KnownBlob::from(blob)));
    }
    let plain = !member.is_compressed()?;
    Ok(plain.then(|| KnownBlob {
        digest: *layer.diff_id.digest(),
        size,
        compression: crate::Compression::None,
    }))
}

/// What is to be verified of a blob beyond the tar that it holds.
fn check(layer: &FoundLayer, member: &Member) -> Result<Option<Check>, Error> {
    let Some(blob) = &layer.blob else {
        return Ok(None);
    };
    if member.size() != blob.size {
        return Err(Error::WrongSize {
            digest: blob.digest,
            expected: blob.size,
            actual: member.size(),
        });
    }
    // A plain tar is hashed anyway.
    let needed = blob.digest != *layer.diff_id.digest();
    Ok(needed.then(|| Check {
        expected: blob.digest,
        hasher: Sha256::new(),
    }))
}

struct Check {
    expected: Digest,
    hasher: Sha256,
}

/// A reader that reports progress, and fails at its end if what it read is not what it should be.
struct Watched<R, F> {
    reader: R,
    check: Option<Check>,
    progress: F,
}

impl<R: Read, F: FnMut(usize)> Read for Watched<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        if length == 0 && !buffer.is_empty() {
            if let Some(check) = self.check.take() {
                let actual = Digest::from_bytes(check.hasher.finalize().into());
                if actual != check.expected {
                    let message =
                        format!("the blob {} has the content of {actual}", check.expected);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
            }
        } else if let Some(check) = &mut self.check {
            check.hasher.update(&buffer[..length]);
        }
        (self.progress)(length);
        Ok(length)
    }
}

impl From<FoundImage> for LoadedImage {
    fn from(found: FoundImage) -> Self {
        Self {
            names: found.names,
            id: found.id,
            config: found.config,
            manifest: found.manifest,
            layers: found.layers.iter().map(|layer| layer.diff_id).collect(),
        }
    }
}
