//! Gives images names and takes them away, and with the last name the image.

use cache::{Image, Tag};
use image::Reference;
use layer::Digest;

use super::find::Found;
use super::names;
use super::record::{Documents, Origin};
use crate::engine::Engine;
use crate::error::ImageError;

/// What removing an image took away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// A name.
    Untagged(Reference),
    /// The image of this id.
    Deleted(Digest),
}

impl Engine {
    /// Gives the image `name` another name, which any other image loses.
    pub fn tag(&self, name: &str, new: &Reference) -> Result<(), ImageError> {
        if new.digest().is_some() {
            return Err(ImageError::FixedName(new.familiar()));
        }
        let image = self.find_image(name)?.image;
        let parts = image.documents.iter();
        let parts = parts.map(|digest| Ok((*digest, self.document(name, digest)?)));
        let documents = Documents {
            id: &image.id,
            config: &self.document(name, &image.id)?,
            manifest: None,
            parts: &parts.collect::<Result<Vec<_>, ImageError>>()?,
        };
        let _recorded = self.record_image(documents, &image.layers)?;
        self.name_image(new, &image.id, None, Origin::User)
    }

    /// Removes a name and, with its last name, the image; by its id, an image with all its names. `container` tells
    /// which container uses an image: one that is in use, or is removed by id with several names, stays unless
    /// `force`. Layers stay.
    pub fn remove_image(
        &self,
        name: &str,
        force: bool,
        container: impl Fn(&Digest) -> Option<String>,
    ) -> Result<Vec<Removal>, ImageError> {
        let _collecting = self.collecting();
        let _alone = self.store().reserve_roots()?;
        let Found { image, tag } = self.find_image(name)?;
        let mut tags = self.tags_of(&image.id)?;
        tags.retain(names::is_users);
        let by_id = tag.is_none();
        if let Some(tag) = &tag
            && tags.len() > 1
        {
            return self.untag(std::slice::from_ref(tag));
        }
        if by_id && tags.len() > 1 && !force {
            return Err(ImageError::SeveralNames(name.to_owned()));
        }
        if !force && let Some(container) = self.user_of(name, &image, &container) {
            return Err(ImageError::InUse {
                image: name.to_owned(),
                container,
            });
        }
        let mut removals = self.untag(&tags)?;
        if self.tags_of(&image.id)?.is_empty() {
            self.store().images().remove(&image.id)?;
            self.store().blobs().remove(&image.id)?;
            removals.push(Removal::Deleted(image.id));
        }
        Ok(removals)
    }

    /// A container of an image, or of one that its index leads to.
    fn user_of(
        &self,
        name: &str,
        image: &Image,
        container: impl Fn(&Digest) -> Option<String>,
    ) -> Option<String> {
        if !image.is_index() {
            return container(&image.id);
        }
        // An index that has lost its images can be removed all the same.
        let variants = self.variants(name, image).unwrap_or_default();
        variants.iter().find_map(|variant| container(&variant.id))
    }

    fn untag(&self, tags: &[Tag]) -> Result<Vec<Removal>, ImageError> {
        let mut removals = Vec::with_capacity(tags.len());
        for tag in tags {
            self.store().images().untag(&tag.name)?;
            removals.extend(names::reference(tag).map(Removal::Untagged));
        }
        Ok(removals)
    }
}
