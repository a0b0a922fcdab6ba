//! What takes space in a store, since when it has not been used, and why it is kept.
//!
//! A snapshot is taken without locks: what others add or remove meanwhile may be missing or still in it. It is what
//! [`policy`](crate::policy) decides on; [`collect`](crate::collect) sees to it that nothing goes that came into use since.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use layer::{DiffId, Digest};

use crate::error::{Error, IoContext as _, optional};
use crate::store::entries;
use crate::{Bucket, NamedImage, Store, tree};

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A layer.
    Layer,
    /// The directory of a cache mount.
    CacheMount,
    /// What is known of a build context's files.
    Context,
}

impl Kind {
    /// BuildKit's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Layer => "regular",
            Self::CacheMount => "exec.cachemount",
            Self::Context => "source.local",
        }
    }
}

/// Why an item is kept, however old it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// An image needs it: its name.
    Image(String),
    /// A container needs it: its name.
    Container(String),
    /// Somebody uses it now.
    InUse,
    /// The user has said so.
    Pinned,
}

/// Something that takes space and can be removed on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Its name: a diff ID, the id of a cache mount, a hash.
    pub id: String,
    /// Bytes that it takes on the disk.
    pub size: u64,
    /// When it was made.
    pub created: SystemTime,
    /// When it was used last, to the hour.
    pub used: SystemTime,
    /// Why it must stay; empty for what may go.
    pub kept: Vec<Kept>,
}

impl Item {
    /// Whether something keeps it.
    pub fn is_needed(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Whether more than one image, container or user keep it.
    pub fn is_shared(&self) -> bool {
        self.kept.len() > 1
    }

    /// Whether it could be removed if nobody used it now.
    pub(crate) fn is_loose(&self) -> bool {
        self.kept.iter().all(|why| *why == Kept::InUse)
    }
}

/// What needs layers beyond the store's own images.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    /// Names of containers, with the image and the layers of each.
    pub containers: Vec<(String, Digest, Vec<DiffId>)>,
}

/// Which images and containers need which layers and documents.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    pub(crate) layers: BTreeMap<DiffId, Vec<Kept>>,
    pub(crate) images: BTreeMap<Digest, Vec<Kept>>,
}

/// All that takes space.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Item by item.
    pub items: Vec<Item>,
    /// Bytes of records, which go with what they are about.
    pub records: u64,
    /// Bytes of what was removed and is not yet deleted, and of what running commands are making.
    pub transient: u64,
}

impl Usage {
    /// Takes the snapshot. `named` tells whether a name keeps its image.
    pub fn take(store: &Store, roots: &Roots, named: impl Fn(&str) -> bool) -> Result<Self, Error> {
        let needs = Needs::find(store, roots, named)?;
        let mut items = Vec::new();
        for diff_id in store.layers().names()? {
            let directory = store.layers().directory(&diff_id);
            let mut kept = needs.layers.get(&diff_id).cloned().unwrap_or_default();
            if kept.is_empty() && store.layers().is_used(&diff_id)? {
                kept.push(Kept::InUse);
            }
            let record = directory.join("layer");
            let id = diff_id.to_string();
            items.extend(item(Kind::Layer, id, &directory, &record, kept)?);
        }
        items.extend(mounts(store)?);
        for path in entries(&store.directory(Bucket::Contexts))? {
            let id = path.file_name().unwrap_or_default().to_string_lossy();
            items.extend(item(
                Kind::Context,
                id.into_owned(),
                &path,
                &path,
                Vec::new(),
            )?);
        }
        Ok(Self {
            items,
            records: total(store, &RECORDS)?,
            transient: total(store, &TRANSIENT)?,
        })
    }
}

/// The buckets of what is not whole yet, or not deleted yet.
const TRANSIENT: [Bucket; 4] = [
    Bucket::Temporary,
    Bucket::Uppers,
    Bucket::Trash,
    Bucket::Partial,
];

/// The buckets of records that are no items.
const RECORDS: [Bucket; 13] = [
    Bucket::Builds,
    Bucket::BuildLogs,
    Bucket::Inputs,
    Bucket::Blobs,
    Bucket::Images,
    Bucket::Tags,
    Bucket::Actions,
    Bucket::Contents,
    Bucket::Operations,
    Bucket::Equal,
    Bucket::Transfers,
    Bucket::Origins,
    Bucket::Downloads,
];

impl Needs {
    pub(crate) fn find(
        store: &Store,
        roots: &Roots,
        named: impl Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let mut needs = Self::default();
        for NamedImage { image, tags } in store.images().list()? {
            for tag in tags.iter().filter(|tag| named(&tag.name)) {
                needs.add(image.id, &image.layers, &Kept::Image(tag.name.clone()));
            }
        }
        for (name, image, layers) in &roots.containers {
            needs.add(*image, layers, &Kept::Container(name.clone()));
        }
        Ok(needs)
    }

    fn add(&mut self, image: Digest, layers: &[DiffId], why: &Kept) {
        self.images.entry(image).or_default().push(why.clone());
        for layer in layers {
            let kept = self.layers.entry(*layer).or_default();
            if !kept.contains(why) {
                kept.push(why.clone());
            }
        }
    }
}

fn mounts(store: &Store) -> Result<Vec<Item>, Error> {
    let mut items = Vec::new();
    for (id, data) in store.mounts().list()? {
        let mut kept = Vec::new();
        if store.mounts().is_pinned(&id) {
            kept.push(Kept::Pinned);
        }
        if store.mounts().is_used(&id)? {
            kept.push(Kept::InUse);
        }
        let directory = data.parent().unwrap_or(&data).to_owned();
        let record = directory.join("id");
        items.extend(item(Kind::CacheMount, id, &directory, &record, kept)?);
    }
    Ok(items)
}

/// An item, unless it has gone meanwhile. `record` is the file whose time says when it was used.
fn item(
    kind: Kind,
    id: String,
    path: &Path,
    record: &Path,
    kept: Vec<Kept>,
) -> Result<Option<Item>, Error> {
    let Some(metadata) = optional(fs::symlink_metadata(record)).at("read", record)? else {
        return Ok(None);
    };
    let used = metadata.modified().at("read", record)?;
    Ok(Some(Item {
        kind,
        id,
        size: tree::size(path).at("read", path)?,
        created: metadata.created().unwrap_or(used).min(used),
        used,
        kept,
    }))
}

fn total(store: &Store, buckets: &[Bucket]) -> Result<u64, Error> {
    buckets
        .iter()
        .map(|bucket| {
            let directory = store.directory(*bucket);
            tree::size(&directory).at("read", &directory)
        })
        .sum()
}
