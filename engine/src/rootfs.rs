//! Root file systems as stacks of layers, some of which are still being sealed.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use layer::{DiffId, Index, LayerTree, UpperDir, View};

use crate::engine::Engine;
use crate::error::StepError;

/// A layer whose tar has at most this many bytes keeps its upper directory.
const SMALL: u64 = 256 << 10;

/// A layer of the store, whole and named.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(crate) diff_id: DiffId,
    pub(crate) index: Arc<Index>,
    pub(crate) stored: cache::Layer,
}

/// What became of a step's changes.
#[derive(Debug, Clone)]
pub(crate) struct SealedUpper {
    pub(crate) layer: Sealed,
    /// Whether the layer was made of this upper directory, and not earlier of an equal one.
    pub(crate) own: bool,
}

/// A layer that is being sealed, or has been.
pub(crate) type Sealing = Shared<BoxFuture<'static, Result<SealedUpper, Arc<StepError>>>>;

/// One layer of a root file system.
#[derive(Debug, Clone)]
pub(crate) struct Layer(Arc<Inner>);

#[derive(Debug)]
enum Inner {
    Stored(Sealed),
    /// The upper directory of a step of this build: used as it is while it is sealed.
    Fresh {
        upper: cache::Upper,
        sealing: Sealing,
    },
}

impl Layer {
    /// A layer that the store has.
    pub(crate) fn stored(sealed: Sealed) -> Self {
        Self(Arc::new(Inner::Stored(sealed)))
    }

    /// The changes that a step just made, with the future of its sealing.
    pub(crate) fn fresh(upper: cache::Upper, sealing: Sealing) -> Self {
        Self(Arc::new(Inner::Fresh { upper, sealing }))
    }

    /// Waits until the layer has its name.
    pub(crate) async fn sealed(&self) -> Result<Sealed, Arc<StepError>> {
        match &*self.0 {
            Inner::Stored(sealed) => Ok(sealed.clone()),
            Inner::Fresh { sealing, .. } => Ok(sealing.clone().await?.layer),
        }
    }

    /// Lets go of the upper directory once no step uses it any more: a small one stays with its layer, since
    /// mounting it costs nothing; of others the sealed form is enough.
    pub(crate) async fn settle(&self, engine: &Engine) -> Result<(), cache::Error> {
        let Inner::Fresh { upper, sealing } = &*self.0 else {
            return Ok(());
        };
        let sealed = sealing.clone().await;
        engine.forget(&upper.upper);
        let store = engine.store();
        if let Ok(sealed) = sealed
            && sealed.own
            && sealed.layer.stored.tar_size <= SMALL
        {
            let layers = store.layers();
            layers.attach(&sealed.layer.diff_id, cache::Form::Upper, &upper.upper)?;
        }
        store.discard(&upper.directory)
    }

    /// Removes the upper directory, sealed or not.
    pub(crate) fn abandon(&self, engine: &Engine) -> Result<(), cache::Error> {
        let Inner::Fresh { upper, .. } = &*self.0 else {
            return Ok(());
        };
        engine.forget(&upper.upper);
        engine.store().discard(&upper.directory)
    }

    /// Its files, for reading without a mount.
    fn tree(&self) -> Result<Arc<dyn LayerTree>, layer::Error> {
        match &*self.0 {
            Inner::Stored(sealed) => Ok(Arc::clone(&sealed.index) as Arc<dyn LayerTree>),
            Inner::Fresh { upper, sealing } => match sealing.peek() {
                // An index is read without system calls.
                Some(Ok(sealed)) => Ok(Arc::clone(&sealed.layer.index) as Arc<dyn LayerTree>),
                _ => Ok(Arc::new(UpperDir::open(&upper.upper)?)),
            },
        }
    }

    /// The upper directory it still has, or the sealed layer.
    pub(crate) fn place(&self) -> Place<'_> {
        match &*self.0 {
            Inner::Stored(sealed) => Place::Sealed(sealed),
            Inner::Fresh { upper, .. } => Place::Upper(upper.upper.clone()),
        }
    }
}

/// Where a layer's files can be mounted from.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    /// A directory, as it is.
    Upper(PathBuf),
    /// The tar and its index.
    Sealed(&'a Sealed),
}

/// A stack of layers, lowest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rootfs {
    layers: Arc<Vec<Layer>>,
}

impl Rootfs {
    /// The root file system made of these layers, lowest first.
    pub(crate) fn new(layers: Vec<Layer>) -> Self {
        Self {
            layers: Arc::new(layers),
        }
    }

    /// This one with a layer on top.
    pub(crate) fn with(&self, layer: Layer) -> Self {
        let mut layers = Vec::with_capacity(self.layers.len() + 1);
        layers.extend(self.layers.iter().cloned());
        layers.push(layer);
        Self::new(layers)
    }

    /// Its layers, lowest first.
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Waits until all layers have their names.
    pub(crate) async fn sealed(&self) -> Result<Vec<Sealed>, Arc<StepError>> {
        let mut sealed = Vec::with_capacity(self.layers.len());
        for layer in self.layers.iter() {
            sealed.push(layer.sealed().await?);
        }
        Ok(sealed)
    }

    /// The merged files as they are now; layers still being sealed are read from their directories.
    pub(crate) fn view(&self) -> Result<View, layer::Error> {
        let trees = self.layers.iter().map(Layer::tree);
        Ok(View::new(trees.collect::<Result<_, _>>()?))
    }

    /// The merged files with every layer sealed, so that digests of content are known.
    pub(crate) async fn sealed_view(&self) -> Result<View, Arc<StepError>> {
        let sealed = self.sealed().await?;
        Ok(View::new(
            sealed
                .into_iter()
                .map(|sealed| sealed.index as Arc<dyn LayerTree>)
                .collect(),
        ))
    }
}

/// A sealing that runs on its own.
pub(crate) fn sealing(
    work: impl Future<Output = Result<SealedUpper, Arc<StepError>>> + Send + 'static,
) -> Sealing {
    work.boxed().shared()
}
