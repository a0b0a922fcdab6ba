//! A store of layers in a directory, and images to put in it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use layer::{DiffId, Digest};
use rbuild_image::config::{ContainerConfig, History, RootFs};
use rbuild_image::transfer::{
    KnownBlob, LayerDraft, LayerFiles, LayerSink, LayerSource, Observer, PartialBlob, Phase,
    ReceivedLayer, Update,
};
use rbuild_image::{Compression, ImageConfig, LocalImage, Repository, StoreError};

/// A store that forgets itself at the end of the test.
#[derive(Clone)]
pub(crate) struct Store(Arc<Inner>);

struct Inner {
    directory: tempfile::TempDir,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    layers: HashMap<DiffId, PathBuf>,
    blobs: HashMap<(DiffId, Compression), KnownBlob>,
    places: HashMap<Digest, Vec<Repository>>,
    drafts: usize,
}

struct Draft {
    store: Store,
    tar: PathBuf,
    index: PathBuf,
}

struct Partial {
    path: PathBuf,
    file: Arc<File>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            directory: testkit::scratch(),
            state: Mutex::default(),
        }))
    }

    pub(crate) fn sink(&self) -> Arc<dyn LayerSink> {
        Arc::new(self.clone())
    }

    pub(crate) fn source(&self) -> Arc<dyn LayerSource> {
        Arc::new(self.clone())
    }

    /// A directory for compressed layers.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.0.directory.path().to_owned()
    }

    pub(crate) fn add(&self, tar: &[u8]) -> DiffId {
        let name = DiffId::new(Digest::of(tar));
        let path = self.path(&name.digest().to_hex());
        fs::write(&path, tar).unwrap();
        self.0.state.lock().unwrap().layers.insert(name, path);
        name
    }

    pub(crate) fn tar(&self, layer: &DiffId) -> Vec<u8> {
        let path = self.0.state.lock().unwrap().layers[layer].clone();
        fs::read(path).unwrap()
    }

    pub(crate) fn layers(&self) -> usize {
        self.0.state.lock().unwrap().layers.len()
    }

    /// How much is kept of a blob that has not come as a whole; `None` for nothing.
    pub(crate) fn kept(&self, blob: &Digest) -> Option<u64> {
        let path = self.path(&format!("partial-{}", blob.to_hex()));
        fs::metadata(path).ok().map(|metadata| metadata.len())
    }

    /// Leaves the beginning of a blob, as an earlier process would have.
    pub(crate) fn keep(&self, blob: &Digest, bytes: &[u8]) {
        fs::write(self.path(&format!("partial-{}", blob.to_hex())), bytes).unwrap();
    }

    /// How many layers were begun.
    pub(crate) fn drafts(&self) -> usize {
        self.0.state.lock().unwrap().drafts
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.directory.path().join(name)
    }
}

impl LayerSink for Store {
    fn contains(&self, layer: &DiffId) -> Result<bool, StoreError> {
        Ok(self.0.state.lock().unwrap().layers.contains_key(layer))
    }

    fn partial(&self, blob: &Digest, _: u64) -> Result<Option<Box<dyn PartialBlob>>, StoreError> {
        let path = self.path(&format!("partial-{}", blob.to_hex()));
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = Arc::new(options.open(&path)?);
        Ok(Some(Box::new(Partial { path, file })))
    }

    fn begin(&self) -> Result<Box<dyn LayerDraft>, StoreError> {
        let mut state = self.0.state.lock().unwrap();
        state.drafts += 1;
        Ok(Box::new(Draft {
            store: self.clone(),
            tar: self.path(&format!("draft-{}.tar", state.drafts)),
            index: self.path(&format!("draft-{}.index", state.drafts)),
        }))
    }
}

impl PartialBlob for Partial {
    fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    fn discard(self: Box<Self>) {
        fs::remove_file(self.path).unwrap();
    }
}

impl LayerDraft for Draft {
    fn files(&self) -> Result<LayerFiles, StoreError> {
        let create = |path| {
            let mut options = File::options();
            options.read(true).write(true).create_new(true).open(path)
        };
        Ok(LayerFiles {
            tar: create(&self.tar)?,
            index: create(&self.index)?,
        })
    }

    fn commit(self: Box<Self>, layer: &ReceivedLayer) -> Result<(), StoreError> {
        let mut state = self.store.0.state.lock().unwrap();
        let name = layer.summary.diff_id;
        if let Some(blob) = &layer.blob {
            state.blobs.insert((name, blob.compression), blob.clone());
            if let Some(repository) = &layer.repository {
                let places = state.places.entry(blob.digest).or_default();
                places.push(repository.clone());
            }
        }
        state.layers.insert(name, self.tar.clone());
        Ok(())
    }
}

impl LayerSource for Store {
    fn open(&self, layer: &DiffId) -> Result<(File, u64), StoreError> {
        let path = self.0.state.lock().unwrap().layers[layer].clone();
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    fn known_blob(
        &self,
        layer: &DiffId,
        compression: Compression,
    ) -> Result<Option<KnownBlob>, StoreError> {
        let state = self.0.state.lock().unwrap();
        Ok(state.blobs.get(&(*layer, compression)).cloned())
    }

    fn remember_blob(&self, layer: &DiffId, blob: &KnownBlob) -> Result<(), StoreError> {
        let mut state = self.0.state.lock().unwrap();
        state.blobs.insert((*layer, blob.compression), blob.clone());
        Ok(())
    }

    fn repositories(&self, blob: &Digest) -> Result<Vec<Repository>, StoreError> {
        let state = self.0.state.lock().unwrap();
        Ok(state.places.get(blob).cloned().unwrap_or_default())
    }

    fn remember_repository(
        &self,
        blob: &Digest,
        repository: &Repository,
    ) -> Result<(), StoreError> {
        let mut state = self.0.state.lock().unwrap();
        let places = state.places.entry(*blob).or_default();
        places.push(repository.clone());
        Ok(())
    }
}

/// Remembers how each layer ended.
#[derive(Default)]
pub(crate) struct Watch(Mutex<HashMap<DiffId, Vec<Phase>>>);

impl Watch {
    /// The last phase of each layer, sorted by name.
    pub(crate) fn ends(&self) -> Vec<Phase> {
        let phases = self.0.lock().unwrap();
        let mut ends: Vec<_> = phases
            .iter()
            .map(|(layer, phases)| (*layer, *phases.last().unwrap()))
            .collect();
        ends.sort_by_key(|(layer, _)| *layer);
        ends.into_iter().map(|(_, phase)| phase).collect()
    }

    pub(crate) fn saw(&self, phase: Phase) -> bool {
        let phases = self.0.lock().unwrap();
        phases.values().any(|phases| phases.contains(&phase))
    }
}

impl Observer for Watch {
    fn update(&self, update: &Update) {
        assert!(
            update.total == 0 || update.done <= update.total,
            "{update:?}"
        );
        let mut phases = self.0.lock().unwrap();
        let phases = phases.entry(update.layer).or_default();
        if phases.last() != Some(&update.phase) {
            phases.push(update.phase);
        }
    }
}

/// A tar with one file.
pub(crate) fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, content).unwrap();
    builder.into_inner().unwrap()
}

/// Bytes that compress somewhat, different for each seed.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|at| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if at % 3 == 0 {
                b'x'
            } else {
                (state >> 56) as u8
            }
        })
        .collect()
}

/// An image of these layers, which the store has.
pub(crate) fn image_of(layers: Vec<DiffId>) -> LocalImage {
    let history = layers.iter().map(|layer| History {
        created: Some("1970-01-01T00:00:00Z".into()),
        created_by: format!("COPY {layer} /"),
        ..History::default()
    });
    let config = ImageConfig {
        architecture: "amd64".into(),
        os: "linux".into(),
        created: Some("1970-01-01T00:00:00Z".into()),
        config: ContainerConfig {
            cmd: vec!["/bin/sh".into()],
            ..ContainerConfig::default()
        },
        history: history.collect(),
        rootfs: RootFs::new(layers.clone()),
        ..ImageConfig::default()
    };
    LocalImage {
        config: config.encode().0,
        layers,
    }
}

/// An image of three small layers.
pub(crate) fn sample(store: &Store) -> LocalImage {
    let layers = ["one", "two", "three"];
    let layers = layers.map(|name| store.add(&tar_of(name, name.as_bytes())));
    image_of(layers.to_vec())
}
