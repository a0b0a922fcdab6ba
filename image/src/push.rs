//! Images into registries.
//!
//! A layer's tar is compressed once: its blob is remembered, and one that the registry has, or can mount from another
//! of its repositories, is not made again. Others are compressed to a file, since the registry wants to know the
//! digest first, and uploaded while the next one is compressed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use layer::{DiffId, Digest};
use tokio::sync::Semaphore;

use crate::compression::{Compression, Encoding, compress};
use crate::error::{Error, IoContext as _};
use crate::manifest::{Descriptor, Manifest};
use crate::media_type::MediaTypes;
use crate::reference::{Reference, Repository};
use crate::registry::{BlobFile, Client, Start, UploadSession};
use crate::transfer::{KnownBlob, LayerSource, Observer, Phase, StopOnDrop, Update};

/// How many layers go at the same time.
const PARALLEL: usize = 4;
/// How many repositories a registry is asked to mount one blob from.
const MOUNTS_MAX: usize = 3;
/// How often the observer hears of an upload.
const TICK: Duration = Duration::from_millis(100);

/// An image that the caller has.
#[derive(Debug, Clone)]
pub struct LocalImage {
    /// Its config's bytes.
    pub config: Vec<u8>,
    /// Its layers, base first.
    pub layers: Vec<DiffId>,
}

/// How an image is pushed.
#[derive(Debug, Clone)]
pub struct PushOptions {
    /// How layers are compressed that the registry does not have.
    pub encoding: Encoding,
    /// Which media types the manifest has.
    pub media_types: MediaTypes,
    /// Where compressed layers lie until they are sent. Files there have no name and vanish by themselves.
    pub scratch: PathBuf,
}

/// Pushes an image to all of `targets`, and gives the pointer to its manifest. A failure, or dropping the future,
/// stops everything.
pub async fn push(
    client: &Client,
    image: &LocalImage,
    targets: &[Reference],
    options: &PushOptions,
    source: &Arc<dyn LayerSource>,
    observer: &Arc<dyn Observer>,
) -> Result<Descriptor, Error> {
    let (mut bytes, mut descriptor) = (Vec::new(), None);
    let mut pushed = Vec::<&Repository>::new();
    for target in targets {
        let repository = target.repository();
        if !pushed.contains(&repository) {
            let push = Push {
                client,
                repository,
                options,
                source,
                observer,
                cores: &Semaphore::new(1),
            };
            let manifest = push.content(image).await?;
            let (encoded, pointer) = manifest.encode();
            (bytes, descriptor) = (encoded, Some(pointer));
            pushed.push(repository);
        }
        let body = Bytes::from(bytes.clone());
        let media_type = options.media_types.manifest();
        client
            .put_manifest(repository, &target.target(), media_type, &body)
            .await?;
    }
    descriptor.ok_or(Error::NoTarget)
}

/// One push to one repository.
struct Push<'a> {
    client: &'a Client,
    repository: &'a Repository,
    options: &'a PushOptions,
    source: &'a Arc<dyn LayerSource>,
    observer: &'a Arc<dyn Observer>,
    /// Held while compressing, which uses all cores by itself.
    cores: &'a Semaphore,
}

impl Push<'_> {
    /// Sees that the repository has the config and all layers.
    async fn content(&self, image: &LocalImage) -> Result<Manifest, Error> {
        let mut distinct = image.layers.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let blobs: HashMap<DiffId, Descriptor> = stream::iter(distinct)
            .map(|layer| async move { Ok::<_, Error>((layer, self.layer(layer).await?)) })
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await?;
        let config = self.config(&image.config).await?;
        let layers = image.layers.iter().map(|layer| blobs[layer].clone());
        Ok(Manifest::new(
            self.options.media_types,
            config,
            layers.collect(),
        ))
    }

    async fn config(&self, bytes: &[u8]) -> Result<Descriptor, Error> {
        let descriptor = Descriptor::of(self.options.media_types.config(), bytes);
        if self
            .client
            .has_blob(self.repository, &descriptor.digest)
            .await?
        {
            return Ok(descriptor);
        }
        let mut file = self.scratch_file()?;
        file.write_all(bytes).doing("write the config")?;
        let blob = BlobFile::new(file, descriptor.digest, descriptor.size);
        self.client.upload(self.repository, &blob, None).await?;
        Ok(descriptor)
    }

    async fn layer(&self, layer: DiffId) -> Result<Descriptor, Error> {
        let wanted = self.options.encoding.compression();
        let known = self
            .source
            .known_blob(&layer, wanted)
            .map_err(Error::Store)?;
        let mut session = None;
        if let Some(known) = &known {
            match self.without_upload(known).await? {
                Found::Phase(phase) => {
                    self.remember_place(known)?;
                    self.tell(layer, Some(known.digest), phase, known.size, known.size);
                    return Ok(self.descriptor(known));
                }
                Found::Session(open) => session = open,
            }
        }
        let (file, blob) = self.compressed(layer).await?;
        let same = known.as_ref() == Some(&blob);
        if !same {
            self.source
                .remember_blob(&layer, &blob)
                .map_err(Error::Store)?;
        }
        if same || !self.client.has_blob(self.repository, &blob.digest).await? {
            self.upload(layer, file, &blob, session).await?;
        }
        self.remember_place(&blob)?;
        self.tell(layer, Some(blob.digest), Phase::Done, blob.size, blob.size);
        Ok(self.descriptor(&blob))
    }

    /// Whether the registry has a blob, or can take it from itself.
    async fn without_upload(&self, blob: &KnownBlob) -> Result<Found, Error> {
        if self.client.has_blob(self.repository, &blob.digest).await? {
            return Ok(Found::Phase(Phase::Exists));
        }
        let elsewhere = self
            .source
            .repositories(&blob.digest)
            .map_err(Error::Store)?;
        let candidates = elsewhere.iter().filter(|from| {
            from.registry() == self.repository.registry() && *from != self.repository
        });
        let mut session = None;
        for from in candidates.take(MOUNTS_MAX) {
            let start = self
                .client
                .start_upload(self.repository, &blob.digest, Some(from))
                .await;
            match start {
                Ok(Start::Mounted) => return Ok(Found::Phase(Phase::Mounted)),
                Ok(Start::Session(open)) => session = Some(open),
                // We may not be allowed to read that repository; then the blob is sent.
                Err(Error::Registry(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Found::Session(session))
    }

    /// A layer in a file as it is to be sent.
    async fn compressed(&self, layer: DiffId) -> Result<(File, KnownBlob), Error> {
        let (tar, size) = self.source.open(&layer).map_err(Error::Store)?;
        let encoding = self.options.encoding;
        let compression = encoding.compression();
        if compression == Compression::None {
            let digest = *layer.digest();
            let blob = KnownBlob {
                digest,
                size,
                compression,
            };
            return Ok((tar, blob));
        }
        let _core = self.cores.acquire().await.map_err(|_| Error::Interrupted)?;
        let out = self.scratch_file()?;
        let stop = StopOnDrop::default();
        let stopped = Arc::clone(&stop.0);
        let observer = Arc::clone(self.observer);
        let work = move || {
            let mut progress = |done| {
                observer.update(&Update {
                    layer,
                    blob: None,
                    phase: Phase::Compressing,
                    done,
                    total: size,
                });
                !stopped.load(Ordering::Relaxed)
            };
            let mut writer = BufWriter::new(&out);
            let result = compress(encoding, &tar, size, &mut writer, &mut progress)?;
            writer.flush().doing("write a compressed layer")?;
            drop(writer);
            Ok::<_, Error>((out, result))
        };
        let (file, result) = tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Error::Interrupted)??;
        let blob = KnownBlob {
            digest: result.digest,
            size: result.size,
            compression,
        };
        Ok((file, blob))
    }

    async fn upload(
        &self,
        layer: DiffId,
        file: File,
        blob: &KnownBlob,
        session: Option<UploadSession>,
    ) -> Result<(), Error> {
        let body = BlobFile::new(file, blob.digest, blob.size);
        let sent = body.sent();
        // The session is for the blob that was known before, which may be another one now; it does not matter.
        let mut upload = std::pin::pin!(self.client.upload(self.repository, &body, session));
        loop {
            let done = sent.load(Ordering::Relaxed);
            self.tell(layer, Some(blob.digest), Phase::Uploading, done, blob.size);
            tokio::select! {
                result = &mut upload => return result,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    fn descriptor(&self, blob: &KnownBlob) -> Descriptor {
        let media_type = self.options.media_types.layer(blob.compression);
        Descriptor::new(media_type, blob.digest, blob.size)
    }

    fn remember_place(&self, blob: &KnownBlob) -> Result<(), Error> {
        self.source
            .remember_repository(&blob.digest, self.repository)
            .map_err(Error::Store)
    }

    fn scratch_file(&self) -> Result<File, Error> {
        let path = &self.options.scratch;
        tempfile::tempfile_in(path).map_err(|source| Error::File {
            action: "create a file in",
            path: path.clone(),
            source,
        })
    }

    fn tell(&self, layer: DiffId, blob: Option<Digest>, phase: Phase, done: u64, total: u64) {
        self.observer.update(&Update {
            layer,
            blob,
            phase,
            done,
            total,
        });
    }
}

/// How a blob can get into a repository.
enum Found {
    /// It is there.
    Phase(Phase),
    /// It must be sent; a session may be open already.
    Session(Option<UploadSession>),
}
