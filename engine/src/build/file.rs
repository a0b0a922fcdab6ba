//! `COPY`, `ADD` and `WORKDIR`: plan the layer, then write its tar once.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use frontend::pattern::has_wildcard;
use frontend::plan::{Copy, CopyItem, MakeDirectory};
use layer::{Metadata, Timestamp, View};
use solver::KeyWriter;

use super::Build;
use super::main_context::BuildContext;
use super::state::{ContextPart, place_of};
use crate::builds::Listing;
use crate::error::{FileError, StepError};
use crate::files::filter::Filter;
use crate::files::node::{File, Kind, LinkNumbers, Node};
use crate::files::planner::{NOTHING, Owner, Planner};
use crate::files::select::{Selected, Tree, base_name, select, taken};
use crate::files::view::ViewTree;
use crate::rootfs::{Layer, Rootfs};

/// Mode of a file made from a here-document.
const INLINE_MODE: u32 = 0o644;

/// What a copy reads, found but not yet written.
#[derive(Debug)]
pub(super) struct Selection(Vec<Found>);

#[derive(Debug)]
enum Found {
    /// Files of a tree.
    Files(Vec<Selected>),
    /// A here-document.
    Inline { name: String, node: Box<Node> },
    /// What came from the network.
    Remote { files: Vec<Selected>, unpack: bool },
}

impl Selection {
    /// Finds everything that `copy` names.
    ///
    /// `remote` are the inputs that came from the network, by number.
    pub(super) fn find(
        build: &Build,
        copy: &Copy,
        tree: &dyn Tree,
        remote: &BTreeMap<usize, ViewTree>,
    ) -> Result<Self, FileError> {
        let mut found = Vec::with_capacity(copy.items.len());
        let filter = Filter::except(&copy.exclude)?;
        for item in &copy.items {
            found.push(match item {
                CopyItem::Path(path) => match select(tree, path, &filter)? {
                    Some(files) => Found::Files(files),
                    None => Found::Files(nothing(build, copy, path)?),
                },
                CopyItem::Parents { pivot, pattern } => {
                    let files = select(tree, pivot, &filter.only(pattern)?)?;
                    let plain = !has_wildcard(pivot) && !has_wildcard(pattern);
                    let path = format!("{pivot}/{pattern}");
                    let is_there = || tree.node_at(path.as_bytes(), &Filter::nothing());
                    match files {
                        Some(files) if !plain || is_there()?.is_some() => Found::Files(files),
                        _ => Found::Files(nothing(build, copy, path.trim_start_matches('/'))?),
                    }
                }
                CopyItem::Inline { name, content } => Found::Inline {
                    name: name.clone(),
                    node: Box::new(inline(content, build.now())),
                },
                CopyItem::Remote {
                    input,
                    path,
                    unpack,
                } => Found::Remote {
                    files: fetched(remote.get(input), path, &filter)?,
                    unpack: *unpack,
                },
            });
        }
        Ok(Self(found))
    }

    /// Bytes of all files.
    pub(super) fn size(&self) -> u64 {
        let files = self.0.iter().flat_map(|found| match found {
            Found::Files(files) | Found::Remote { files, .. } => files.as_slice(),
            Found::Inline { .. } => &[],
        });
        files.map(|selected| selected.node.total_size()).sum()
    }

    /// Lists all files.
    pub(super) fn list(&self, to: &mut Listing) {
        for found in &self.0 {
            let Found::Files(files) = found else { continue };
            for selected in files {
                to.tree(&selected.path, &selected.node);
            }
        }
    }

    /// Writes everything that the result of the copy depends on.
    pub(super) fn encode(&self, key: &mut KeyWriter) {
        let mut links = LinkNumbers::default();
        key.list(&self.0, |key, found| {
            let Found::Files(files) = found else { return };
            key.list(files, |key, selected| {
                key.bytes(base_name(&selected.path));
                selected.node.encode(key, &mut links);
            });
        });
    }
}

/// The file of a remote source, or all its files.
fn fetched(
    tree: Option<&ViewTree>,
    path: &str,
    filter: &Filter,
) -> Result<Vec<Selected>, FileError> {
    let found = match tree {
        Some(tree) => tree.node_at(path.as_bytes(), filter)?,
        None => None,
    };
    let node = found.ok_or_else(|| FileError::NotFound {
        path: path.to_owned(),
        place: "what was fetched".to_owned(),
    })?;
    Ok(taken(path.into(), node, filter).into_iter().collect())
}

/// The files of a path that names none: an error, unless they may be missing.
fn nothing(build: &Build, copy: &Copy, path: &str) -> Result<Vec<Selected>, FileError> {
    let error = missing(build, copy, path);
    let is_missing = matches!(
        error,
        FileError::NotFound { .. } | FileError::Ignored { .. }
    );
    if copy.optional && is_missing {
        return Ok(Vec::new());
    }
    Err(error)
}

fn missing(build: &Build, copy: &Copy, path: &str) -> FileError {
    if let Some(context) = build.context_of(&copy.from) {
        if let Some(ignore_file) = context.ignore_file_hiding(path) {
            return FileError::Ignored {
                path: path.to_owned(),
                ignore_file,
            };
        }
        if context.is_socket(path) {
            return FileError::Socket(path.to_owned());
        }
    }
    FileError::NotFound {
        path: path.to_owned(),
        place: place_of(&copy.from),
    }
}

fn inline(content: &str, now: Timestamp) -> Node {
    let bytes: Arc<[u8]> = content.as_bytes().into();
    let digest = layer::ContentDigest::of(&bytes);
    Node {
        metadata: Metadata {
            mode: INLINE_MODE,
            mtime: now,
            ..Metadata::default()
        },
        kind: Kind::File(File::new(layer::FileSource::Bytes(bytes), digest)),
        passed: false,
    }
}

/// Plans the layer of a copy on top of `base`.
pub(super) fn plan_copy<'a>(
    build: &Build,
    copy: &Copy,
    selection: &'a Selection,
    base: &'a View,
) -> Result<Planner<'a>, StepError> {
    let context = build.context_of(&copy.from);
    let owner = if let Some(spec) = &copy.chown {
        Some(resolve_owner(spec, base)?)
    } else if context.is_some_and(BuildContext::is_directory) {
        Some(Owner { uid: 0, gid: 0 })
    } else {
        None
    };
    let below = if copy.link { &NOTHING } else { base };
    let mut planner = Planner::new(below, owner, copy.chmod.clone(), build.now());
    let dest = copy.dest.as_bytes();
    for found in &selection.0 {
        match found {
            Found::Inline { name, node } => planner.copy(name.as_bytes(), node, dest)?,
            Found::Files(files) => {
                for selected in files {
                    place(build, &mut planner, copy, owner, selected, copy.unpack)?;
                }
            }
            Found::Remote { files, unpack } => {
                for selected in files {
                    place(build, &mut planner, copy, owner, selected, *unpack)?;
                }
            }
        }
    }
    Ok(planner)
}

/// Copies one file, or unpacks it.
fn place<'a>(
    build: &Build,
    planner: &mut Planner<'a>,
    copy: &Copy,
    owner: Option<Owner>,
    selected: &'a Selected,
    unpack: bool,
) -> Result<(), StepError> {
    let dest = copy.dest.as_bytes();
    let archive = if unpack {
        selected.archive(build.engine().store())?
    } else {
        None
    };
    match archive {
        Some(archive) => {
            // Without --chown an archive's own owners are kept.
            planner.set_owner(copy.chown.as_ref().and(owner));
            planner.unpack(&archive.tree, dest, &archive.implied)?;
            planner.set_owner(owner);
        }
        None => planner.copy(base_name(&selected.path), &selected.node, dest)?,
    }
    Ok(())
}

/// Plans the layer of a working directory on top of `base`.
pub(super) fn plan_directory<'a>(
    build: &Build,
    directory: &MakeDirectory,
    base: &'a View,
) -> Result<Planner<'a>, StepError> {
    let owner = if directory.user.is_empty() {
        Owner { uid: 0, gid: 0 }
    } else {
        resolve_owner(&directory.user, base)?
    };
    let mut planner = Planner::new(base, Some(owner), None, build.now());
    planner.make_directory(directory.path.as_bytes())?;
    Ok(planner)
}

/// The ids of `user[:group]` by the files of the root file system.
fn resolve_owner(spec: &str, base: &View) -> Result<Owner, StepError> {
    let (uid, gid) = crate::users::resolve_owner(spec, base)?;
    Ok(Owner { uid, gid })
}

/// Writes a planned layer to the store and puts it on top of `base`.
pub(super) fn write(
    build: &Build,
    planner: &Planner<'_>,
    base: &Rootfs,
    cancelled: &dyn Fn() -> bool,
) -> Result<Rootfs, StepError> {
    let entries = planner.entries();
    let sealed = build
        .engine()
        .write_layer_in_order(entries, build.epoch(), cancelled)?;
    Ok(base.with(Layer::stored(sealed)))
}

/// A layer that holds a part of a context, at its path.
pub(super) fn context_layer(build: &Build, part: &ContextPart) -> Result<Layer, StepError> {
    let node = build.find_part(part)?;
    let path = part.path();
    let mut planner = Planner::new(&NOTHING, None, None, build.now());
    let mut dest = b"/".to_vec();
    dest.extend_from_slice(path);
    planner.copy(base_name(path), &node, &dest)?;
    let mut key = KeyWriter::new("rbuild context layer", 1);
    key.identity(planner.content().as_bytes());
    let key = key.finish();
    let actions = build.engine().store().actions();
    if let Some([known]) = actions.by_content(&key)?.as_deref()
        && let Some(sealed) = build.engine().sealed_layer(known)?
    {
        return Ok(Layer::stored(sealed));
    }
    let entries = planner.entries();
    let sealed = build
        .engine()
        .write_layer_in_order(entries, build.epoch(), &|| false)?;
    actions.record_content(&key, &key, &[sealed.diff_id])?;
    Ok(Layer::stored(sealed))
}

/// The source of a copy that is not the context: its files with their digests.
pub(super) async fn source_tree(inputs: &[Rootfs], number: usize) -> Result<ViewTree, StepError> {
    match inputs.get(number) {
        Some(rootfs) => Ok(ViewTree::new(rootfs.sealed_view().await?)),
        None => Ok(ViewTree::new(View::new(Vec::new()))),
    }
}

/// Paths that an archive names only as parents of others.
pub(crate) type Implied = HashSet<Vec<u8>>;
