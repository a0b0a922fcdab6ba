//! Sources on the network: files at a URL and Git repositories, as `ADD` and build contexts name them.

mod git;
mod url;

pub use git::{GitMtime, GitSource, repository_url};
pub use url::{HttpForm, HttpSource, file_name, host, is_url, redacted};

/// A source on the network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RemoteSource {
    /// What a URL leads to.
    Http(HttpSource),
    /// Files of a commit.
    Git(GitSource),
}

impl RemoteSource {
    /// What it is called in messages: its URL, without a password.
    pub fn display(&self) -> String {
        match self {
            Self::Http(source) => redacted(&source.url),
            Self::Git(source) => redacted(&source.url),
        }
    }
}

/// A text that looks like a remote source and is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// Not a URL.
    #[error("`{0}` is not a valid URL")]
    Url(String),
    /// A name that Git does not allow, or might take for an option.
    #[error("`{0}` is not a valid Git reference")]
    Reference(String),
    /// No commit.
    #[error("`{0}` is not a Git commit: it has 7 to 64 hexadecimal digits")]
    Commit(String),
    /// No digest.
    #[error("`{0}` is not a digest: it is `sha256:` and 64 hexadecimal digits")]
    Digest(String),
    /// A key that is not known.
    #[error("unexpected query `{0}`")]
    Query(String),
    /// A key that needs a value.
    #[error("query `{0}` has no value")]
    NoValue(String),
    /// A key that stands twice.
    #[error("query `{0}` has multiple values")]
    ManyValues(String),
    /// A value that makes no sense.
    #[error("invalid {key} value: `{value}`")]
    Value {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Two values that cannot both be right.
    #[error("{what} conflicts: `{first}` and `{second}`")]
    Conflict {
        /// Of what.
        what: &'static str,
        /// One.
        first: String,
        /// The other.
        second: String,
    },
}

#[cfg(test)]
mod tests;
