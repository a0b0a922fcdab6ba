//! Several layers as one that has the same effect on what is below them.

use std::collections::HashMap;

use crate::entry::{EntryKind, PlannedEntry, PlannedNode};
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::path::LayerPath;
use crate::view::{LinkId, View, ViewNode};

/// A directory whose entries are still to be planned.
struct Pending<'v> {
    path: LayerPath,
    node: ViewNode<'v>,
    /// What the layers below have there and these do not hide.
    below: Option<ViewNode<'v>>,
}

/// The plan of one layer that on top of `below` shows what the layers of `merged` show there. What they delete is deleted
/// where `below` has it, and what is the same in both stays, as in the layers.
pub fn squash(merged: &View, below: &View) -> Result<Vec<PlannedEntry>> {
    let mut entries = Vec::new();
    let mut links: HashMap<LinkId, LayerPath> = HashMap::new();
    let root = Pending {
        path: LayerPath::root(),
        node: merged.root()?,
        below: Some(below.root()?),
    };
    let mut pending = vec![root];
    while let Some(Pending { path, node, below }) = pending.pop() {
        let opaque = node.hides_lower() && below.is_some();
        let metadata = match &below {
            Some(below) if node.is_implied() && !opaque => below.metadata()?,
            _ => node.metadata()?,
        };
        entries.push(PlannedEntry {
            path: path.clone(),
            metadata,
            node: PlannedNode::Directory { opaque },
        });
        let below = below.filter(|_| !opaque);
        for (name, child) in node.entries_and_whiteouts()? {
            let path = path
                .join(&name)
                .map_err(|problem| Error::plan(&path, problem.into()))?;
            let lower = match &below {
                Some(below) => below.child(&name)?,
                None => None,
            };
            let Some(child) = child else {
                if lower.is_some() {
                    entries.push(whiteout(path));
                }
                continue;
            };
            if child.kind() == EntryKind::Directory {
                let is_directory = |lower: &ViewNode<'_>| lower.kind() == EntryKind::Directory;
                pending.push(Pending {
                    path,
                    node: child,
                    below: lower.filter(is_directory),
                });
                continue;
            }
            let mut planned = child.planned()?;
            if let Some(id) = child.link_id()? {
                let first = links.entry(id).or_insert_with(|| path.clone());
                if *first != path {
                    planned = PlannedNode::HardLink(first.clone());
                }
            }
            entries.push(PlannedEntry {
                metadata: child.metadata()?,
                node: planned,
                path,
            });
        }
    }
    Ok(entries)
}

fn whiteout(path: LayerPath) -> PlannedEntry {
    PlannedEntry {
        path,
        metadata: Metadata::default(),
        node: PlannedNode::Whiteout,
    }
}
