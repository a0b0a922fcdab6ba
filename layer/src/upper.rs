//! An overlay upper directory as a layer, before it is sealed.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::digest::ContentDigest;
use crate::entry::{EntryKind, PlannedNode};
use crate::error::{Error, IndexProblem, PlanProblem, Result};
use crate::host;
use crate::metadata::Metadata;
use crate::overlay::{self, Inspected};
use crate::path::LayerPath;
use crate::seal::{list, open_root, scan_upper};
use crate::source::FileSource;
use crate::trees::{Handle, LayerTree, TreeEntry, TreeNode};

/// The changes of a step, read from the directory that overlayfs left them in.
///
/// Every path is resolved beneath that directory and through no link, so nothing in it leads out of it.
#[derive(Debug)]
pub struct UpperDir {
    root: Arc<OwnedFd>,
    path: std::path::PathBuf,
    /// The first path of each linked file, when it was asked for.
    first_paths: OnceLock<HashMap<LayerPath, LayerPath>>,
}

impl UpperDir {
    /// Opens the directory.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            root: Arc::new(open_root(path)?),
            path: path.to_owned(),
            first_paths: OnceLock::new(),
        })
    }

    /// Looks at what is at a path; `None` where nothing is, or a socket.
    fn inspect(&self, path: &LayerPath) -> Result<Option<Inspected>> {
        let (parent, name) = host::split(path);
        let directory = host::open_beneath(self.root.as_fd(), parent, OFlags::PATH);
        let inspected = directory.and_then(|directory| overlay::inspect(directory.as_fd(), name));
        match inspected {
            Ok(Some(Inspected {
                foreign: Some(mark),
                ..
            })) => {
                let problem = PlanProblem::OverlayFeature(mark.to_owned());
                Err(Error::plan(path, problem))
            }
            Ok(inspected) => Ok(inspected),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(Error::io("read", path.as_path(), error)),
        }
    }

    fn existing(&self, node: &TreeNode) -> Result<(LayerPath, Inspected)> {
        let path = path_of(node)?;
        let inspected = self.inspect(path)?;
        let inspected = inspected
            .ok_or_else(|| Error::io("read", path.as_path(), std::io::ErrorKind::NotFound))?;
        Ok((path.clone(), inspected))
    }
}

fn is_missing(error: &std::io::Error) -> bool {
    let missing = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP];
    Errno::from_io_error(error).is_some_and(|error| missing.contains(&error))
}

fn path_of(node: &TreeNode) -> Result<&LayerPath> {
    match &node.0 {
        Handle::Path(path) => Ok(path),
        Handle::Inode(_) => Err(IndexProblem::Kind.into()),
    }
}

fn entry(path: LayerPath, inspected: &Inspected) -> TreeEntry {
    TreeEntry {
        node: TreeNode(Handle::Path(path)),
        kind: inspected.kind,
        opaque: inspected.opaque,
        implied: false,
        plain: false,
    }
}

/// A name that a layer's paths cannot have is none that was asked for.
fn join(directory: &LayerPath, name: &[u8]) -> Result<LayerPath> {
    directory
        .join(name)
        .map_err(|problem| Error::plan(directory, problem.into()))
}

impl LayerTree for UpperDir {
    fn root(&self) -> Result<TreeEntry> {
        let node = TreeNode(Handle::Path(LayerPath::root()));
        let (path, inspected) = self.existing(&node)?;
        Ok(entry(path, &inspected))
    }

    fn child(&self, directory: &TreeNode, name: &[u8]) -> Result<Option<TreeEntry>> {
        let path = join(path_of(directory)?, name)?;
        let inspected = self.inspect(&path)?;
        Ok(inspected.map(|inspected| entry(path, &inspected)))
    }

    fn read_dir(&self, directory: &TreeNode) -> Result<Vec<(Box<[u8]>, TreeEntry)>> {
        let directory = path_of(directory)?;
        let (open, names) = list(self.root.as_fd(), directory)?;
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            let path = join(directory, &name)?;
            let inspected = overlay::inspect(open.as_fd(), &name)
                .map_err(|error| Error::io("read", path.as_path(), error))?;
            if let Some(inspected) = inspected {
                entries.push((name, entry(path, &inspected)));
            }
        }
        Ok(entries)
    }

    fn metadata(&self, node: &TreeNode) -> Result<Metadata> {
        Ok(self.existing(node)?.1.metadata)
    }

    fn link_target(&self, node: &TreeNode) -> Result<Vec<u8>> {
        let path = path_of(node)?;
        let (parent, name) = host::split(path);
        let failed = |error| Error::io("read", path.as_path(), error);
        let directory =
            host::open_beneath(self.root.as_fd(), parent, OFlags::PATH).map_err(failed)?;
        let target = rustix::fs::readlinkat(directory, name, Vec::new())
            .map_err(|error| failed(error.into()))?;
        Ok(target.into_bytes())
    }

    fn device(&self, node: &TreeNode) -> Result<(u32, u32)> {
        Ok(overlay::device_of(&self.existing(node)?.1.stat))
    }

    fn file(&self, node: &TreeNode) -> Result<FileSource> {
        let (path, inspected) = self.existing(node)?;
        if inspected.kind != EntryKind::File {
            return Err(IndexProblem::Kind.into());
        }
        Ok(FileSource::Host {
            root: Arc::clone(&self.root),
            path: path.as_bytes().to_vec(),
            size: inspected.stat.st_size as u64,
            version: None,
        })
    }

    fn directory_digest(&self, _: &TreeNode) -> Result<Option<ContentDigest>> {
        Ok(None)
    }

    fn link_id(&self, node: &TreeNode) -> Result<Option<u64>> {
        let (_, inspected) = self.existing(node)?;
        let several = inspected.kind != EntryKind::Directory && inspected.stat.st_nlink > 1;
        Ok(several.then_some(inspected.stat.st_ino))
    }

    fn first_path(&self, node: &TreeNode) -> Result<Option<LayerPath>> {
        if self.link_id(node)?.is_none() {
            return Ok(None);
        }
        if self.first_paths.get().is_none() {
            let found = first_paths(&self.path)?;
            self.first_paths.set(found).ok();
        }
        let first_paths = self.first_paths.get();
        Ok(first_paths.and_then(|first_paths| first_paths.get(path_of(node).ok()?).cloned()))
    }
}

/// For each name of a linked file the first one, as sealing will have it.
fn first_paths(upper: &Path) -> Result<HashMap<LayerPath, LayerPath>> {
    let entries = crate::plan::arrange(scan_upper(upper, &[])?, None)?;
    let mut first_paths = HashMap::new();
    for entry in entries {
        if let PlannedNode::HardLink(first) = entry.node {
            first_paths.insert(first.clone(), first.clone());
            first_paths.insert(entry.path, first);
        }
    }
    Ok(first_paths)
}
