//! A bare copy of what was ever fetched of a repository, kept as a cache mount is, so that a later fetch brings only
//! what is new. One user at a time.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use cache::{MountLease, Sharing};
use frontend::remote::redacted;

use super::super::{Access, SourceError};
use super::program::{Call, Git, Login};
use crate::engine::Engine;

/// How the names of cache mounts begin that are mirrors. No step can mount them.
const NAME: &str = "git repository ";
/// Where commits are kept that were fetched whole.
const REFERENCES: &str = "refs/rbuild/commits/";
/// Files that a `git` that was killed leaves.
const LOCKS: [&str; 4] = [
    "shallow.lock",
    "packed-refs.lock",
    "config.lock",
    "HEAD.lock",
];

/// Whether a cache mount's name is kept for mirrors.
pub(crate) fn is_mirror(name: &str) -> bool {
    name.starts_with(NAME)
}

/// The copy of a repository, and the use of it.
#[derive(Debug)]
pub(super) struct Mirror {
    git: Git,
    _lease: MountLease,
}

impl Mirror {
    /// Waits for the use of the copy, which is empty at first.
    pub(super) async fn open(
        engine: &Engine,
        url: &str,
        access: Access<'_>,
    ) -> Result<Self, SourceError> {
        let name = format!("{NAME}{}", redacted(url));
        let mut lease = engine
            .store()
            .mounts()
            .lease(&name, Sharing::Locked)
            .await?;
        if lease.is_fresh() {
            let git = Git::new(
                url,
                None,
                &engine.settings().proxies,
                Path::new("/dev/null"),
            );
            let git = git.at(repository(&lease));
            let args = [
                "init",
                "--quiet",
                "--bare",
                "--template=",
                "--initial-branch=main",
            ];
            git.run(Call::new("make a copy of", &args.map(OsStr::new)))
                .await?;
            // What it gives to others is the same each time.
            let args = ["config", "pack.threads", "1"];
            git.run(Call::new("make a copy of", &args.map(OsStr::new)))
                .await?;
            lease = lease.publish()?;
        }
        let login = Login::find(url, access)?;
        let known_hosts = lease.path().join("known_hosts");
        let git = Git::new(
            url,
            login.as_ref(),
            &engine.settings().proxies,
            &known_hosts,
        );
        let git = git.at(repository(&lease)).with_agent(access.agent);
        for lock in LOCKS {
            // Nobody else uses the copy, so nobody holds it.
            std::fs::remove_file(repository(&lease).join(lock)).ok();
        }
        Ok(Self { git, _lease: lease })
    }

    pub(super) fn git(&self) -> &Git {
        &self.git
    }

    pub(super) fn directory(&self) -> &Path {
        self.git.directory.as_deref().unwrap_or(Path::new("/"))
    }

    /// The references of the server that end like this one: commit or tag, and name.
    pub(super) async fn list(&self, reference: &str) -> Result<Vec<(String, String)>, SourceError> {
        let peeled = format!("{reference}^{{}}");
        let args = [
            "ls-remote",
            "--quiet",
            "--end-of-options",
            &self.git.url,
            reference,
            &peeled,
        ];
        let answer = self
            .git
            .run(Call::new("ask", &args.map(OsStr::new)))
            .await?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let pairs = text.lines().filter_map(|line| line.split_once('\t'));
        Ok(pairs
            .map(|(commit, name)| (commit.to_owned(), name.to_owned()))
            .collect())
    }

    /// Has the commit with everything in it, fetched if need be: alone where the server gives it alone, else with all
    /// branches and tags.
    pub(super) async fn fetch(&self, commit: &str) -> Result<(), SourceError> {
        let kept = format!("{REFERENCES}{commit}");
        let args = ["rev-parse", "--quiet", "--verify", &kept].map(OsStr::new);
        if self.git.run(Call::new("look into", &args)).await.is_ok() {
            return Ok(());
        }
        let alone = format!("+{commit}:{kept}");
        if self.pull(&["--depth=1"], &[&alone]).await.is_ok() {
            return Ok(());
        }
        let everything = [
            "+refs/heads/*:refs/rbuild/heads/*",
            "+refs/tags/*:refs/rbuild/tags/*",
        ];
        let shallow: &[&str] = if self.directory().join("shallow").exists() {
            &["--unshallow"]
        } else {
            &[]
        };
        self.pull(shallow, &everything).await?;
        let whole = format!("{commit}^{{commit}}");
        let args = ["update-ref", "--no-deref", &kept, &whole].map(OsStr::new);
        let found = self.git.run(Call::new("find the commit in", &args)).await;
        found.map(drop).map_err(|_| SourceError::NoReference {
            url: redacted(&self.git.url),
            reference: commit.to_owned(),
        })
    }

    async fn pull(&self, how: &[&str], what: &[&str]) -> Result<(), SourceError> {
        let fixed = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--force",
        ];
        let mut args: Vec<&OsStr> = fixed.iter().chain(how).map(OsStr::new).collect();
        args.extend(["--end-of-options", &self.git.url].map(OsStr::new));
        args.extend(what.iter().map(OsStr::new));
        self.git.run(Call::new("fetch", &args)).await.map(drop)
    }
}

fn repository(lease: &MountLease) -> PathBuf {
    lease.path().join("repository")
}
