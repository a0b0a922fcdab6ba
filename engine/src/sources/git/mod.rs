//! Commits of Git repositories: a reference becomes a commit, and the commit's files a layer.

mod checkout;
mod mirror;
mod program;
mod submodules;

use frontend::remote::{GitMtime, GitSource, redacted};
use layer::Timestamp;
use solver::KeyWriter;

use self::checkout::Checkout;
use self::mirror::Mirror;
pub(crate) use self::mirror::is_mirror;
use super::layer::{self as layers, Workplace, blocking};
use super::{Access, SourceError};
use crate::engine::Engine;
use crate::files::node::{Child, Kind, Node};
use crate::progress::Row;
use crate::rootfs::Sealed;

/// A commit of a repository.
#[derive(Debug)]
pub(crate) struct PinnedCommit {
    source: GitSource,
    /// All its digits.
    commit: String,
    /// The full name of the branch or tag that led to it.
    reference: Option<String>,
}

impl PinnedCommit {
    pub(super) fn name(&self) -> String {
        self.commit.clone()
    }

    /// The commit decides everything but what the repository's own directory says of where it came from.
    pub(super) fn identity(&self) -> KeyWriter {
        let source = &self.source;
        let mut key = KeyWriter::new("rbuild commit", 1);
        key.text(&self.commit).text(&source.subdir);
        key.truth(source.submodules);
        key.truth(source.mtime == GitMtime::Commit);
        let origin = self.keeps_git_dir().then_some(&self.reference);
        key.option(origin, |key, reference| {
            key.text(&redacted(&source.url));
            key.option(reference.as_ref(), |key, reference| {
                key.text(reference);
            });
        });
        key
    }

    fn keeps_git_dir(&self) -> bool {
        // As with BuildKit, a part of the files comes without.
        self.source.keep_git_dir == Some(true) && self.source.subdir.is_empty()
    }

    pub(super) async fn layer(
        &self,
        engine: &Engine,
        access: Access<'_>,
        row: &Row,
    ) -> Result<Sealed, SourceError> {
        let key = self.identity().finish();
        let _alone = engine.store().exclusive(&key).await?;
        if let Some(layer) = layers::known(engine, &key)? {
            return Ok(layer);
        }
        let _spending = row.spend(crate::event::Phase::Network);
        let place = Workplace::new(engine)?;
        let tree = self.tree(engine, access, &place).await?;
        let engine = engine.clone();
        blocking(move || {
            let layer = layers::of_tree(&engine, &tree)?;
            layers::remember(&engine, &key, layer.diff_id)?;
            drop(place);
            Ok(layer)
        })
        .await
    }

    async fn tree(
        &self,
        engine: &Engine,
        access: Access<'_>,
        place: &Workplace,
    ) -> Result<Node, SourceError> {
        let (url, commit) = (&self.source.url, &self.commit);
        let mirror = Mirror::open(engine, url, access).await?;
        mirror.fetch(commit).await?;
        let time = match self.source.mtime {
            GitMtime::Commit => None,
            GitMtime::Checkout => Some(now()),
        };
        let checkout = Checkout::new(engine, &mirror, commit, time, place.path()).await?;
        let time = checkout.time();
        let Some(mut tree) = checkout.tree(String::new()).await? else {
            return Err(self.no_directory());
        };
        if self.keeps_git_dir() {
            let reference = self.reference.as_deref();
            let node = checkout::git_directory(engine, &mirror, commit, reference, place).await?;
            add(&mut tree, (b".git".as_slice().into(), node));
        }
        if self.source.submodules {
            let wanted = submodules::Wanted {
                engine,
                access,
                place,
                time,
            };
            wanted.add(&mut tree, mirror, commit).await?;
        }
        self.part(tree)
    }

    /// The part of the tree that is wanted.
    fn part(&self, tree: Node) -> Result<Node, SourceError> {
        let mut node = tree;
        for name in self
            .source
            .subdir
            .split('/')
            .filter(|name| !name.is_empty())
        {
            let Kind::Directory(children) = node.kind else {
                return Err(self.no_directory());
            };
            let child = children
                .into_iter()
                .find(|(own, _)| **own == *name.as_bytes());
            node = child.ok_or_else(|| self.no_directory())?.1;
        }
        if !node.is_dir() {
            return Err(self.no_directory());
        }
        Ok(node)
    }

    fn no_directory(&self) -> SourceError {
        SourceError::NoDirectory {
            url: redacted(&self.source.url),
            subdir: self.source.subdir.clone(),
        }
    }
}

/// Adds an entry to a directory at its place in the order.
fn add(directory: &mut Node, child: Child) {
    if let Kind::Directory(children) = &mut directory.kind {
        let place = children.partition_point(|(name, _)| *name < child.0);
        children.insert(place, child);
    }
}

fn now() -> Timestamp {
    let now = std::time::SystemTime::now();
    let since = now
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_seconds(since.as_secs().cast_signed())
}

/// Finds out which commit a source means.
pub(super) async fn pin(
    engine: &Engine,
    source: &GitSource,
    access: Access<'_>,
) -> Result<PinnedCommit, SourceError> {
    let pinned = |commit: &str, reference: Option<&str>| PinnedCommit {
        source: source.clone(),
        commit: commit.to_owned(),
        reference: reference.map(str::to_owned),
    };
    let found = match source.reference.as_deref() {
        Some(commit) if is_whole_commit(commit) => (pinned(commit, None), None),
        reference => {
            let mirror = Mirror::open(engine, &source.url, access).await?;
            let asked = reference.unwrap_or("HEAD");
            let list = mirror.list(asked).await?;
            let found = choose(&list, asked).ok_or_else(|| SourceError::NoReference {
                url: redacted(&source.url),
                reference: asked.to_owned(),
            })?;
            let name = (found.name != "HEAD").then_some(found.name);
            (pinned(found.commit, name), found.tag.map(str::to_owned))
        }
    };
    let (pinned, tag) = found;
    if let Some(expected) = &source.commit
        && !pinned.commit.starts_with(expected)
        && !tag.is_some_and(|tag| tag.starts_with(expected))
    {
        return Err(SourceError::Commit {
            url: redacted(&source.url),
            found: pinned.commit,
            expected: expected.clone(),
        });
    }
    Ok(pinned)
}

/// What a reference leads to.
#[derive(Debug, PartialEq, Eq)]
struct Found<'a> {
    commit: &'a str,
    /// The tag's own object, where it has one.
    tag: Option<&'a str>,
    name: &'a str,
}

/// Of the references that end like the one asked for, the one that is meant: by its full name, else a branch, else a tag.
fn choose<'a>(list: &'a [(String, String)], asked: &str) -> Option<Found<'a>> {
    let full = asked.strip_prefix("refs/").unwrap_or(asked);
    let names = [
        asked.to_owned(),
        format!("refs/{full}"),
        format!("refs/heads/{asked}"),
        format!("refs/tags/{asked}"),
    ];
    let get = |wanted: &str| list.iter().find(|(_, name)| name == wanted);
    let (object, name) = names.iter().find_map(|name| get(name))?;
    let found = match get(&format!("{name}^{{}}")) {
        Some((commit, _)) => Found {
            commit,
            tag: Some(object),
            name,
        },
        None => Found {
            commit: object,
            tag: None,
            name,
        },
    };
    is_whole_commit(found.commit).then_some(found)
}

/// Whether it is all digits of a commit, SHA-1 or SHA-256.
fn is_whole_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_digest_and_what_changes_it() {
        let source = |text: &str| match GitSource::parse(text) {
            Some(Ok(source)) => source,
            other => panic!("{other:?}"),
        };
        let key = |text: &str| {
            let pinned = PinnedCommit {
                source: source(text),
                commit: "a".repeat(40),
                reference: Some("refs/heads/main".to_owned()),
            };
            solver::OperationDigest::of(&pinned.identity()).to_string()
        };
        let own = key("https://h/r.git");
        assert_eq!(
            own,
            "4b2ef81a0ad1e18afa91d24b2d800d1136712e4aee38e1ee3e40b932bc37c5db"
        );
        // The commit says it all, wherever it is.
        assert_eq!(key("git@h:r"), own);
        for other in ["#:sub", "?submodules=0", "?mtime=checkout", "?keep-git-dir"] {
            assert_ne!(key(&format!("https://h/r.git{other}")), own, "{other}");
        }
    }

    #[test]
    fn a_branch_comes_before_a_tag_and_both_before_what_only_ends_like_it() {
        let digits = |digit: char| digit.to_string().repeat(40);
        let list: Vec<_> = [
            ('a', "refs/heads/x/v1"),
            ('b', "refs/tags/v1"),
            ('c', "refs/tags/v1^{}"),
            ('d', "refs/heads/both"),
            ('e', "refs/tags/both"),
            ('f', "HEAD"),
        ]
        .map(|(digit, name)| (digits(digit), name.to_owned()))
        .into();
        let found = |asked: &str| choose(&list, asked).map(|found| found.commit.to_owned());
        assert_eq!(found("v1"), Some(digits('c')));
        assert_eq!(found("both"), Some(digits('d')));
        assert_eq!(found("refs/tags/both"), Some(digits('e')));
        assert_eq!(found("tags/both"), Some(digits('e')));
        assert_eq!(found("HEAD"), Some(digits('f')));
        assert_eq!(found("x"), None);
        let lie = [("--upload-pack=x".to_owned(), "refs/heads/main".to_owned())];
        assert_eq!(choose(&lie, "main"), None);
    }
}
