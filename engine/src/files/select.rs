//! Finds the files that a copy names: plain paths and patterns, in a context or in a merged root file system.

use std::sync::OnceLock;

use frontend::pattern::Pattern;

use super::archive::{self, Archive};
use super::filter::Filter;
use super::node::Node;
use crate::error::FileError;

/// Names in a directory, and whether each is itself a directory (a link is not).
pub(crate) type Names = Vec<(Box<[u8]>, bool)>;

/// Files that can be looked up and listed.
pub(crate) trait Tree {
    /// What is at `path`, links followed beneath the root, the last one too; `None` where nothing is. Directories come
    /// with everything below them that the filter takes.
    fn node_at(&self, path: &[u8], filter: &Filter) -> Result<Option<Node>, FileError>;

    /// The names in the directory at `path`. Links are followed in it only where `follow` says so. Nothing for what is
    /// not a directory.
    fn names_in(&self, path: &[u8], follow: bool) -> Result<Names, FileError>;
}

/// A file that a copy found: the path it was found at, and what it is.
#[derive(Debug)]
pub(crate) struct Selected {
    /// Relative to the root of the source, no leading `/`; names the file in the destination.
    pub(crate) path: Vec<u8>,
    pub(crate) node: Node,
    archive: OnceLock<Option<Archive>>,
}

impl Selected {
    fn new(path: Vec<u8>, node: Node) -> Self {
        Self {
            path,
            node,
            archive: OnceLock::new(),
        }
    }

    /// Its contents if it is an archive; read once.
    pub(crate) fn archive(&self, store: &cache::Store) -> Result<Option<&Archive>, FileError> {
        if let Some(known) = self.archive.get() {
            return Ok(known.as_ref());
        }
        let opened = archive::open(&self.node, store)?;
        Ok(self.archive.get_or_init(|| opened).as_ref())
    }
}

/// Everything that `path` names, as far as the filter takes it. A pattern may name nothing; a plain path that names
/// nothing is `None`.
///
/// The rules are BuildKit's (`fsutil/copy.ResolveWildcards`): literal components in front of the first wildcard follow
/// links, those after it do not; a directory that matches ends the descent.
pub(crate) fn select(
    tree: &dyn Tree,
    path: &str,
    filter: &Filter,
) -> Result<Option<Vec<Selected>>, FileError> {
    let path = path.trim_matches('/');
    let components: Vec<&str> = path
        .split('/')
        .filter(|component| !component.is_empty() && *component != ".")
        .collect();
    let literal = components
        .iter()
        .take_while(|component| !frontend::pattern::has_wildcard(component))
        .count();
    if literal == components.len() {
        let path = components.join("/").into_bytes();
        let node = tree.node_at(&path, filter)?;
        return Ok(node.map(|node| taken(path, node, filter).into_iter().collect()));
    }
    let base = components[..literal].join("/").into_bytes();
    let patterns = components[literal..]
        .iter()
        .map(|component| Pattern::parse(component))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| FileError::BadPattern(path.to_owned()))?;
    let mut matches = Vec::new();
    descend(tree, &base, true, &patterns, &mut matches)?;
    let mut selected = Vec::with_capacity(matches.len());
    for path in matches {
        if let Some(node) = tree.node_at(&path, filter)? {
            selected.extend(taken(path, node, filter));
        }
    }
    Ok(Some(selected))
}

/// A directory that is itself a source is always taken. A file is known by its own name to the filter.
pub(crate) fn taken(path: Vec<u8>, node: Node, filter: &Filter) -> Option<Selected> {
    let takes = node.is_dir() || filter.takes_file(base_name(&path));
    takes.then(|| Selected::new(path, node))
}

/// The last component of a path; empty for the root.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

fn descend(
    tree: &dyn Tree,
    directory: &[u8],
    follow: bool,
    patterns: &[Pattern],
    matches: &mut Vec<Vec<u8>>,
) -> Result<(), FileError> {
    let Some((pattern, rest)) = patterns.split_first() else {
        return Ok(());
    };
    for (name, is_dir) in tree.names_in(directory, follow)? {
        if !pattern.matches(&name) {
            continue;
        }
        let path = join(directory, &name);
        if rest.is_empty() {
            matches.push(path);
        } else if is_dir {
            descend(tree, &path, false, rest, matches)?;
        }
    }
    Ok(())
}

/// `directory/name`, without a leading `/` for the root.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !directory.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}
