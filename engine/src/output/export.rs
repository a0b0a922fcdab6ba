//! Images to the store, to registries and to archives.

use image::Reference;
use image::archive::{ArchiveFormat, ArchiveImage, ArchiveOptions, write_archive, write_layout};
use image::manifest::Descriptor;

use super::attributes::{ArchivePlace, Form};
use super::write::{Export, Exported, done, part};
use crate::error::ImageError;
use crate::images::{
    Origin, Published, RowObserver, Scratch, Stop, Stoppable, StoreSource, blocking,
};
use crate::progress::Row;

impl Export<'_> {
    /// Puts the image or index into the store, sends it to registries, or both.
    pub(super) async fn image(
        &mut self,
        names: &[Reference],
        store: bool,
        push: Option<Form>,
        row: &Row,
    ) -> Result<Exported, ImageError> {
        if store {
            self.keep(names, row)?;
        }
        let pushed = match push {
            Some(form) => Some(self.push(names, form, row).await?),
            None => None,
        };
        if store && pushed.is_some() {
            self.name(names)?;
        }
        Ok(Exported {
            manifest: pushed,
            is_stored: store,
            names: names.to_vec(),
        })
    }

    fn keep(&self, names: &[Reference], row: &Row) -> Result<(), ImageError> {
        // The layers are there, as each step has put its own into the store.
        done(row, "exporting layers");
        let _recorded = self.stored.record(self.engine)?;
        done(row, format!("writing image {}", self.stored.id));
        self.name(names)?;
        for name in names {
            done(row, format!("naming to {name}"));
        }
        Ok(())
    }

    /// Gives the image its names, with what they lead to in registries.
    fn name(&self, names: &[Reference]) -> Result<(), ImageError> {
        for name in names {
            let pushed = self.pushed.iter().rev().find(|(known, _)| known == name);
            let published = pushed.map(|(_, digest)| Published {
                target: *digest,
                document: None,
            });
            self.engine
                .name_image(name, &self.stored.id, published, Origin::User)?;
        }
        Ok(())
    }

    async fn push(
        &mut self,
        names: &[Reference],
        form: Form,
        row: &Row,
    ) -> Result<Descriptor, ImageError> {
        let (encoding, types) = (form.encoding, form.media_types);
        let send = self.engine.send(&self.content, names, encoding, types, row);
        let pushed = part(row, "pushing layers", send).await?;
        for name in names {
            done(
                row,
                format!("pushing manifest for {name}@{}", pushed.digest),
            );
            self.pushed.push((name.clone(), pushed.digest));
        }
        Ok(pushed)
    }

    /// Writes the image to an archive.
    pub(super) async fn archive(
        &self,
        names: Vec<Reference>,
        format: ArchiveFormat,
        to: &ArchivePlace,
        form: Form,
        row: &Row,
    ) -> Result<Exported, ImageError> {
        let scratch = Scratch::new(self.engine.store())?;
        let options = ArchiveOptions {
            format,
            encoding: form.encoding,
            media_types: form.media_types,
            created: crate::images::created(&self.finished.images()[0].config),
            scratch: scratch.path().to_owned(),
        };
        let images = [ArchiveImage {
            image: self.content.clone(),
            names: names.clone(),
        }];
        let (source, observer) = (
            StoreSource::for_archive(self.engine),
            RowObserver::new(row.clone()),
        );
        let manifests = match to {
            ArchivePlace::Directory(directory) => {
                let directory = directory.clone();
                let write = blocking(move || {
                    Ok(write_layout(
                        &images, &options, &source, &observer, &directory,
                    )?)
                });
                part(row, "sending directory", write).await?
            }
            ArchivePlace::Tar(to) => {
                let (target, stop) = (to.create()?, Stop::default());
                let (out, flag) = (target.file(), stop.flag());
                let write = blocking(move || {
                    let mut out = Stoppable { out, stop: flag };
                    Ok(write_archive(
                        &images, &options, &source, &observer, &mut out,
                    )?)
                });
                let manifests = part(row, "sending tarball", write).await?;
                target.finish()?;
                manifests
            }
        };
        Ok(Exported {
            manifest: manifests.into_iter().next(),
            is_stored: false,
            names,
        })
    }
}
