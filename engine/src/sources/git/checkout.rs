//! The files of a commit as a tree: modes as a checkout gives them, root's, and all of one time.

use std::ffi::OsStr;
use std::path::Path;

use cache::ContextMemory;
use frontend::ignore::Ignore;
use frontend::remote::redacted;
use layer::Timestamp;

use super::super::SourceError;
use super::super::layer::{Workplace, blocking};
use super::mirror::Mirror;
use super::program::Call;
use crate::engine::Engine;
use crate::files::context::Context;
use crate::files::filter::Filter;
use crate::files::node::{Kind, Node};
use crate::files::select::Tree as _;

/// Mode of directories, and of files that can be executed.
const EXECUTABLE: u32 = 0o755;
/// Mode of other files.
const PLAIN: u32 = 0o644;

/// The files of a commit, on disk as long as `place` is.
pub(super) struct Checkout {
    files: Context,
    time: Timestamp,
}

impl Checkout {
    /// Writes the files of a commit that the mirror has.
    pub(super) async fn new(
        engine: &Engine,
        mirror: &Mirror,
        commit: &str,
        time: Option<Timestamp>,
        place: &Path,
    ) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Io {
            action: "make a directory for the files of a commit",
            source,
        };
        let (index, files) = (place.join("index"), place.join("files"));
        std::fs::create_dir(&files).map_err(failed)?;
        let args = ["read-tree", "--reset", "-u", commit].map(OsStr::new);
        let call = Call {
            tree: Some((&index, &files)),
            ..Call::new("check out", &args)
        };
        mirror.git().run(call).await?;
        let time = match time {
            Some(time) => time,
            None => commit_time(mirror, commit).await?,
        };
        let memory = ContextMemory::load(engine.store(), &files.to_string_lossy());
        let files = Context::open(&files, String::new(), Ignore::default(), memory)?;
        Ok(Self { files, time })
    }

    pub(super) fn time(&self) -> Timestamp {
        self.time
    }

    /// The files at a path, links followed beneath the top.
    pub(super) async fn tree(self, path: String) -> Result<Option<Node>, SourceError> {
        blocking(move || {
            let mut found = self.files.node_at(path.as_bytes(), &Filter::default())?;
            if let Some(node) = &mut found {
                settle(node, self.time);
            }
            Ok(found)
        })
        .await
    }
}

/// When the commit was made.
async fn commit_time(mirror: &Mirror, commit: &str) -> Result<Timestamp, SourceError> {
    let args = ["log", "-1", "--no-show-signature", "--format=%ct", commit].map(OsStr::new);
    let answer = mirror
        .git()
        .run(Call::new("read the commit of", &args))
        .await?;
    let seconds = String::from_utf8_lossy(&answer).trim().parse();
    Ok(Timestamp::from_seconds(seconds.unwrap_or(0)))
}

/// Gives files what Git knows of them and nothing else of the disk they lie on.
pub(super) fn settle(node: &mut Node, time: Timestamp) {
    node.metadata.xattrs.clear();
    node.metadata.mtime = time;
    match &mut node.kind {
        Kind::Directory(children) => {
            node.metadata.mode = EXECUTABLE;
            for (_, child) in children {
                settle(child, time);
            }
        }
        Kind::File(file) => {
            file.link = None;
            let executable = node.metadata.mode & 0o100 != 0;
            node.metadata.mode = if executable { EXECUTABLE } else { PLAIN };
        }
        _ => {}
    }
}

/// Puts a tree in the place of an empty directory of another; whether there is one.
pub(super) fn graft(tree: &mut Node, path: &str, part: Node) -> bool {
    let mut node = tree;
    for name in path.split('/') {
        let Kind::Directory(children) = &mut node.kind else {
            return false;
        };
        let Some((_, child)) = children
            .iter_mut()
            .find(|(own, _)| **own == *name.as_bytes())
        else {
            return false;
        };
        node = child;
    }
    let empty = matches!(&node.kind, Kind::Directory(children) if children.is_empty());
    if empty {
        *node = part;
    }
    empty
}

/// A directory `.git` from which work can go on: the commit alone, and where it came from.
pub(super) async fn git_directory(
    engine: &Engine,
    mirror: &Mirror,
    commit: &str,
    reference: Option<&str>,
    place: &Workplace,
) -> Result<Node, SourceError> {
    let top = place.path().join("kept");
    let directory = top.join(".git");
    let failed = |source| SourceError::Io {
        action: "make a repository",
        source,
    };
    std::fs::create_dir(&top).map_err(failed)?;
    let git = mirror.git().local().at(directory.clone());
    let run = async |args: &[&str]| {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let call = Call {
            tree: Some((&directory.join("index"), &top)),
            ..Call::new("copy", &args)
        };
        git.run(call).await.map(drop)
    };
    run(&["init", "--quiet", "--template=", "--initial-branch=master"]).await?;
    let from = mirror.directory().to_string_lossy();
    let kept = format!("+refs/rbuild/commits/{commit}:refs/rbuild/commits/{commit}");
    let fetch = [
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-write-fetch-head",
        "--depth=1",
    ];
    run(&[&fetch[..], &["--end-of-options", &from, &kept]].concat()).await?;
    run(&["update-ref", "--no-deref", "HEAD", commit]).await?;
    if let Some(reference) = reference {
        run(&["update-ref", reference, commit]).await?;
    }
    run(&["update-ref", "-d", &format!("refs/rbuild/commits/{commit}")]).await?;
    run(&["read-tree", commit]).await?;
    let config = format!(
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\
         [remote \"origin\"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
        redacted(&mirror.git().url)
    );
    std::fs::write(directory.join("config"), config).map_err(failed)?;
    std::fs::write(directory.join("HEAD"), format!("{commit}\n")).map_err(failed)?;
    // Its lines have the time of this fetch.
    std::fs::remove_dir_all(directory.join("logs")).ok();
    let (store, time) = (engine.store().clone(), Timestamp::from_seconds(0));
    let memory = move |path: &Path| ContextMemory::load(&store, &path.to_string_lossy());
    let found = blocking(move || {
        let context = Context::open(&top, String::new(), Ignore::default(), memory(&top))?;
        Ok(context.node_at(b".git", &Filter::default())?)
    });
    let mut node = found.await?.ok_or(SourceError::Io {
        action: "read a repository",
        source: std::io::ErrorKind::NotFound.into(),
    })?;
    settle(&mut node, time);
    Ok(node)
}
