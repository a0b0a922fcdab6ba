//! Images into registries.
//!
//! A layer's tar is compressed once: its blob is remembered, and one that the registry has, or can mount from another
//! of its repositories, is not made again. Where all blobs are known so is the manifest, and if its tag leads to it there
//! is nothing else to ask. Other layers are compressed to files and sent from there, long ones while they are compressed.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use layer::DiffId;
use tokio::sync::Semaphore;

use crate::compressing::Uncompressed;
use crate::compression::{self, Compression, Encoding};
use crate::content::{Content, LocalImage, index_of};
use crate::error::{Error, IoContext as _};
use crate::manifest::{Descriptor, Manifest};
use crate::media_type::MediaTypes;
use crate::reference::{Reference, Repository};
use crate::registry::{BlobFile, Client, GrowingBlob, Start, UploadSession};
use crate::transfer::{KnownBlob, LayerSource, Observer, Phase, StopOnDrop, Update};

/// How many layers go at the same time.
const PARALLEL: usize = 4;
/// How many repositories a registry is asked to mount one blob from.
const MOUNTS_MAX: usize = 3;
/// Layers of this many bytes are sent while they are compressed. For a short one that is a request more, and nothing won.
const LONG: u64 = 4 << 20;
/// How often the observer hears of an upload.
const TICK: Duration = Duration::from_millis(100);

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

/// Pushes an image, or images and their index, to all of `targets`, and gives the pointer to the manifest or index. A
/// failure, or dropping the future, stops everything.
pub async fn push(
    client: &Client,
    content: &Content,
    targets: &[Reference],
    options: &PushOptions,
    source: &Arc<dyn LayerSource>,
    observer: &Arc<dyn Observer>,
) -> Result<Descriptor, Error> {
    let cores = &Semaphore::new(compression::cores());
    let mut document = None;
    let mut pushed = Vec::<&Repository>::new();
    for target in targets {
        let repository = target.repository();
        let push = Push {
            client,
            repository,
            options,
            source,
            observer,
            cores,
        };
        if !pushed.contains(&repository) {
            if let Some(unchanged) = push.unchanged(content, target).await? {
                document = Some(unchanged);
                continue;
            }
            document = Some(push.content(content).await?);
            pushed.push(repository);
        }
        if let Some(document) = &document {
            push.document(&target.target(), document).await?;
        }
    }
    document.map(|(_, pointer)| pointer).ok_or(Error::NoTarget)
}

/// A manifest or an index, and the pointer to it.
type Encoded = (Vec<u8>, Descriptor);

/// One push to one repository.
struct Push<'a> {
    client: &'a Client,
    repository: &'a Repository,
    options: &'a PushOptions,
    source: &'a Arc<dyn LayerSource>,
    observer: &'a Arc<dyn Observer>,
    /// As many as there are, held by those who compress on them.
    cores: &'a Semaphore,
}

impl Push<'_> {
    /// The document that `target` is to lead to, if that is where it leads already.
    async fn unchanged(
        &self,
        content: &Content,
        target: &Reference,
    ) -> Result<Option<Encoded>, Error> {
        let mut blobs = Vec::new();
        let mut manifests = Vec::new();
        for image in content.images() {
            let Some(known) = self.known_blobs(image)? else {
                return Ok(None);
            };
            let types = self.options.media_types;
            let config = Descriptor::of(types.config(), &image.config);
            let layers = known.iter().map(|blob| self.descriptor(blob)).collect();
            manifests.push(Manifest::new(types, config, layers).encode());
            blobs.extend(image.layers.iter().copied().zip(known));
        }
        let Some(document) = self.document_of(content, manifests) else {
            return Ok(None);
        };
        let tagged = self
            .client
            .tagged(self.repository, &target.target())
            .await?;
        if tagged != Some(document.1.digest) {
            return Ok(None);
        }
        for (layer, blob) in &blobs {
            self.tell(*layer, blob, Phase::Exists, blob.size);
        }
        Ok(Some(document))
    }

    /// What the layers of an image are when they are compressed, if that is known of all.
    fn known_blobs(&self, image: &LocalImage) -> Result<Option<Vec<KnownBlob>>, Error> {
        let wanted = self.options.encoding.compression();
        let layers = image.layers.iter();
        let known = layers.map(|layer| self.source.known_blob(layer, wanted));
        known.collect::<Result<_, _>>().map_err(Error::Store)
    }

    /// What a name leads to: the manifest of an image, or the index of several.
    fn document_of(&self, content: &Content, manifests: Vec<Encoded>) -> Option<Encoded> {
        let images = match content {
            Content::Image(_) => return manifests.into_iter().next(),
            Content::Index(images) => images,
        };
        let entries = images.iter().zip(manifests);
        let entries = entries.map(|((platform, _), (_, pointer))| (platform.clone(), pointer));
        Some(index_of(entries, self.options.media_types))
    }

    /// Sees that the repository has everything that the document, which is given, leads to.
    async fn content(&self, content: &Content) -> Result<Encoded, Error> {
        let images = match content {
            Content::Image(image) => return Ok(self.image(image).await?.encode()),
            Content::Index(images) => images,
        };
        let mut entries = Vec::with_capacity(images.len());
        for (platform, image) in images {
            let manifest = self.image(image).await?.encode();
            let digest = manifest.1.digest.to_string();
            self.document(&digest, &manifest).await?;
            entries.push((platform.clone(), manifest.1));
        }
        Ok(index_of(entries, self.options.media_types))
    }

    /// Puts a manifest or an index under a tag or its digest.
    async fn document(&self, target: &str, (bytes, pointer): &Encoded) -> Result<(), Error> {
        let body = Bytes::from(bytes.clone());
        let put = (self.client).put_manifest(self.repository, target, &pointer.media_type, &body);
        put.await
    }

    /// Sees that the repository has the config and all layers of an image.
    async fn image(&self, image: &LocalImage) -> Result<Manifest, Error> {
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
                    self.tell(layer, known, phase, known.size);
                    return Ok(self.descriptor(known));
                }
                Found::Session(open) => session = open,
            }
        }
        let (tar, size) = self.source.open(&layer).map_err(Error::Store)?;
        let encoding = self.options.encoding;
        let uncompressed = Uncompressed {
            layer,
            tar,
            size,
            encoding,
        };
        let blob = match wanted {
            Compression::None => self.as_it_is(uncompressed, known.as_ref(), session).await?,
            _ => {
                self.compressed(uncompressed, known.as_ref(), session)
                    .await?
            }
        };
        self.remember_place(&blob)?;
        self.tell(layer, &blob, Phase::Done, blob.size);
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

    /// Sends a layer without compression.
    async fn as_it_is(
        &self,
        uncompressed: Uncompressed,
        known: Option<&KnownBlob>,
        session: Option<UploadSession>,
    ) -> Result<KnownBlob, Error> {
        let Uncompressed {
            layer, tar, size, ..
        } = uncompressed;
        let blob = KnownBlob {
            digest: *layer.digest(),
            size,
            compression: Compression::None,
        };
        if !self.turned_up(layer, &blob, known).await? {
            self.upload(layer, tar, &blob, session).await?;
        }
        Ok(blob)
    }

    /// Compresses a layer and sends what comes of it, unless the registry turns out to have that.
    async fn compressed(
        &self,
        uncompressed: Uncompressed,
        known: Option<&KnownBlob>,
        session: Option<UploadSession>,
    ) -> Result<KnownBlob, Error> {
        let Uncompressed { layer, size, .. } = uncompressed;
        let cores = u32::try_from(uncompressed.cores()).unwrap_or(1);
        let cores = self.cores.acquire_many(cores).await;
        let cores = cores.map_err(|_| Error::Interrupted)?;
        let (mut out, growing) = GrowingBlob::new(self.scratch_file()?);
        let stop = StopOnDrop::default();
        let (stopped, observer) = (Arc::clone(&stop.0), Arc::clone(self.observer));
        let work = move || uncompressed.compress(&mut out, &*observer, &stopped);
        let compressing = tokio::task::spawn_blocking(work);
        let compressing = async move {
            let blob = compressing.await.map_err(|_| Error::Interrupted)??;
            drop(cores);
            let turned_up = self.turned_up(layer, &blob, known).await?;
            Ok::<_, Error>((blob, turned_up))
        };
        let (blob, session) = if size < LONG {
            match compressing.await? {
                (blob, true) => return Ok(blob),
                (blob, false) => (blob, session),
            }
        } else {
            let sending = self.client.send_growing(self.repository, &growing, session);
            let (mut compressing, mut sending) = (pin!(compressing), pin!(sending));
            tokio::select! {
                compressed = &mut compressing => match compressed? {
                    (blob, true) => return Ok(blob),
                    (blob, false) => {
                        let session = self.watched(layer, &blob, &growing.sent(), sending).await?;
                        (blob, session)
                    }
                },
                session = &mut sending => {
                    let session = session?;
                    match compressing.await? {
                        (blob, true) => return Ok(blob),
                        (blob, false) => (blob, session),
                    }
                }
            }
        };
        self.upload(layer, growing.file(), &blob, session).await?;
        Ok(blob)
    }

    /// Whether the registry has the blob that a layer came to, which is remembered. `known` is one that it does not have.
    async fn turned_up(
        &self,
        layer: DiffId,
        blob: &KnownBlob,
        known: Option<&KnownBlob>,
    ) -> Result<bool, Error> {
        if known == Some(blob) {
            return Ok(false);
        }
        self.source
            .remember_blob(&layer, blob)
            .map_err(Error::Store)?;
        self.client.has_blob(self.repository, &blob.digest).await
    }

    async fn upload(
        &self,
        layer: DiffId,
        file: impl Into<Arc<File>>,
        blob: &KnownBlob,
        session: Option<UploadSession>,
    ) -> Result<(), Error> {
        let body = BlobFile::new(file, blob.digest, blob.size);
        // The session may be for the blob that was known before, which is another one now; it does not matter.
        let upload = self.client.upload(self.repository, &body, session);
        self.watched(layer, blob, &body.sent(), pin!(upload)).await
    }

    /// Waits for an upload and tells how far it is.
    async fn watched<T>(
        &self,
        layer: DiffId,
        blob: &KnownBlob,
        sent: &AtomicU64,
        mut upload: impl Future<Output = Result<T, Error>> + Unpin,
    ) -> Result<T, Error> {
        loop {
            let done = sent.load(Ordering::Relaxed);
            self.tell(layer, blob, Phase::Uploading, done);
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

    fn tell(&self, layer: DiffId, blob: &KnownBlob, phase: Phase, done: u64) {
        self.observer.update(&Update {
            layer,
            blob: Some(blob.digest),
            phase,
            done,
            total: blob.size,
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
