//! Images and their names.
//!
//! An image is a record under its identifier, the digest of its config; a name is a record that points to one. Names
//! are hashed to file names, so they may hold any characters.

use std::path::PathBuf;
use std::time::SystemTime;

use layer::{DiffId, Digest};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::record::{self, Record};
use crate::store::entries;
use crate::{Bucket, Store, names};

/// How many digits an identifier has at most.
const ID_DIGITS: usize = 64;

/// The images of a store.
#[derive(Debug, Clone, Copy)]
pub struct Images<'a> {
    store: &'a Store,
}

/// An image, or an index of images for several platforms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its identifier: the digest of its config or of the index, which is among the blobs.
    pub id: Digest,
    /// Its layers, base first; of an index those of all its images.
    pub layers: Vec<DiffId>,
    /// Of an index, the manifests and configs of its images, which are among the blobs. None of an image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Digest>,
    /// When it came into the store.
    pub stored: SystemTime,
}

/// A name of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The name, normalised by the caller.
    pub name: String,
    /// The image.
    pub image: Digest,
    /// The manifest or index that the name leads to in its registry, as far as is known.
    pub manifest: Option<Digest>,
    /// The manifest that the image came with, if it did, which is among the blobs.
    pub document: Option<Digest>,
    /// When the name was given.
    pub tagged: SystemTime,
}

/// An image with all its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// The image.
    pub image: Image,
    /// Its names, sorted; none for an image whose name went to another.
    pub tags: Vec<Tag>,
}

impl Image {
    /// Whether it is an index of images.
    pub fn is_index(&self) -> bool {
        !self.documents.is_empty()
    }
}

impl Record for Image {
    const KIND: &'static str = "image";
    const VERSION: u32 = 1;

    fn file_name(&self) -> Option<String> {
        Some(names::digits(&self.id))
    }
}

impl Record for Tag {
    const KIND: &'static str = "tag";
    const VERSION: u32 = 1;

    fn file_name(&self) -> Option<String> {
        Some(names::hashed(&self.name))
    }
}

impl<'a> Images<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Keeps an image, in place of an earlier record of it. What it needs must be durable, the record is then.
    pub fn put(self, image: &Image) -> Result<(), Error> {
        let path = self.image_path(&names::digits(&image.id));
        self.store.write_durable(&path, &record::encode(image)?)
    }

    /// Whether the record of an image is there and outlasts a power failure, if that is wanted. One that is there and
    /// does not was written by somebody who was killed, is still at it, or did without.
    pub fn is_durable(self, id: &Digest) -> bool {
        self.store.outlasts(&self.image_path(&names::digits(id)))
    }

    /// The same for a name.
    pub fn is_name_durable(self, name: &str) -> bool {
        self.store.outlasts(&self.tag_path(name))
    }

    /// The image with this identifier.
    pub fn get(self, id: &Digest) -> Result<Option<Image>, Error> {
        record::read(&self.image_path(&names::digits(id)))
    }

    /// Gives an image a name, which any other image that had it loses. The image must be durable, the name is then.
    pub fn tag(self, tag: &Tag) -> Result<(), Error> {
        let path = self.tag_path(&tag.name);
        self.store.write_durable(&path, &record::encode(tag)?)
    }

    /// Takes a name away; what it meant, if anything.
    pub fn untag(self, name: &str) -> Result<Option<Tag>, Error> {
        let tag = self.named(name)?;
        self.store.discard(&self.tag_path(name))?;
        if tag.is_some() {
            self.store.note_growth();
        }
        Ok(tag)
    }

    /// Has a name lead to no manifest document, unless it has become another's meanwhile.
    pub(crate) fn forget_document(self, tag: &Tag) -> Result<(), Error> {
        let _alone = self.store.reserve_roots()?;
        if self.named(&tag.name)?.as_ref() != Some(tag) {
            return Ok(());
        }
        self.tag(&Tag {
            document: None,
            ..tag.clone()
        })
    }

    /// What a name means.
    pub fn named(self, name: &str) -> Result<Option<Tag>, Error> {
        let tag = record::read::<Tag>(&self.tag_path(name))?;
        Ok(tag.filter(|tag| tag.name == name))
    }

    /// The image of this name or, if there is none, of this identifier: whole or only its first digits, with or
    /// without `sha256:`.
    pub fn resolve(self, name_or_id: &str) -> Result<Option<Image>, Error> {
        match self.named(name_or_id)? {
            Some(tag) => self.get(&tag.image),
            None => self.by_prefix(name_or_id),
        }
    }

    /// All images, the latest first.
    pub fn list(self) -> Result<Vec<NamedImage>, Error> {
        let tags = self.tags()?;
        let mut images = Vec::new();
        for path in entries(&self.store.directory(Bucket::Images))? {
            let Some(image) = record::read::<Image>(&path)? else {
                continue;
            };
            let tags = tags
                .iter()
                .filter(|tag| tag.image == image.id)
                .cloned()
                .collect();
            images.push(NamedImage { image, tags });
        }
        images.sort_by(|one, other| {
            (other.image.stored.cmp(&one.image.stored))
                .then_with(|| one.image.id.to_string().cmp(&other.image.id.to_string()))
        });
        Ok(images)
    }

    /// All names, sorted.
    pub fn tags(self) -> Result<Vec<Tag>, Error> {
        let mut tags = Vec::new();
        for path in entries(&self.store.directory(Bucket::Tags))? {
            tags.extend(record::read::<Tag>(&path)?);
        }
        tags.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(tags)
    }

    /// Removes an image and all its names, but none of its blobs and layers.
    pub fn remove(self, id: &Digest) -> Result<(), Error> {
        for tag in self.tags()?.iter().filter(|tag| tag.image == *id) {
            self.untag(&tag.name)?;
        }
        self.store.discard(&self.image_path(&names::digits(id)))
    }

    /// The only image whose identifier begins with these digits.
    fn by_prefix(self, prefix: &str) -> Result<Option<Image>, Error> {
        let digits = prefix.strip_prefix("sha256:").unwrap_or(prefix);
        let plausible = !digits.is_empty() && digits.len() <= ID_DIGITS;
        if !plausible
            || !digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Ok(None);
        }
        if digits.len() == ID_DIGITS {
            return record::read(&self.image_path(digits));
        }
        let paths = entries(&self.store.directory(Bucket::Images))?;
        let mut fitting = paths.iter().filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(digits))
        });
        match (fitting.next(), fitting.next()) {
            (None, _) => Ok(None),
            (Some(path), None) => record::read(path),
            (Some(_), Some(_)) => Err(Error::AmbiguousId {
                prefix: prefix.to_owned(),
            }),
        }
    }

    fn image_path(self, digits: &str) -> PathBuf {
        self.store.directory(Bucket::Images).join(digits)
    }

    fn tag_path(self, name: &str) -> PathBuf {
        self.store.directory(Bucket::Tags).join(names::hashed(name))
    }
}

#[cfg(test)]
mod tests;
