//! Git repositories as BuildKit writes them: a URL, what of it is wanted behind `#`, and more of that behind `?`.

use super::RemoteError;
use super::url::{Parts, decoded, is_lower_hex, redacted, split};

/// The one short form of a URL, which only contexts may have.
const SHORT: &str = "github.com/";
/// Digits of the shortest commit that is taken for one, and of a SHA-256 one.
const COMMIT_DIGITS: std::ops::RangeInclusive<usize> = 7..=64;

/// Files of a commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitSource {
    /// Where the repository is, as Git takes it.
    pub url: String,
    /// A branch, a tag or a commit; `None` for what the repository says.
    pub reference: Option<String>,
    /// How the commit must begin.
    pub commit: Option<String>,
    /// Whose files are wanted: a directory, cleaned, relative to the top; empty for all.
    pub subdir: String,
    /// Whether a directory `.git` comes with them; `None` where the URL does not say.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules come with them.
    pub submodules: bool,
    /// The time that files get.
    pub mtime: GitMtime,
}

/// The time that files of a commit get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum GitMtime {
    /// The commit's own, so that two builds give the same.
    #[default]
    Commit,
    /// That of the checkout.
    Checkout,
}

impl GitSource {
    /// Reads the source of an `ADD`; `None` for what names no Git repository.
    pub fn parse(text: &str) -> Option<Result<Self, RemoteError>> {
        if let Some(parts) = Parts::of(text) {
            let scheme = parts.scheme.to_ascii_lowercase();
            let is_git = match scheme.as_str() {
                "git" | "ssh" => true,
                // Anything else may be at a URL of HTTP.
                "http" | "https" => parts.path().strip_suffix(".git").is_some(),
                _ => false,
            };
            return is_git.then(|| Self::from_url(parts));
        }
        is_scp_like(text).then(|| Self::from_scp(text))
    }

    /// Reads a context, which may also be `github.com/owner/name`.
    pub fn parse_context(text: &str) -> Option<Result<Self, RemoteError>> {
        if text.starts_with(SHORT) {
            let url = format!("https://{text}");
            let parts = Parts::of(&url).ok_or_else(|| RemoteError::Url(redacted(&url)));
            return Some(parts.and_then(Self::from_url));
        }
        Self::parse(text)
    }

    /// The same with `--checksum`.
    ///
    /// # Errors
    /// It is no commit, or not the one that the URL names.
    pub fn with_checksum(mut self, checksum: &str) -> Result<Self, RemoteError> {
        let commit = commit(checksum)?;
        match &self.commit {
            Some(own) if *own != commit => {
                return Err(RemoteError::Conflict {
                    what: "checksum",
                    first: own.clone(),
                    second: commit,
                });
            }
            _ => self.commit = Some(commit),
        }
        self.settle()
    }

    /// The same with `--keep-git-dir`.
    ///
    /// # Errors
    /// The URL says otherwise.
    pub fn with_git_dir(mut self, keep: bool) -> Result<Self, RemoteError> {
        match self.keep_git_dir {
            Some(own) if own != keep => Err(RemoteError::Conflict {
                what: "keep-git-dir",
                first: own.to_string(),
                second: keep.to_string(),
            }),
            _ => {
                self.keep_git_dir = Some(keep);
                Ok(self)
            }
        }
    }

    fn from_url(parts: Parts<'_>) -> Result<Self, RemoteError> {
        let wrong = || RemoteError::Url(redacted(parts.base));
        // SSH would take such a host for an option.
        let optional = parts.host().is_empty() || parts.authority.starts_with('-');
        if optional || parts.host().starts_with('-') {
            return Err(wrong());
        }
        let scheme = parts.scheme.to_ascii_lowercase();
        let url = format!("{scheme}{}", &parts.base[parts.scheme.len()..]);
        let fragment = decoded(parts.fragment.unwrap_or_default()).ok_or_else(wrong)?;
        Self::new(url, &fragment, parts.query.unwrap_or_default())
    }

    fn from_scp(text: &str) -> Result<Self, RemoteError> {
        let (rest, fragment) = split(text, '#');
        let (url, query) = split(rest, '?');
        if url.contains(|c: char| c.is_control() || c == ' ') {
            return Err(RemoteError::Url(redacted(url)));
        }
        let fragment = fragment.unwrap_or_default();
        Self::new(url.to_owned(), fragment, query.unwrap_or_default())
    }

    fn new(url: String, fragment: &str, query: &str) -> Result<Self, RemoteError> {
        let (reference, subdir) = split(fragment, ':');
        let mut source = Self {
            url,
            reference: (!reference.is_empty()).then(|| reference.to_owned()),
            commit: None,
            subdir: subdir.unwrap_or_default().to_owned(),
            keep_git_dir: None,
            submodules: true,
            mtime: GitMtime::default(),
        };
        source.read_query(query)?;
        source.settle()
    }

    fn read_query(&mut self, query: &str) -> Result<(), RemoteError> {
        let mut seen = Vec::new();
        let (mut tag, mut branch) = (None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = split(pair, '=');
            let value = value.unwrap_or_default();
            let text = decoded(value).ok_or_else(|| RemoteError::Value {
                key: key.to_owned(),
                value: value.to_owned(),
            })?;
            if seen.contains(&key) {
                return Err(RemoteError::ManyValues(key.to_owned()));
            }
            seen.push(key);
            let switch = matches!(key, "submodules" | "keep-git-dir");
            if text.is_empty() && !switch {
                return Err(RemoteError::NoValue(key.to_owned()));
            }
            match key {
                "ref" => self.set_reference(text)?,
                "tag" => tag = Some(text),
                "branch" => branch = Some(text),
                "subdir" if self.subdir.is_empty() || self.subdir == text => self.subdir = text,
                "subdir" => {
                    return Err(RemoteError::Conflict {
                        what: "subdir",
                        first: self.subdir.clone(),
                        second: text,
                    });
                }
                "checksum" | "commit" => self.commit = Some(commit(&text)?),
                "keep-git-dir" => self.keep_git_dir = Some(truth(key, &text)?),
                "submodules" => self.submodules = truth(key, &text)?,
                "mtime" => self.mtime = mtime(text)?,
                _ => return Err(RemoteError::Query(key.to_owned())),
            }
        }
        if let (Some(tag), Some(branch)) = (&tag, &branch) {
            return Err(RemoteError::Conflict {
                what: "branch and tag",
                first: branch.clone(),
                second: tag.clone(),
            });
        }
        for (name, prefix) in [(tag, "refs/tags/"), (branch, "refs/heads/")] {
            if let Some(name) = name {
                let short = name.strip_prefix(prefix).unwrap_or(&name);
                self.set_reference(format!("{prefix}{short}"))?;
            }
        }
        Ok(())
    }

    fn set_reference(&mut self, reference: String) -> Result<(), RemoteError> {
        match &self.reference {
            Some(own) if *own != reference => Err(RemoteError::Conflict {
                what: "ref",
                first: own.clone(),
                second: reference,
            }),
            _ => {
                self.reference = Some(reference);
                Ok(())
            }
        }
    }

    /// Checks and completes what was read.
    fn settle(mut self) -> Result<Self, RemoteError> {
        if self.reference.is_none() {
            self.reference.clone_from(&self.commit);
        }
        if let Some(reference) = &self.reference
            && !is_reference(reference)
        {
            return Err(RemoteError::Reference(redacted(reference)));
        }
        self.subdir = cleaned(&self.subdir);
        Ok(self)
    }
}

/// Whether it is a URL that a repository may be at: of HTTP, SSH or Git.
pub fn repository_url(url: &str) -> bool {
    let Some(parts) = Parts::of(url) else {
        return is_scp_like(url) && !url.contains(|c: char| c.is_control() || c == ' ');
    };
    let host = parts.host();
    matches!(parts.scheme, "http" | "https" | "git" | "ssh")
        && !host.is_empty()
        && !host.starts_with('-')
        && !parts.authority.starts_with('-')
}

/// `user@host:path`, which Git takes for SSH.
fn is_scp_like(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else {
        return false;
    };
    let Some((host, path)) = rest.split_once(':') else {
        return false;
    };
    let word = |text: &str, more: &[u8]| {
        !text.is_empty()
            && !text.starts_with('-')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    word(user, b"-_") && word(host, b"-.") && !path.is_empty()
}

/// Whether Git takes it for the name of a reference or for a commit, and nothing for an option (the rules of
/// `git check-ref-format`).
fn is_reference(text: &str) -> bool {
    let component = |text: &str| {
        !text.is_empty() && !text.starts_with('.') && text.strip_suffix(".lock").is_none()
    };
    !text.starts_with('-')
        && !text.ends_with('.')
        && !text.contains("..")
        && !text.contains("@{")
        && text != "@"
        && text.len() <= 1024
        && !text.contains(|c: char| c.is_control() || " ~^:?*[\\".contains(c))
        && text.split('/').all(component)
}

fn commit(text: &str) -> Result<String, RemoteError> {
    if COMMIT_DIGITS.contains(&text.len()) && is_lower_hex(text) {
        Ok(text.to_owned())
    } else {
        Err(RemoteError::Commit(text.to_owned()))
    }
}

fn mtime(text: String) -> Result<GitMtime, RemoteError> {
    match text.as_str() {
        "commit" => Ok(GitMtime::Commit),
        "checkout" => Ok(GitMtime::Checkout),
        _ => Err(RemoteError::Value {
            key: "mtime".to_owned(),
            value: text,
        }),
    }
}

/// Go's `strconv.ParseBool`; a key without a value is true.
fn truth(key: &str, text: &str) -> Result<bool, RemoteError> {
    match text {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(RemoteError::Value {
            key: key.to_owned(),
            value: text.to_owned(),
        }),
    }
}

/// A path beneath the top, without what leads nowhere; `..` ends at the top.
fn cleaned(path: &str) -> String {
    let mut components = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop();
            }
            name => components.push(name),
        }
    }
    components.join("/")
}
