//! Puts a plan's entries in the order of the tar and checks that they make a layer.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::entry::{PlannedEntry, PlannedNode};
use crate::erofs::xattr;
use crate::error::{Error, PlanProblem, Result};
use crate::extract::is_link_target;
use crate::metadata::Timestamp;
use crate::path::{self, LayerPath};
use crate::tar::{WHITEOUT_PREFIX, is_device};

/// Sorts entries by path and checks them. The first name of several that one file has becomes the file itself, the
/// others become links to it, whatever the plan said which is which: so a tar is the same for the same files.
/// Times beyond `clamp` (in seconds) become that.
pub(crate) fn arrange(
    mut entries: Vec<PlannedEntry>,
    clamp: Option<i64>,
) -> Result<Vec<PlannedEntry>> {
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let mut order = Order::new(clamp);
    for entry in &mut entries {
        order.admit(entry)?;
    }
    let has_links = entries
        .iter()
        .any(|entry| matches!(entry.node, PlannedNode::HardLink(_)));
    if has_links {
        settle_links(&mut entries)?;
    }
    Ok(entries)
}

/// Admits entries in the order of the tar: no path twice, and nothing below what is no directory.
pub(crate) struct Order {
    /// Times beyond it become that.
    latest: Option<Timestamp>,
    /// The path of the entry before.
    last: Option<Vec<u8>>,
    last_is_directory: bool,
}

impl Order {
    /// `clamp` is in seconds.
    pub(crate) fn new(clamp: Option<i64>) -> Self {
        Self {
            latest: clamp.map(Timestamp::from_seconds),
            last: None,
            last_is_directory: true,
        }
    }

    /// Checks the next entry and brings its metadata into their form. Where links lead is not looked at.
    pub(crate) fn admit(&mut self, entry: &mut PlannedEntry) -> Result<()> {
        self.check_path(entry)?;
        entry.metadata.normalise();
        if let Some(latest) = self.latest {
            entry.metadata.mtime = entry.metadata.mtime.min(latest);
        }
        check_entry(entry)?;
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(entry.path.as_bytes());
        self.last_is_directory = matches!(entry.node, PlannedNode::Directory { .. });
        Ok(())
    }

    fn check_path(&self, entry: &PlannedEntry) -> Result<()> {
        let path = entry.path.as_bytes();
        let problem = |problem| Err(Error::plan(&entry.path, problem));
        if path.is_empty() && !matches!(entry.node, PlannedNode::Directory { .. }) {
            return problem(PlanProblem::Root);
        }
        let Some(last) = &self.last else {
            return Ok(());
        };
        match path::compare(last, path) {
            Ordering::Less => {}
            Ordering::Equal => return problem(PlanProblem::Twice),
            Ordering::Greater => return problem(PlanProblem::Unordered),
        }
        // What is below a path follows it at once.
        if !self.last_is_directory && path::is_below(path, last) {
            let last = LayerPath::new(last).unwrap_or_default();
            return problem(PlanProblem::NotADirectory(last));
        }
        Ok(())
    }
}

fn check_entry(entry: &PlannedEntry) -> Result<()> {
    let problem = |problem| Err(Error::plan(&entry.path, problem));
    let reserved = |name: &[u8]| name.starts_with(WHITEOUT_PREFIX);
    if entry.path.components().any(reserved) {
        return problem(PlanProblem::ReservedName);
    }
    if matches!(entry.node, PlannedNode::Whiteout)
        && entry.path.name().is_some_and(|name| name.len() > 251)
    {
        // The mark's own name would be too long.
        return problem(PlanProblem::Path(crate::PathError::LongName));
    }
    match entry.node {
        PlannedNode::Char { major: 0, minor: 0 } => return problem(PlanProblem::WhiteoutDevice),
        PlannedNode::Char { major, minor } | PlannedNode::Block { major, minor }
            if !is_device(major, minor) =>
        {
            return problem(PlanProblem::DeviceNumber(major, minor));
        }
        _ => {}
    }
    if let PlannedNode::Symlink(target) = &entry.node
        && !is_link_target(target)
    {
        return problem(PlanProblem::SymlinkTarget);
    }
    for (name, value) in &entry.metadata.xattrs {
        if !xattr::is_storable(name, value) || xattr::is_overlay(name) || name.contains(&b'=') {
            let name = String::from_utf8_lossy(name).into_owned();
            return problem(PlanProblem::Xattr(name));
        }
    }
    if !xattr::fit(&entry.metadata.xattrs) {
        return problem(PlanProblem::Xattr("*".to_owned()));
    }
    Ok(())
}

/// Makes the first name of each file the file, and the others links to it.
fn settle_links(entries: &mut [PlannedEntry]) -> Result<()> {
    // By the place of a file: the places of the links to it.
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, file) in linked_files(entries)?.into_iter().enumerate() {
        if let Some(file) = file {
            groups.entry(file).or_default().push(at);
        }
    }
    for (file, mut names) in groups {
        names.push(file);
        let first = names.iter().copied().min().unwrap_or(file);
        let metadata = entries[file].metadata.clone();
        let path = entries[first].path.clone();
        let node = entries[file].node.clone();
        for name in names {
            entries[name].node = PlannedNode::HardLink(path.clone());
            entries[name].metadata = metadata.clone();
        }
        entries[first].node = node;
    }
    Ok(())
}

/// For each hard link the place of the file that it names in the end.
fn linked_files(entries: &[PlannedEntry]) -> Result<Vec<Option<usize>>> {
    let find = |path: &LayerPath| entries.binary_search_by(|entry| entry.path.cmp(path)).ok();
    let mut files = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut node = &entry.node;
        let mut file = None;
        let mut steps = 0;
        while let PlannedNode::HardLink(target) = node {
            let missing = || Error::plan(&entry.path, PlanProblem::LinkTarget(target.clone()));
            let at = find(target).ok_or_else(missing)?;
            steps += 1;
            if steps > entries.len() {
                return Err(missing());
            }
            node = &entries[at].node;
            if matches!(node, PlannedNode::Directory { .. } | PlannedNode::Whiteout) {
                return Err(missing());
            }
            file = Some(at);
        }
        files.push(file);
    }
    Ok(files)
}
