//! Merged layers as a source of files.

use layer::{EntryKind, View, ViewNode};

use super::node::{File, Kind, LinkId, Node};
use super::select::{Names, Tree};
use crate::error::FileError;

/// The merged files of a stage or an image.
#[derive(Debug)]
pub(crate) struct ViewTree(View);

impl ViewTree {
    pub(crate) fn new(view: View) -> Self {
        Self(view)
    }
}

impl Tree for ViewTree {
    fn node_at(&self, path: &[u8]) -> Result<Option<Node>, FileError> {
        match self.0.resolve(path, true)? {
            Some((_, found)) => read(&found).map(Some),
            None => Ok(None),
        }
    }

    fn names_in(&self, path: &[u8], follow: bool) -> Result<Names, FileError> {
        let Some((real, found)) = self.0.resolve(path, true)? else {
            return Ok(Vec::new());
        };
        if found.kind() != EntryKind::Directory || (!follow && real.as_bytes() != path) {
            return Ok(Vec::new());
        }
        let entries = found.entries()?.into_iter();
        Ok(entries
            .map(|(name, entry)| (name, entry.kind() == EntryKind::Directory))
            .collect())
    }
}

fn read(found: &ViewNode<'_>) -> Result<Node, FileError> {
    let kind = match found.kind() {
        EntryKind::Directory => {
            let entries = found.entries()?.into_iter();
            let children = entries.map(|(name, entry)| Ok((name, read(&entry)?)));
            Kind::Directory(children.collect::<Result<_, FileError>>()?)
        }
        EntryKind::File => {
            let source = found.file()?;
            let link = found.link_id()?;
            Kind::File(File {
                size: source.size(),
                digest: source.digest()?,
                source,
                link: link.map(|link| LinkId(link.layer as u64, link.inode)),
            })
        }
        EntryKind::Symlink => Kind::Symlink(found.link_target()?.into()),
        EntryKind::Char => {
            let (major, minor) = found.device()?;
            Kind::Character(major, minor)
        }
        EntryKind::Block => {
            let (major, minor) = found.device()?;
            Kind::Block(major, minor)
        }
        EntryKind::Fifo | EntryKind::Whiteout => Kind::Fifo,
    };
    Ok(Node {
        metadata: found.metadata()?,
        kind,
    })
}
