//! Writes the outputs of a build, one after another.

use image::Reference;
use image::manifest::Descriptor;
use image::push::LocalImage;
use layer::Digest;

use super::attributes::Output;
use crate::build::{BuildRequest, Built, FinishedImage};
use crate::engine::Engine;
use crate::error::{BuildError, ImageError};
use crate::event::Phase;
use crate::progress::{Progress, Row};

/// A finished image on its way out.
pub(super) struct Export<'a> {
    pub(super) engine: &'a Engine,
    pub(super) image: &'a FinishedImage,
    pub(super) local: LocalImage,
    /// What names lead to in registries, as far as outputs have been written.
    pub(super) pushed: Vec<(Reference, Digest)>,
}

/// What came of an output.
#[derive(Debug, Default)]
pub(super) struct Exported {
    /// The manifest, if it has one.
    pub(super) manifest: Option<Descriptor>,
    /// The names that the image was given.
    pub(super) names: Vec<Reference>,
}

impl Engine {
    /// Writes what the request wants of a finished image; without a wish, the image goes into the store.
    pub(crate) async fn write_outputs(
        &self,
        request: &BuildRequest,
        image: &FinishedImage,
        progress: &Progress,
    ) -> Result<Built, BuildError> {
        let layers: Vec<_> = image.layers.iter().map(|layer| layer.diff_id).collect();
        let (bytes, mut manifest) = self.local_manifest("the build", &image.bytes, &layers)?;
        let mut export = Export {
            engine: self,
            image,
            local: LocalImage {
                config: image.bytes.clone(),
                layers,
            },
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
        let mut names = Vec::new();
        for output in outputs {
            let exported = export
                .write(output, &request.tags, &bytes, progress)
                .await?;
            names.extend(exported.names);
            manifest = exported.manifest.unwrap_or(manifest);
        }
        names.sort();
        names.dedup();
        Ok(Built {
            config: image.id,
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
        manifest: &[u8],
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
                self.image(&names, *store, *push, manifest, &row).await
            }
            Output::Archive {
                names: own,
                format,
                to,
                form,
            } => self.archive(names(own), *format, to, *form, &row).await,
            Output::Tar(to) => self.tar(to, &row).await,
            Output::Local(directory) => self.directory(directory, &row).await,
            Output::CacheOnly => Ok(Exported::default()),
        };
        row.finish(written)
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
        Output::Tar(_) => Some("exporting to client tarball"),
        Output::Local(_) => Some("exporting to client directory"),
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
