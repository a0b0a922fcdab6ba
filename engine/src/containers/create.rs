//! Making containers.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use cache::Bucket;
use image::{Platform, Reference};

use super::configure::{ChosenImage, CreateRequest, PullPolicy, configure};
use super::error::ContainerError;
use super::names::{self, Names};
use super::state::{ContainerConfig, ContainerDir, ContainerId};
use crate::engine::Engine;
use crate::error::ImageError;
use crate::event::Listener;

/// How many names are made up before it counts as a failure.
const ATTEMPTS: usize = 8;

impl Engine {
    /// Makes a container without starting it. Its image is fetched as the request says, which `listener` is told of.
    pub async fn create_container(
        &self,
        request: &CreateRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<ContainerId, ContainerError> {
        let _collecting = self.collecting();
        let name = request.name.as_deref().map(names::check).transpose()?;
        if let Some(name) = name {
            self.check_free(name)?;
        }
        let mut image = self.choose_image(request, listener).await?;
        let _held = std::mem::take(&mut image.held);
        let config = configure(request, ContainerId::random()?, image)?;
        self.keep_container(config, name)
    }

    /// Refuses a name that is taken, before time goes into fetching an image.
    fn check_free(&self, name: &str) -> Result<(), ContainerError> {
        match names::owner(self.store(), name)? {
            Some(owner) if names::exists(self.store(), &owner) => Err(ContainerError::Conflict {
                name: name.to_owned(),
                id: owner.to_string(),
            }),
            _ => Ok(()),
        }
    }

    async fn choose_image(
        &self,
        request: &CreateRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<ChosenImage, ContainerError> {
        if request.pull != PullPolicy::Always
            && let Some(image) = self.image_here(&request.image)?
        {
            return Ok(image);
        }
        let missing = || ImageError::NotFound(request.image.clone());
        if request.pull == PullPolicy::Never {
            return Err(missing().into());
        }
        let reference: Reference = request.image.parse().map_err(ImageError::from)?;
        let _pulled = self.pull(&reference, listener).await?;
        Ok(self.image_here(&request.image)?.ok_or_else(missing)?)
    }

    /// The image of a name or an id, if the store has it.
    fn image_here(&self, name: &str) -> Result<Option<ChosenImage>, ContainerError> {
        if let Ok(reference) = name.parse::<Reference>()
            && let Some(image) = self.local_image(&reference, &Platform::host())?
        {
            return Ok(Some(ChosenImage {
                id: image.id,
                layers: image.layers,
                config: image.config,
                held: image.held,
            }));
        }
        let Some(image) = self.store().images().resolve(name)? else {
            return Ok(None);
        };
        let variant = self.variant(name, &image, &Platform::host())?;
        Ok(Some(ChosenImage {
            id: variant.id,
            held: self.hold_layers(name, &variant.layers)?,
            layers: variant.layers,
            config: variant.config,
        }))
    }

    /// Puts a new container into the store, whole or not at all.
    fn keep_container(
        &self,
        mut config: ContainerConfig,
        name: Option<&str>,
    ) -> Result<ContainerId, ContainerError> {
        let draft = self.store().temporary_directory()?;
        let id = config.id.clone();
        let kept = self.name_and_place(&mut config, name, &draft);
        if kept.is_err() {
            self.store().discard(&draft)?;
        }
        kept.map(|()| id)
    }

    fn name_and_place(
        &self,
        config: &mut ContainerConfig,
        name: Option<&str>,
        draft: &Path,
    ) -> Result<(), ContainerError> {
        let names = Names::lock(self.store())?;
        match name {
            Some(name) => {
                names.give(name, &config.id)?;
                name.clone_into(&mut config.name);
            }
            None => config.name = made_up_name(&names, &config.id)?,
        }
        ContainerDir::new(draft.to_owned()).create(config)?;
        // From here on it keeps its layers by itself; until then its maker holds them.
        let _roots = self.store().share_roots()?;
        let place = self.container_dir(&config.id);
        publish(draft, place.path())
    }

    /// The directory of the container of an id, be there one or not.
    pub(super) fn container_dir(&self, id: &ContainerId) -> ContainerDir {
        let all = self.store().directory(Bucket::Containers);
        ContainerDir::new(all.join(id.as_str()))
    }
}

fn made_up_name(names: &Names<'_>, id: &ContainerId) -> Result<String, ContainerError> {
    let mut attempt = 0;
    loop {
        let name = names::random(attempt)?;
        attempt += 1;
        match names.give(&name, id) {
            Ok(()) => return Ok(name),
            Err(ContainerError::Conflict { .. }) if attempt < ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
}

/// Renames a directory to its place.
fn publish(draft: &Path, place: &Path) -> Result<(), ContainerError> {
    let published = match (fs::rename(draft, place), place.parent()) {
        (Err(error), Some(parent)) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(parent).and_then(|()| fs::rename(draft, place))
        }
        (published, _) => published,
    };
    published.map_err(|error| ContainerError::io("make", place.display(), error))
}
