//! Finds images of the store by what people call them.

use cache::{Image, Tag};
use image::Reference;

use super::names;
use crate::engine::Engine;
use crate::error::ImageError;

/// An image and how it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) image: Image,
    /// The name, where it was found by one.
    pub(super) tag: Option<Tag>,
}

impl Engine {
    /// The image of a name, a name with a digest, an id or the unique beginning of one.
    pub(super) fn find_image(&self, text: &str) -> Result<Found, ImageError> {
        let reference = text.parse::<Reference>();
        if let Ok(reference) = &reference
            && let Some(tag) = self.users_tag(reference)?
            && let Some(image) = self.store().images().get(&tag.image)?
        {
            let tag = Some(tag);
            return Ok(Found { image, tag });
        }
        match self.store().images().resolve(text)? {
            Some(image) => Ok(Found { image, tag: None }),
            None => Err(ImageError::NotFound(text.to_owned())),
        }
    }

    /// The user's name that a reference means.
    fn users_tag(&self, reference: &Reference) -> Result<Option<Tag>, ImageError> {
        if let Some(tag) = self.store().images().named(&names::of(reference))? {
            return Ok(Some(tag));
        }
        self.fixed_tag(reference)
    }

    /// The name that a build means by a reference: of the user's and that of earlier builds, the later one.
    pub(super) fn base_tag(&self, reference: &Reference) -> Result<Option<Tag>, ImageError> {
        let images = self.store().images();
        let users = images.named(&names::of(reference))?;
        let builds = images.named(&names::of_base(reference))?;
        match users.into_iter().chain(builds).max_by_key(|tag| tag.tagged) {
            Some(tag) => Ok(Some(tag)),
            None => self.fixed_tag(reference),
        }
    }

    /// Some name in the same repository that leads to the digest of a reference, if it has one.
    fn fixed_tag(&self, reference: &Reference) -> Result<Option<Tag>, ImageError> {
        let Some(digest) = reference.digest() else {
            return Ok(None);
        };
        let tags = self.store().images().tags()?;
        Ok(tags.into_iter().find(|tag| {
            tag.manifest.as_ref() == Some(digest)
                && names::any_reference(tag)
                    .is_some_and(|known| known.repository() == reference.repository())
        }))
    }
}
