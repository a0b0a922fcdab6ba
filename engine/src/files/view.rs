//! Merged layers as a source of files.

use layer::{EntryKind, View, ViewNode};

use super::filter::{Filter, Verdict};
use super::node::{File, Kind, LinkId, Node};
use super::select::{Names, Tree, join};
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
    fn node_at(&self, path: &[u8], filter: &Filter) -> Result<Option<Node>, FileError> {
        match self.0.resolve(path, true)? {
            Some((_, found)) => read(&found, b"", filter),
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

/// Reads what is at `path` from the top of what is read, as far as the filter takes it.
fn read(found: &ViewNode<'_>, path: &[u8], filter: &Filter) -> Result<Option<Node>, FileError> {
    let verdict = filter.verdict(path, found.kind() == EntryKind::Directory);
    if verdict == Verdict::Left {
        return Ok(None);
    }
    let passed = verdict == Verdict::Passed;
    let kind = match found.kind() {
        EntryKind::Directory => {
            let entries = found.entries()?.into_iter();
            let children = entries.filter_map(|(name, entry)| {
                let child = read(&entry, &join(path, &name), filter).transpose()?;
                Some(child.map(|child| (name.into(), child)))
            });
            let children = children.collect::<Result<Vec<_>, FileError>>()?;
            if passed && children.is_empty() {
                return Ok(None);
            }
            Kind::Directory(children)
        }
        EntryKind::File => {
            let source = found.file()?;
            let digest = source.digest()?;
            let link = found.link_id()?;
            Kind::File(File {
                link: link.map(|link| LinkId(link.layer as u64, link.inode).into()),
                ..File::new(source, digest)
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
    Ok(Some(Node {
        metadata: found.metadata()?,
        kind,
        passed,
    }))
}
