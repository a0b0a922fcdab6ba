//! Gives images names and takes them away, and with the last name the image.

use cache::Tag;
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
        let found = self.find_image(name)?;
        let (config, _) = self.image_config(name, &found.image.id)?;
        let documents = Documents {
            id: &found.image.id,
            config: &config,
            manifest: None,
        };
        let _recorded = self.record_image(documents, &found.image.layers)?;
        self.name_image(new, &found.image.id, None, Origin::User)
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
        if !force && let Some(container) = container(&image.id) {
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

    fn untag(&self, tags: &[Tag]) -> Result<Vec<Removal>, ImageError> {
        let mut removals = Vec::with_capacity(tags.len());
        for tag in tags {
            self.store().images().untag(&tag.name)?;
            removals.extend(names::reference(tag).map(Removal::Untagged));
        }
        Ok(removals)
    }
}
