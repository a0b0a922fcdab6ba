//! Turns an overlay upper directory into a layer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use rustix::fs::{Dir, OFlags};

use crate::build::{WriteOptions, write_layer};
use crate::entry::{EntryKind, PlannedEntry, PlannedFile, PlannedNode};
use crate::error::{Error, PlanProblem, Result};
use crate::host;
use crate::overlay::{self, Inspected};
use crate::path::LayerPath;
use crate::source::FileSource;
use crate::summary::Summary;
use crate::tree::Name;

/// Device and inode number: names a file that may have several names.
type FileId = (u64, u64);

/// Writes the changes in the upper directory at `upper` as a layer to two empty files. The directory must be at rest:
/// nothing may write to it meanwhile.
pub fn seal(upper: &Path, tar: &File, index: &File, options: &WriteOptions<'_>) -> Result<Summary> {
    write_layer(scan_upper(upper, &[])?, tar, index, options)
}

/// The entries of the layer that [`seal`] would write: devices 0:0 are whiteouts, marked directories are opaque,
/// overlayfs's own attributes and sockets are left out. The root directory itself is not among them, as in the layers
/// of other builders. What is at a path of `skip`, or below it, stays out.
pub fn scan_upper(upper: &Path, skip: &[LayerPath]) -> Result<Vec<PlannedEntry>> {
    let scan = Scan {
        root: Arc::new(open_root(upper)?),
        skip,
    };
    let mut found = Vec::new();
    let mut level = vec![LayerPath::root()];
    // One level of the tree after another, so that the depth of the tree costs no stack.
    while !level.is_empty() {
        let listed: Vec<Vec<Found>> = level
            .par_iter()
            .map(|directory| scan.directory(directory))
            .collect::<Result<_>>()?;
        let from = found.len();
        found.extend(listed.into_iter().flatten());
        let directories = found[from..]
            .iter()
            .filter(|found| matches!(found.entry.node, PlannedNode::Directory { .. }));
        level = directories.map(|found| found.entry.path.clone()).collect();
    }
    Ok(link(found))
}

/// Opens the directory at the top of a tree.
pub(crate) fn open_root(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, rustix::fs::Mode::empty())
        .map_err(|error| Error::io("open", path, error))
}

/// The names in a directory below `root`, sorted, with the directory itself.
pub(crate) fn list(root: BorrowedFd<'_>, path: &LayerPath) -> Result<(OwnedFd, Vec<Name>), Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let read = || {
        let directory = host::open_beneath(root, path.as_bytes(), flags)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if !matches!(name.as_slice(), b"." | b"..") {
                names.push(name.into_boxed_slice());
            }
        }
        names.sort_unstable();
        Ok((directory, names))
    };
    read().map_err(|error: std::io::Error| Error::io("list", path.as_path(), error))
}

struct Scan<'a> {
    root: Arc<OwnedFd>,
    skip: &'a [LayerPath],
}

struct Found {
    entry: PlannedEntry,
    /// Set for what may have other names.
    id: Option<FileId>,
}

impl Scan<'_> {
    fn directory(&self, path: &LayerPath) -> Result<Vec<Found>> {
        let (directory, names) = list(self.root.as_fd(), path)?;
        let entry = |name: &Name| self.entry(directory.as_fd(), path, name).transpose();
        // Looking at few names is not worth handing out.
        if names.len() < 256 {
            return names.iter().filter_map(entry).collect();
        }
        names.par_iter().filter_map(entry).collect()
    }

    fn entry(
        &self,
        directory: BorrowedFd<'_>,
        parent: &LayerPath,
        name: &[u8],
    ) -> Result<Option<Found>> {
        let path = parent
            .join(name)
            .map_err(|problem| Error::plan(parent, problem.into()))?;
        if self.skip.contains(&path) {
            return Ok(None);
        }
        let failed = |error| Error::io("read", path.as_path(), error);
        let Some(inspected) = overlay::inspect(directory, name).map_err(failed)? else {
            return Ok(None);
        };
        if let Some(mark) = inspected.foreign {
            let problem = PlanProblem::OverlayFeature(mark.to_owned());
            return Err(Error::plan(&path, problem));
        }
        let node = self.node(directory, name, &path, &inspected)?;
        let linked = inspected.stat.st_nlink > 1
            && !matches!(inspected.kind, EntryKind::Directory | EntryKind::Whiteout);
        Ok(Some(Found {
            id: linked.then_some((inspected.stat.st_dev, inspected.stat.st_ino)),
            entry: PlannedEntry {
                path,
                metadata: inspected.metadata,
                node,
            },
        }))
    }

    fn node(
        &self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        path: &LayerPath,
        inspected: &Inspected,
    ) -> Result<PlannedNode> {
        let (major, minor) = overlay::device_of(&inspected.stat);
        Ok(match inspected.kind {
            EntryKind::Directory => PlannedNode::Directory {
                opaque: inspected.opaque,
            },
            EntryKind::File => PlannedNode::File(PlannedFile::from(FileSource::Host {
                root: Arc::clone(&self.root),
                path: path.as_bytes().to_vec(),
                size: inspected.stat.st_size as u64,
                version: None,
            })),
            EntryKind::Symlink => {
                let target = rustix::fs::readlinkat(directory, name, Vec::new())
                    .map_err(|error| Error::io("read", path.as_path(), error))?;
                PlannedNode::Symlink(target.into_bytes())
            }
            EntryKind::Char => PlannedNode::Char { major, minor },
            EntryKind::Block => PlannedNode::Block { major, minor },
            EntryKind::Fifo => PlannedNode::Fifo,
            EntryKind::Whiteout => PlannedNode::Whiteout,
        })
    }
}

/// Makes further names of a file links to the first that was met.
fn link(found: Vec<Found>) -> Vec<PlannedEntry> {
    let mut first: HashMap<FileId, LayerPath> = HashMap::new();
    let entries = found.into_iter().map(|Found { mut entry, id }| {
        match id.map(|id| first.entry(id)) {
            Some(Entry::Occupied(first)) => entry.node = PlannedNode::HardLink(first.get().clone()),
            Some(Entry::Vacant(vacant)) => {
                vacant.insert(entry.path.clone());
            }
            None => {}
        }
        entry
    });
    entries.collect()
}
