//! Checking a store, and dropping what is damaged.
//!
//! Everything that a build or a container could be served is compared with its name: tars with their diff IDs, indexes
//! with the digest that they had when they were written and, file by file, with the tars, directory forms of layers with
//! the indexes, documents and records with their checksums, images with the layers and documents that they need. Records that only speed things up may lead to what is
//! no longer there: they count as absent, and that is no problem.
//!
//! It may run while others work on the store. What is dropped is dropped as collectors do it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use layer::{DiffId, EntryKind, FileSource, Index, UnpackOptions, View};

use crate::error::Error;
use crate::forms::{FORMS, Form};
use crate::layers::{Description, Stamp};
use crate::lock::Mode;
use crate::record::{self, Record};
use crate::store::entries;
use crate::{
    Bucket, NamedImage, Roots, Store, actions, builds, context_memory, downloads, durable, images,
    layers,
};
use crate::{mounts, transfers};

/// Something that is wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it is about: `layer sha256:…`, `image …`.
    pub object: String,
    /// What is wrong.
    pub damage: Damage,
    /// Whether what is damaged was dropped.
    pub repaired: bool,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A record is torn or of another version.
    #[error("its record cannot be read")]
    Record,
    /// A record is under the name of something else.
    #[error("its record is that of another")]
    Place,
    /// The bytes of a tar or a document have another digest than its name says.
    #[error("its bytes have another digest")]
    Digest,
    /// The file is missing or has another length.
    #[error("its {0} is missing or has another length")]
    Length(&'static str),
    /// The index is not the one that was written, or does not fit the tar.
    #[error("its index does not describe it: {0}")]
    Index(String),
    /// A directory that it is mounted from, where it is not mounted from its tar, is not what the tar says.
    #[error("a directory form is not as it is: {0}")]
    Form(String),
    /// An image or container lacks a layer.
    #[error("its layer `{0}` is not in the store")]
    NoLayer(DiffId),
    /// An image lacks its config.
    #[error("its config is not in the store")]
    NoConfig,
    /// A name leads to no image.
    #[error("its image is not in the store")]
    NoImage,
    /// A name came with a manifest, which is not there. What it names can do without.
    #[error("its manifest is not in the store")]
    NoManifest,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// How many layers were compared.
    pub layers: usize,
    /// How many images.
    pub images: usize,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
}

impl Checked {
    /// Whether nothing is wrong any more.
    pub fn is_sound(&self) -> bool {
        self.problems.iter().all(|problem| problem.repaired)
    }
}

impl Store {
    /// Checks everything. With `repair`, what is damaged is dropped, so that it is built or pulled again. `roots` is asked
    /// for the containers, which are never dropped. Layers are unpacked by `unpacking`.
    pub fn check(
        &self,
        roots: &dyn Fn() -> Result<Roots, Error>,
        unpacking: UnpackOptions,
        repair: bool,
    ) -> Result<Checked, Error> {
        let mut check = Check {
            store: self,
            unpacking,
            repair,
            checked: Checked::default(),
        };
        check.layers()?;
        check.blobs()?;
        check.images()?;
        check.names()?;
        check.records()?;
        check.mounts()?;
        check.containers(roots)?;
        Ok(check.checked)
    }
}

/// A check under way.
struct Check<'a> {
    store: &'a Store,
    unpacking: UnpackOptions,
    repair: bool,
    checked: Checked,
}

impl Check<'_> {
    /// Notes what is wrong, and drops it if that is wished and possible.
    fn note(
        &mut self,
        object: String,
        damage: Damage,
        drop: impl FnOnce(&Store) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let repaired = self.repair && drop(self.store)?;
        self.checked.problems.push(Problem {
            object,
            damage,
            repaired,
        });
        Ok(())
    }

    fn layers(&mut self) -> Result<(), Error> {
        for diff_id in self.store.layers().names()? {
            self.checked.layers += 1;
            if let Some(damage) = self.layer_damage(&diff_id)? {
                self.note(format!("layer {diff_id}"), damage, |store| {
                    store.layers().remove(&diff_id)
                })?;
                continue;
            }
            for form in FORMS {
                if let Some(damage) = self.form_damage(&diff_id, form)? {
                    self.note(format!("layer {diff_id}"), damage, |store| {
                        store.layers().remove_form(&diff_id, form)
                    })?;
                }
            }
        }
        Ok(())
    }

    fn layer_damage(&self, diff_id: &DiffId) -> Result<Option<Damage>, Error> {
        let range = layers::range(diff_id);
        let Some(_lease) = self.store.try_lock(range, Mode::Shared)? else {
            return Ok(None);
        };
        let directory = self.store.layers().directory(diff_id);
        if !directory.exists() {
            return Ok(None);
        }
        let Some(description) = record::read::<Description>(&directory.join("layer"))? else {
            return Ok(Some(Damage::Record));
        };
        let [tar, index] = ["tar", "index"].map(|name| directory.join(name));
        for (name, path, size) in [
            ("tar", &tar, description.tar.size),
            ("index", &index, description.index.size),
        ] {
            if Stamp::of(path)?.is_none_or(|stamp| stamp.size != size) {
                return Ok(Some(Damage::Length(name)));
            }
        }
        if durable::sha256(&tar)? != *diff_id.digest().as_bytes() {
            return Ok(Some(Damage::Digest));
        }
        if durable::blake3(&index)?.to_string() != description.index_digest {
            return Ok(Some(Damage::Index("its bytes have changed".to_owned())));
        }
        let described = Index::open(&index, &tar).and_then(|index| describes(index, diff_id));
        Ok(match described {
            Ok(None) => None,
            Ok(Some(what)) => Some(Damage::Index(what)),
            Err(error) => Some(Damage::Index(error.to_string())),
        })
    }

    /// What is wrong with a form of a layer that is not damaged itself.
    fn form_damage(&self, diff_id: &DiffId, form: Form) -> Result<Option<Damage>, Error> {
        let Some(layer) = self.store.layers().get(diff_id)? else {
            return Ok(None);
        };
        let Some(directory) = layer.form(form) else {
            return Ok(None);
        };
        let compared = Index::open(&layer.index(), &layer.tar())
            .and_then(|index| layer::compare(&index, &directory, self.unpacking));
        let what = match compared {
            Ok(None) => return Ok(None),
            Ok(Some((path, difference))) => format!("`{path}` {difference}"),
            Err(error) => error.to_string(),
        };
        Ok(Some(Damage::Form(what)))
    }

    fn blobs(&mut self) -> Result<(), Error> {
        for (digest, path) in self.store.blobs().names()? {
            let Some(bytes) = record::bytes(&path)? else {
                continue;
            };
            if layer::Digest::of(&bytes) != digest {
                self.note(format!("blob {digest}"), Damage::Digest, |store| {
                    store.discard(&path).map(|()| true)
                })?;
            }
        }
        Ok(())
    }

    /// Images that can be read and lack something. A layer that was just dropped is gone for them too.
    fn images(&mut self) -> Result<(), Error> {
        self.each::<images::Image>(Bucket::Images, "image")?;
        let still = self.store.share_roots()?;
        let images = self.store.images().list()?;
        self.checked.images += images.len();
        let lacking = images.into_iter().filter_map(|named| {
            let damage = self.image_damage(&named)?;
            Some((named, damage))
        });
        let lacking: Vec<_> = lacking.collect();
        drop(still);
        for (NamedImage { image, tags }, damage) in lacking {
            let name = tags.first().map(|tag| tag.name.clone());
            let name = name.unwrap_or_else(|| image.id.to_string());
            self.note(format!("image {name}"), damage, |store| {
                let _alone = store.reserve_roots()?;
                store.images().remove(&image.id).map(|()| true)
            })?;
        }
        Ok(())
    }

    fn image_damage(&self, NamedImage { image, tags }: &NamedImage) -> Option<Damage> {
        let layers = self.store.layers();
        let lost = image.layers.iter().find(|layer| !layers.contains(layer));
        match lost {
            // Without a name it is a cache entry, of which layers may go one by one.
            Some(_) if tags.is_empty() => None,
            Some(layer) => Some(Damage::NoLayer(*layer)),
            None => {
                let mut documents = std::iter::once(&image.id).chain(&image.documents);
                let are_there = documents.all(|document| self.store.blobs().contains(document));
                (!are_there).then_some(Damage::NoConfig)
            }
        }
    }

    fn names(&mut self) -> Result<(), Error> {
        self.each::<images::Tag>(Bucket::Tags, "name")?;
        let still = self.store.share_roots()?;
        let (mut imageless, mut without_manifest) = (Vec::new(), Vec::new());
        for tag in self.store.images().tags()? {
            if self.store.images().get(&tag.image)?.is_none() {
                imageless.push(tag);
            } else if tag
                .document
                .is_some_and(|document| !self.store.blobs().contains(&document))
            {
                without_manifest.push(tag);
            }
        }
        drop(still);
        for tag in imageless {
            self.note(format!("name {}", tag.name), Damage::NoImage, |store| {
                store.images().untag(&tag.name).map(|_| true)
            })?;
        }
        for tag in without_manifest {
            self.note(format!("name {}", tag.name), Damage::NoManifest, |store| {
                store.images().forget_document(&tag).map(|()| true)
            })?;
        }
        Ok(())
    }

    fn records(&mut self) -> Result<(), Error> {
        self.each::<actions::Chain>(Bucket::Actions, "result of a step")?;
        self.each::<actions::Chain>(Bucket::Contents, "result of an operation")?;
        self.each::<layers::First>(Bucket::Equal, "first layer of a content")?;
        self.each::<transfers::Transfer>(Bucket::Transfers, "blob of a layer")?;
        self.each::<transfers::Transfer>(Bucket::Origins, "layer of a blob")?;
        self.each::<transfers::Location>(Bucket::Locations, "repository of a blob")?;
        self.each::<downloads::Downloaded>(Bucket::Downloads, "download")?;
        self.each::<mounts::Name>(Bucket::Pins, "pin")?;
        self.each::<builds::Build<serde_json::Value>>(Bucket::Builds, "build")?;
        self.unframed(Bucket::Inputs, "inputs of a step", builds::are_inputs)?;
        self.unframed(Bucket::Contexts, "context", context_memory::is_whole)
    }

    /// The files of a bucket of other records that are not whole.
    fn unframed(
        &mut self,
        bucket: Bucket,
        what: &str,
        is_whole: fn(&Path) -> bool,
    ) -> Result<(), Error> {
        for path in files(&self.store.directory(bucket))? {
            if !is_whole(&path) && path.exists() && !is_whole(&path) {
                self.note(object(what, &path), Damage::Record, |store| {
                    store.discard(&path).map(|()| true)
                })?;
            }
        }
        Ok(())
    }

    fn mounts(&mut self) -> Result<(), Error> {
        for directory in entries(&self.store.directory(Bucket::Mounts))? {
            let name = record::read::<mounts::Name>(&directory.join("id"))?;
            if directory.exists() && !name.is_some_and(|name| is_in_place(&name, &directory)) {
                let object = object("cache mount", &directory);
                self.note(object, Damage::Record, |store| {
                    store.discard(&directory).map(|()| true)
                })?;
            }
        }
        Ok(())
    }

    fn containers(&mut self, roots: &dyn Fn() -> Result<Roots, Error>) -> Result<(), Error> {
        // Nobody takes the layers of one that goes meanwhile.
        let _still = self.store.share_roots()?;
        for (name, _, layers) in &roots()?.containers {
            let lost = layers
                .iter()
                .find(|layer| !self.store.layers().contains(layer));
            if let Some(layer) = lost {
                self.checked.problems.push(Problem {
                    object: format!("container {name}"),
                    damage: Damage::NoLayer(*layer),
                    repaired: false,
                });
            }
        }
        Ok(())
    }

    /// The records of a bucket that cannot be read, or are under another's name.
    fn each<R: Record>(&mut self, bucket: Bucket, what: &str) -> Result<(), Error> {
        for path in files(&self.store.directory(bucket))? {
            let damage = || {
                Ok::<_, Error>(match record::read::<R>(&path)? {
                    None => Some(Damage::Record),
                    Some(record) if !is_in_place(&record, &path) => Some(Damage::Place),
                    Some(_) => None,
                })
            };
            // One that was removed or renewed meanwhile is looked at again.
            if damage()?.is_none() || !path.exists() {
                continue;
            }
            if let Some(damage) = damage()? {
                self.note(object(what, &path), damage, |store| {
                    store.discard(&path).map(|()| true)
                })?;
            }
        }
        Ok(())
    }
}

/// Whether a record has the name that follows from what it says.
fn is_in_place<R: Record>(record: &R, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    record.file_name().is_none_or(|right| name == &*right)
}

fn object(what: &str, path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("{what} {name}")
}

/// All files below a directory.
fn files(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for path in entries(&directory)? {
            if path.is_dir() {
                pending.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// What an index says of the tar that is not so: it is another tar's, or a file's bytes are elsewhere.
fn describes(index: Index, diff_id: &DiffId) -> layer::Result<Option<String>> {
    if index.diff_id() != *diff_id {
        return Ok(Some("it is that of another tar".to_owned()));
    }
    let view = View::new(vec![Arc::new(index) as Arc<dyn layer::LayerTree>]);
    let mut wrong = None;
    view.walk(&view.root()?, |path, node| {
        if node.kind() == EntryKind::File && wrong.is_none() && !has_its_digest(&node.file()?)? {
            wrong = Some(format!(
                "the bytes of `{}` are others",
                path.as_path().display()
            ));
        }
        Ok(())
    })?;
    Ok(wrong)
}

fn has_its_digest(file: &FileSource) -> layer::Result<bool> {
    let mut hasher = blake3::Hasher::new();
    let read = hasher.update_reader(file.open()?);
    Ok(read.is_ok() && hasher.finalize().as_bytes() == file.digest()?.as_bytes())
}

#[cfg(test)]
mod tests;
