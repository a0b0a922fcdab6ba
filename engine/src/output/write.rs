//! Writes the outputs of a build, one after another.

use image::Reference;
use image::manifest::Descriptor;
use image::{Content, LocalImage};
use layer::Digest;

use super::attributes::Output;
use super::stored::{Stored, diff_ids};
use crate::build::{BuildRequest, Built, Finished, FinishedImage};
use crate::engine::Engine;
use crate::error::{BuildError, ImageError};
use crate::event::Phase;
use crate::progress::{Progress, Row};

/// What a build came to on its way out.
pub(super) struct Export<'a> {
    pub(super) engine: &'a Engine,
    pub(super) finished: &'a Finished,
    /// The same as it is sent and written.
    pub(super) content: Content,
    /// The same as the store has it.
    pub(super) stored: &'a Stored,
    /// What names lead to in registries, as far as outputs have been written.
    pub(super) pushed: Vec<(Reference, Digest)>,
}

/// What came of an output.
#[derive(Debug, Default)]
pub(super) struct Exported {
    /// The manifest or index, if it has one.
    pub(super) manifest: Option<Descriptor>,
    /// Whether it is in the store.
    pub(super) is_stored: bool,
    /// The names that the image was given.
    pub(super) names: Vec<Reference>,
}

/// Refuses outputs that cannot take what a request makes, before anything is built for them.
pub(crate) fn check_outputs(request: &BuildRequest) -> Result<(), ImageError> {
    let images = request.all_platforms().len();
    let mut outputs = request.outputs.iter();
    outputs.try_for_each(|output| output.check(request.makes_index(), images))
}

impl Engine {
    /// Writes what the request wants of a build's result; without a wish, it goes into the store.
    pub(crate) async fn write_outputs(
        &self,
        request: &BuildRequest,
        finished: &Finished,
        progress: &Progress,
    ) -> Result<Built, BuildError> {
        let stored = Stored::new(self, finished)?;
        let mut export = Export {
            engine: self,
            finished,
            content: content(finished),
            stored: &stored,
            pushed: Vec::new(),
        };
        let to_store = [Output::Image {
            names: Vec::new(),
            store: true,
            push: None,
        }];
        let outputs: &[Output] = match &*request.outputs {
            [] => &to_store,
            outputs => outputs,
        };
        let (mut names, mut manifest, mut is_stored) = (Vec::new(), None, false);
        for output in outputs {
            let exported = export.write(output, &request.tags, progress).await?;
            names.extend(exported.names);
            manifest = exported.manifest.or(manifest);
            is_stored |= exported.is_stored;
        }
        let manifest = manifest.unwrap_or_else(|| stored.pointer.clone());
        names.sort();
        names.dedup();
        Ok(Built {
            id: match finished {
                Finished::Index(_) if !is_stored => manifest.digest,
                _ => stored.id,
            },
            config: match finished {
                Finished::Image(image) => Some(image.id),
                Finished::Index(_) => None,
            },
            manifest: manifest.digest,
            manifest_size: manifest.size,
            media_type: manifest.media_type,
            tags: names,
        })
    }
}

impl Export<'_> {
    async fn write(
        &mut self,
        output: &Output,
        tags: &[Reference],
        progress: &Progress,
    ) -> Result<Exported, ImageError> {
        let Some(title) = title(output) else {
            return Ok(Exported::default());
        };
        let row = progress.start(title);
        let _spending = row.spend(Phase::Output);
        let names = |own: &[Reference]| if own.is_empty() { tags } else { own }.to_vec();
        let written = match output {
            Output::Image {
                names: own,
                store,
                push,
            } => {
                let names = names(own);
                self.image(&names, *store, *push, &row).await
            }
            Output::Archive {
                names: own,
                format,
                to,
                form,
            } => self.archive(names(own), *format, to, *form, &row).await,
            Output::Tar { to, split } => self.tar(to, *split, &row).await,
            Output::Local { to, split } => self.directory(to, *split, &row).await,
            Output::CacheOnly => Ok(Exported::default()),
        };
        row.finish(written)
    }
}

/// A result as it is sent and written.
fn content(finished: &Finished) -> Content {
    let local = |image: &FinishedImage| LocalImage {
        config: image.bytes.clone(),
        layers: diff_ids(image),
    };
    match finished {
        Finished::Image(image) => local(image).into(),
        Finished::Index(images) => {
            let images = images.iter();
            let images = images.map(|image| (image.platform.clone(), local(image)));
            Content::Index(images.collect())
        }
    }
}

/// What the row of an output says.
fn title(output: &Output) -> Option<&'static str> {
    use image::archive::ArchiveFormat;
    match output {
        Output::Image { .. } => Some("exporting to image"),
        Output::Archive {
            format: ArchiveFormat::Oci,
            ..
        } => Some("exporting to oci image format"),
        Output::Archive {
            format: ArchiveFormat::Docker,
            ..
        } => Some("exporting to docker image format"),
        Output::Tar { .. } => Some("exporting to client tarball"),
        Output::Local { .. } => Some("exporting to client directory"),
        Output::CacheOnly => None,
    }
}

/// Does a part of the work of a row, which the row shows as a line.
pub(super) async fn part<T>(
    row: &Row,
    name: impl Into<String>,
    work: impl Future<Output = Result<T, ImageError>>,
) -> Result<T, ImageError> {
    let name = name.into();
    row.transfer(name.clone(), 0, None, false);
    let result = work.await?;
    row.transfer(name, 0, None, true);
    Ok(result)
}

/// Shows a part of a row's work that is done, and took no time worth showing.
pub(super) fn done(row: &Row, name: impl Into<String>) {
    row.transfer(name, 0, None, true);
}
