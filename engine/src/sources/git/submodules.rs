//! Submodules, each a repository of its own: fetched, checked out apart and put in its place in the tree, so that no
//! file of one can lead into another.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use frontend::remote::{redacted, repository_url};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use layer::Timestamp;

use super::super::layer::Workplace;
use super::super::{Access, SourceError};
use super::checkout::{Checkout, graft};
use super::mirror::Mirror;
use super::program::Call;
use crate::engine::Engine;
use crate::files::node::Node;

/// How deep submodules are nested at most.
const MAX_DEPTH: usize = 16;
/// How many one repository has at most.
const MAX_COUNT: usize = 1024;
/// The mode of a submodule in a tree.
const GITLINK: &str = "160000";

/// What all submodules of a checkout share.
pub(super) struct Wanted<'a> {
    pub(super) engine: &'a Engine,
    pub(super) access: Access<'a>,
    pub(super) place: &'a Workplace,
    /// The time that their files get.
    pub(super) time: Timestamp,
}

impl Wanted<'_> {
    /// Adds the submodules of a commit to its tree. The mirror is let go before others are taken.
    pub(super) async fn add(
        &self,
        tree: &mut Node,
        mirror: Mirror,
        commit: &str,
    ) -> Result<(), SourceError> {
        self.add_below(tree, mirror, commit, 0).await
    }

    async fn add_below(
        &self,
        tree: &mut Node,
        mirror: Mirror,
        commit: &str,
        depth: usize,
    ) -> Result<(), SourceError> {
        let url = mirror.git().url.clone();
        let modules = modules(&mirror, commit).await?;
        if modules.is_empty() {
            return Ok(());
        }
        let links = links(&mirror, commit).await?;
        drop(mirror);
        let failed = |path: &str, problem| SourceError::Submodule {
            url: redacted(&url),
            path: path.to_owned(),
            problem,
        };
        if links.len() > MAX_COUNT {
            return Err(failed(&links[MAX_COUNT].0, "there are too many"));
        }
        for (path, commit) in links {
            if depth == MAX_DEPTH {
                return Err(failed(&path, "it is nested too deep"));
            }
            let own = modules.get(&path);
            let own = own.ok_or_else(|| failed(&path, "`.gitmodules` has no URL for it"))?;
            let own = resolve(&url, own);
            let own = own.and_then(|own| repository_url(&own).then_some(own));
            let own = own.ok_or_else(|| failed(&path, "its URL is not one of HTTP, SSH or Git"))?;
            let part = self.checkout(own, commit, depth).await?;
            if !graft(tree, &path, part) {
                return Err(failed(&path, "there is something else in its place"));
            }
        }
        Ok(())
    }

    fn checkout(
        &self,
        url: String,
        commit: String,
        depth: usize,
    ) -> BoxFuture<'_, Result<Node, SourceError>> {
        let checkout = async move {
            let mirror = Mirror::open(self.engine, &url, self.access).await?;
            mirror.fetch(&commit).await?;
            let io = |source| SourceError::Io {
                action: "make a directory for a submodule",
                source,
            };
            let place = tempfile::tempdir_in(self.place.path()).map_err(io)?.keep();
            let time = Some(self.time);
            let checkout = Checkout::new(self.engine, &mirror, &commit, time, &place).await?;
            let tree = checkout.tree(String::new()).await?;
            let mut tree = tree.ok_or_else(|| SourceError::NoReference {
                url: redacted(&url),
                reference: commit.clone(),
            })?;
            self.add_below(&mut tree, mirror, &commit, depth + 1)
                .await?;
            Ok(tree)
        };
        checkout.boxed()
    }
}

/// The URLs in `.gitmodules`, by path.
async fn modules(mirror: &Mirror, commit: &str) -> Result<BTreeMap<String, String>, SourceError> {
    let blob = format!("{commit}:.gitmodules");
    let args = ["cat-file", "-e", &blob].map(OsStr::new);
    if mirror
        .git()
        .run(Call::new("look into", &args))
        .await
        .is_err()
    {
        return Ok(BTreeMap::new());
    }
    let args = ["config", "--blob", &blob, "--list", "-z"].map(OsStr::new);
    let answer = mirror
        .git()
        .run(Call::new("read the submodules of", &args))
        .await?;
    let text = String::from_utf8_lossy(&answer);
    let (mut paths, mut urls) = (BTreeMap::new(), BTreeMap::new());
    for entry in text.split('\0') {
        let Some((key, value)) = entry.split_once('\n') else {
            continue;
        };
        let Some(rest) = key.strip_prefix("submodule.") else {
            continue;
        };
        match rest.rsplit_once('.') {
            Some((name, "path")) => paths.insert(name.to_owned(), value.to_owned()),
            Some((name, "url")) => urls.insert(name.to_owned(), value.to_owned()),
            _ => None,
        };
    }
    let mut found = BTreeMap::new();
    for (name, path) in paths {
        if let Some(url) = urls.remove(&name) {
            found.insert(path, url);
        }
    }
    Ok(found)
}

/// Paths and commits of the submodules in a commit's tree.
async fn links(mirror: &Mirror, commit: &str) -> Result<Vec<(String, String)>, SourceError> {
    let args = ["ls-tree", "-r", "-z", "--full-tree", commit].map(OsStr::new);
    let answer = mirror
        .git()
        .run(Call::new("read the files of", &args))
        .await?;
    let text = String::from_utf8_lossy(&answer);
    let links = text.split('\0').filter_map(|line| {
        let (about, path) = line.split_once('\t')?;
        let mut about = about.split(' ');
        let is_link = about.next() == Some(GITLINK);
        let commit = about.nth(1)?;
        is_link.then(|| (path.to_owned(), commit.to_owned()))
    });
    Ok(links.collect())
}

/// The URL of a submodule, which may be relative to that of its repository.
fn resolve(parent: &str, url: &str) -> Option<String> {
    if !url.starts_with("./") && !url.starts_with("../") {
        return Some(url.to_owned());
    }
    let mut base = parent.trim_end_matches('/');
    let mut rest = url;
    loop {
        if let Some(next) = rest.strip_prefix("./") {
            rest = next;
        } else if let Some(next) = rest.strip_prefix("../") {
            base = &base[..base.rfind(['/', ':'])?];
            rest = next;
        } else {
            break;
        }
    }
    // Nothing but the path may be climbed.
    let host = parent.find("://").map_or_else(
        || parent.find(':'),
        |at| Some(at + 3 + parent[at + 3..].find('/')?),
    )?;
    if base.len() < host {
        return None;
    }
    let mark = if base.len() == host && !parent.contains("://") {
        ':'
    } else {
        '/'
    };
    Some(format!("{base}{mark}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_urls_stay_on_the_host() {
        let cases = [
            ("https://h/a/b.git", "../c.git", Some("https://h/a/c.git")),
            ("https://h/a/b.git", "../../c.git", Some("https://h/c.git")),
            (
                "https://h/a/b.git",
                "./c.git",
                Some("https://h/a/b.git/c.git"),
            ),
            ("https://h/b.git/", "../c.git", Some("https://h/c.git")),
            ("https://h/b.git", "../../c.git", None),
            ("https://h/b.git", "../../../c.git", None),
            ("git@h:a/b.git", "../c.git", Some("git@h:a/c.git")),
            ("git@h:b.git", "../c.git", Some("git@h:c.git")),
            ("git@h:b.git", "../../c.git", None),
            (
                "https://h/b.git",
                "https://i/c.git",
                Some("https://i/c.git"),
            ),
        ];
        for (parent, url, expected) in cases {
            assert_eq!(resolve(parent, url).as_deref(), expected, "{parent} {url}");
        }
    }
}
