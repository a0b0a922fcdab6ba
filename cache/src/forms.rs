//! Layers as directories: the uppers of running steps, and the forms that layers have beside tar and index.

use std::fs;
use std::path::{Path, PathBuf};

use layer::DiffId;

use crate::error::{Error, IoContext as _};
use crate::layers::{is_occupied, range};
use crate::lock::Mode;
use crate::store::entries;
use crate::{Bucket, Layer, Layers, durable};

/// The directory forms of a layer, where it has them beside its tar and index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The overlayfs upper directory that it was made from.
    Upper,
    /// A directory made from its tar, in the form of an overlayfs lower directory.
    Unpacked,
}

/// The private directories of a running step. They stay until they are attached to a layer or discarded; those of a
/// process that has ended are swept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upper {
    /// What holds both; to be given to [`crate::Store::discard`].
    pub directory: PathBuf,
    /// For overlayfs's `upperdir`.
    pub upper: PathBuf,
    /// For overlayfs's `workdir`.
    pub work: PathBuf,
}

/// All forms.
pub(crate) const FORMS: [Form; 2] = [Form::Upper, Form::Unpacked];

impl Form {
    /// The name of a form that was made since the machine was started: others may be torn.
    fn name(self) -> String {
        format!("{}{}", self.prefix(), durable::boot())
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Upper => "upper-",
            Self::Unpacked => "unpacked-",
        }
    }
}

impl Layers<'_> {
    /// New directories for a step to run in.
    pub fn new_upper(self) -> Result<Upper, Error> {
        let directory = self.store.new_directory(Bucket::Uppers)?;
        let [upper, work] = ["upper", "work"].map(|name| directory.join(name));
        for path in [&upper, &work] {
            fs::create_dir(path).at("create", path)?;
        }
        Ok(Upper {
            directory,
            upper,
            work,
        })
    }

    /// Moves a directory, which must lie in the store, into a layer as one of its forms, and gives its new place. If
    /// the layer has this form already, `from` is discarded.
    pub fn attach(self, diff_id: &DiffId, form: Form, from: &Path) -> Result<PathBuf, Error> {
        let directory = self.directory(diff_id);
        if !directory.join("layer").exists() {
            return Err(Error::NoLayer {
                diff_id: diff_id.to_string(),
            });
        }
        let place = directory.join(form.name());
        self.discard_stale_forms(&directory)?;
        // Renaming onto an empty directory would succeed, which is right: the empty form of an empty layer.
        match fs::rename(from, &place) {
            Err(error) if is_occupied(&error) => self.store.discard(from)?,
            result => result.at("create", &place)?,
        }
        Ok(place)
    }

    /// Removes a form of a layer unless the layer is in use; whether it is gone.
    pub(crate) fn remove_form(self, diff_id: &DiffId, form: Form) -> Result<bool, Error> {
        let Some(_alone) = self.store.try_lock(range(diff_id), Mode::Exclusive)? else {
            return Ok(false);
        };
        self.store.discard(&self.form(diff_id, form))?;
        Ok(true)
    }

    /// Where a form of a layer is or would be.
    pub(crate) fn form(self, diff_id: &DiffId, form: Form) -> PathBuf {
        self.directory(diff_id).join(form.name())
    }

    /// Removes the forms of a layer that were made before the machine was started, and may be torn.
    fn discard_stale_forms(self, directory: &Path) -> Result<(), Error> {
        for path in entries(directory)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_form = FORMS.iter().any(|form| name.starts_with(form.prefix()));
            if is_form && FORMS.iter().all(|form| form.name() != name) {
                self.store.discard(&path)?;
            }
        }
        Ok(())
    }
}

impl Layer {
    /// One of its directory forms, if it has it.
    pub fn form(&self, form: Form) -> Option<PathBuf> {
        Some(self.directory.join(form.name())).filter(|path| path.exists())
    }
}
