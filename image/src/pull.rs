//! Images out of a registry.
//!
//! First the documents ([`fetch_image`]), then, when they are wanted, the layers ([`fetch_layers`]). A layer's bytes
//! pass once from the network to its files: a task verifies the blob while it arrives, a thread decompresses, hashes
//! and indexes the tar. A bounded channel lies between them, so a slow disk slows the sender. What has come of a long
//! blob is kept until the layer is whole, so that after an interruption, of the program too, only the rest must come.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use layer::{DiffId, Digest};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::config::ImageConfig;
use crate::error::{Error, IoContext as _};
use crate::manifest::{Descriptor, Document, Index, Manifest, ManifestProblem};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::{BlobStream, Client};
use crate::transfer::{KnownBlob, LayerSink, Observer, PartialBlob, Phase, Update};

mod inflow;
pub(crate) mod receive;

use inflow::{Keeper, Outflow};
use receive::{Incoming, receive};

/// How many layers come at the same time.
const PARALLEL: usize = 4;
/// What came of blobs shorter than this is not kept over interruptions: it comes again as fast.
const KEPT_MIN: u64 = 1 << 20;
/// How deep indexes may be nested.
const NESTING_MAX: usize = 4;

/// An image in a registry: its documents, all verified.
#[derive(Debug, Clone)]
pub struct RemoteImage {
    /// Its name, fixed to the manifest that was read.
    pub reference: Reference,
    /// What the name leads to: the manifest, or the index that it was chosen from.
    pub target: Descriptor,
    /// The manifest.
    pub manifest: Descriptor,
    /// Its bytes.
    pub manifest_bytes: Vec<u8>,
    /// The digest of the config: the image's id.
    pub id: Digest,
    /// The config's bytes.
    pub config_bytes: Vec<u8>,
    /// The config.
    pub config: ImageConfig,
    /// The layers, base first.
    pub layers: Vec<RemoteLayer>,
}

/// A layer in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteLayer {
    /// Its name.
    pub diff_id: DiffId,
    /// The blob that holds it.
    pub blob: Descriptor,
}

/// Reads the documents of the image that `reference` names, for a platform.
pub async fn fetch_image(
    client: &Client,
    reference: &Reference,
    platform: &Platform,
) -> Result<RemoteImage, Error> {
    let (target, manifest, document, manifest_bytes) =
        fetch_manifest(client, reference, platform).await?;
    let repository = reference.repository();
    let name = reference.familiar();
    if document.config.size > crate::manifest::SIZE_MAX {
        return Err(bad_manifest(
            &name,
            ManifestProblem::TooLarge(document.config.size),
        ));
    }
    let config_bytes = client.fetch_blob(repository, &document.config).await?;
    let config = ImageConfig::parse(&name, &config_bytes)?;
    let layers = pair_layers(&name, &document, &config)?;
    Ok(RemoteImage {
        reference: reference.with_digest(manifest.digest),
        target,
        manifest,
        manifest_bytes,
        id: document.config.digest,
        config_bytes,
        config,
        layers,
    })
}

/// Follows indexes to the manifest for a platform.
async fn fetch_manifest(
    client: &Client,
    reference: &Reference,
    platform: &Platform,
) -> Result<(Descriptor, Descriptor, Manifest, Vec<u8>), Error> {
    let name = reference.familiar();
    let mut target = None;
    let mut next = reference.clone();
    for _ in 0..NESTING_MAX {
        let fetched = client.fetch_manifest(&next).await?;
        let target = target.get_or_insert_with(|| fetched.descriptor.clone());
        let announced = &fetched.descriptor.media_type;
        match Document::parse(&name, announced, &fetched.bytes)? {
            Document::Manifest(manifest) => {
                return Ok((target.clone(), fetched.descriptor, manifest, fetched.bytes));
            }
            Document::Index(index) => {
                next = reference.with_digest(choose(&name, &index, platform)?.digest);
            }
        }
    }
    Err(bad_manifest(&name, ManifestProblem::TooDeep))
}

/// The entry of an index for a platform.
pub(crate) fn choose<'a>(
    name: &str,
    index: &'a Index,
    wanted: &Platform,
) -> Result<&'a Descriptor, Error> {
    index.choose(wanted).ok_or_else(|| Error::NoPlatform {
        image: name.to_owned(),
        wanted: wanted.to_string(),
        available: index
            .manifests
            .iter()
            .filter_map(|manifest| manifest.platform.as_ref())
            .filter(|platform| platform.os != "unknown")
            .map(Platform::to_string)
            .collect(),
    })
}

/// The manifest says where the layers are, the config what they are called.
pub(crate) fn pair_layers(
    name: &str,
    manifest: &Manifest,
    config: &ImageConfig,
) -> Result<Vec<RemoteLayer>, Error> {
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        let problem = ManifestProblem::LayerCount {
            layers: manifest.layers.len(),
            diff_ids: diff_ids.len(),
        };
        return Err(bad_manifest(name, problem));
    }
    let pairs = diff_ids.iter().zip(&manifest.layers);
    Ok(pairs
        .map(|(diff_id, blob)| RemoteLayer {
            diff_id: *diff_id,
            blob: blob.clone(),
        })
        .collect())
}

fn bad_manifest(name: &str, source: ManifestProblem) -> Error {
    Error::Manifest {
        document: format!("manifest of {name}"),
        source,
    }
}

/// Brings the layers of an image into a store: those that it has not, up to four at the same time. A failure, or
/// dropping the future, stops all of them.
pub async fn fetch_layers(
    client: &Client,
    image: &RemoteImage,
    sink: &Arc<dyn LayerSink>,
    observer: &Arc<dyn Observer>,
) -> Result<(), Error> {
    let mut seen = HashSet::new();
    let distinct: Vec<&RemoteLayer> = image
        .layers
        .iter()
        .filter(|layer| seen.insert(layer.diff_id))
        .collect();
    let threads = TaskTracker::new();
    // Made before they are put in a stream: a closure of the stream would not be general enough in its lifetimes for
    // a caller whose future is boxed.
    let fetches: Vec<_> = distinct
        .into_iter()
        .map(|layer| fetch_layer(client, &image.reference, layer, sink, observer, &threads))
        .collect();
    let result = stream::iter(fetches)
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await;
    // After a failure the threads of the others still tidy up.
    threads.close();
    threads.wait().await;
    result
}

/// Brings one layer into a store, if it has it not. `threads` are those that write layers.
async fn fetch_layer(
    client: &Client,
    reference: &Reference,
    layer: &RemoteLayer,
    sink: &Arc<dyn LayerSink>,
    observer: &Arc<dyn Observer>,
    threads: &TaskTracker,
) -> Result<(), Error> {
    let progress = |phase, done| {
        observer.update(&Update {
            layer: layer.diff_id,
            blob: Some(layer.blob.digest),
            phase,
            done,
            total: layer.blob.size,
        });
    };
    if sink.contains(&layer.diff_id).map_err(Error::Store)? {
        progress(Phase::Exists, layer.blob.size);
        return Ok(());
    }
    progress(Phase::Downloading, 0);
    let repository = reference.repository();
    let arrived = |done| progress(Phase::Downloading, done);
    let mut first = 0;
    loop {
        let mut blob = client.blob(repository, &layer.blob, first)?;
        let (digest, size) = (&layer.blob.digest, layer.blob.size);
        let partial = match size {
            KEPT_MIN.. => sink.partial(digest, size).map_err(Error::Store)?,
            _ => None,
        };
        let keeper = partial
            .as_ref()
            .map(|partial| resume(&mut blob, &**partial, &layer.blob));
        let keeper = keeper.transpose()?;
        let was_kept = keeper.as_ref().is_some_and(Keeper::has_some);
        let incoming = Incoming {
            name: layer.blob.digest.to_string(),
            expected: layer.diff_id,
            blob: Some(KnownBlob::from(&layer.blob)),
            repository: Some(repository.clone()),
        };
        let (outflow, inflow) = inflow::channel(keeper);
        let sink = Arc::clone(sink);
        let thread = threads.spawn_blocking(move || receive(inflow, incoming, &*sink));
        let result = pass_on(&mut blob, outflow, thread, arrived).await;
        // What broke off may go on another time; what is wrong, or finds no room here, may not.
        let broke_off = matches!(&result, Err(Error::Registry(_) | Error::Mirrors { .. }));
        if let Some(partial) = partial.filter(|_| !broke_off) {
            partial.discard();
        }
        match result {
            // What was kept may have been wrong: all comes again.
            Err(error) if error.is_content() && was_kept => {}
            Err(error) => first = blob.after_wrong_bytes(error)?,
            Ok(()) => {
                progress(Phase::Done, layer.blob.size);
                return Ok(());
            }
        }
    }
}

/// Has a download begin with what was kept of it.
fn resume(
    blob: &mut BlobStream,
    partial: &dyn PartialBlob,
    wanted: &Descriptor,
) -> Result<Keeper, Error> {
    let file = partial.file();
    let kept = file
        .metadata()
        .doing("look at what was kept of a download")?
        .len();
    let known = if kept > wanted.size { 0 } else { kept };
    if known < kept {
        file.set_len(0)
            .doing("forget what was kept of a download")?;
    }
    blob.resume(Arc::clone(&file), known);
    Ok(Keeper::new(file, known))
}

/// Passes a blob to the thread that takes it apart. `arrived` hears how many bytes have come.
async fn pass_on(
    blob: &mut BlobStream,
    outflow: Outflow,
    thread: JoinHandle<Result<(), Error>>,
    arrived: impl Fn(u64),
) -> Result<(), Error> {
    let sent = feed(blob, outflow, arrived).await;
    let received = thread.await.map_err(|error| Error::Io {
        action: "finish a layer",
        source: io::Error::other(error),
    })?;
    // What broke off the download explains what the thread makes of it.
    sent.and(received)
}

async fn feed(blob: &mut BlobStream, outflow: Outflow, arrived: impl Fn(u64)) -> Result<(), Error> {
    let mut done = 0;
    while let Some(bytes) = blob.next().await? {
        done += bytes.len() as u64;
        // The thread ends early only with an error of its own, which is the one to report.
        if outflow.send(bytes).await.is_err() {
            return Ok(());
        }
        arrived(done);
    }
    outflow.end().await;
    Ok(())
}
