//! The times of sources: what `SOURCE_DATE_EPOCH` is when it names one, as with BuildKit.

use frontend::remote::{GitMtime, GitSource, HttpForm, HttpSource, RemoteSource};

use super::{Access, SourceError, git, http, layer};
use crate::engine::Engine;
use crate::error::{FileError, StepError};
use crate::files::archive;
use crate::files::filter::Filter;
use crate::files::node::{Kind, Node};
use crate::files::select::Tree as _;
use crate::files::view::ViewTree;
use crate::progress::Row;
use crate::rootfs::{Layer, Rootfs, Sealed};

impl Engine {
    /// When a source was made, in seconds since 1970: the time of a commit; of a URL what the server says, or else that of
    /// the newest file of the archive it leads to. `None` for what has no time.
    pub(crate) async fn source_time(
        &self,
        source: &RemoteSource,
        access: Access<'_>,
        row: &Row,
    ) -> Result<Option<i64>, SourceError> {
        match source {
            RemoteSource::Git(source) => self.commit_time(source, access, row).await,
            RemoteSource::Http(source) => self.url_time(source, access, row).await,
        }
    }

    async fn commit_time(
        &self,
        source: &GitSource,
        access: Access<'_>,
        row: &Row,
    ) -> Result<Option<i64>, SourceError> {
        // All its files bear it.
        let whole = GitSource {
            mtime: GitMtime::Commit,
            ..source.clone()
        };
        let pinned = git::pin(self, &whole, access).await?;
        let layer = pinned.layer(self, access, row).await?;
        newest(layer, |node| !node.is_dir()).await
    }

    async fn url_time(
        &self,
        source: &HttpSource,
        access: Access<'_>,
        row: &Row,
    ) -> Result<Option<i64>, SourceError> {
        // A checksum would name bytes that the server need not be asked for.
        let asked = HttpSource {
            checksum: None,
            ..source.clone()
        };
        let pinned = http::pin(self, &asked, access, row).await?;
        if let Some(time) = http::last_modified(self, &asked)? {
            return Ok(Some(time));
        }
        let layer = pinned.layer(self, access, row).await?;
        if source.form == HttpForm::Archive {
            // One that is no archive is in there without a time.
            let found = newest(layer, is_file).await?;
            return Ok(found.filter(|time| *time != 0));
        }
        let (engine, name) = (self.clone(), source.name.clone());
        let files = Rootfs::new(vec![Layer::stored(layer)]);
        layer::blocking(move || {
            let tree = ViewTree::new(files.view().map_err(StepError::from)?);
            let file = tree.node_at(name.as_bytes(), &Filter::default())?;
            let archive = match &file {
                Some(file) => archive::open(file, engine.store()).unwrap_or_default(),
                None => None,
            };
            Ok(archive.and_then(|archive| newest_of(&archive.tree, is_file)))
        })
        .await
    }
}

/// The time of the newest file of an archive.
pub(crate) fn newest_file(files: &Rootfs) -> Result<Option<i64>, FileError> {
    newest_in(files, is_file)
}

fn is_file(node: &Node) -> bool {
    matches!(node.kind, Kind::File(_))
}

async fn newest(layer: Sealed, counts: fn(&Node) -> bool) -> Result<Option<i64>, SourceError> {
    let files = Rootfs::new(vec![Layer::stored(layer)]);
    layer::blocking(move || Ok(newest_in(&files, counts)?)).await
}

fn newest_in(files: &Rootfs, counts: fn(&Node) -> bool) -> Result<Option<i64>, FileError> {
    let tree = ViewTree::new(files.view()?);
    let root = tree.node_at(b"", &Filter::default())?;
    Ok(root.and_then(|root| newest_of(&root, counts)))
}

fn newest_of(root: &Node, counts: fn(&Node) -> bool) -> Option<i64> {
    let mut newest = None;
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        if counts(node) {
            newest = newest.max(Some(node.metadata.mtime.seconds));
        }
        if let Kind::Directory(children) = &node.kind {
            open.extend(children.iter().map(|(_, child)| child));
        }
    }
    newest
}
