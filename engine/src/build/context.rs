//! Named contexts: what stands for stages and images of their names.

use std::path::PathBuf;

use frontend::remote::{
    GitSource, HttpForm, HttpSource, RemoteError, RemoteSource, file_name, is_url,
};
use image::Reference;

/// What a file is called that a URL without a path leads to.
const UNNAMED: &str = "download";

/// A named context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// A directory, seen through its own `.dockerignore`.
    Directory(PathBuf),
    /// An image of a registry or of the store.
    Image(Reference),
    /// The files of a Git repository, or what a URL leads to: the files of an archive, or one file.
    Remote(RemoteSource),
}

/// A named context that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// Its name is that of no image and no stage, or has another meaning.
    #[error("`{0}` cannot be the name of a context")]
    Name(String),
    /// A name that is not a reference.
    #[error(transparent)]
    Reference(#[from] image::ReferenceError),
    /// A wrong URL.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A kind of source that builds do not have.
    #[error("contexts `{0}` are not supported")]
    Scheme(&'static str),
}

impl NamedContext {
    /// Reads `NAME` and `VALUE` of `--build-context NAME=VALUE`; gives the full name.
    pub fn parse(name: &str, value: &str) -> Result<(String, Self), ContextError> {
        let name =
            frontend::context_name(name).ok_or_else(|| ContextError::Name(name.to_owned()))?;
        for scheme in ["oci-layout://", "target:", "input:"] {
            if value.starts_with(scheme) {
                return Err(ContextError::Scheme(scheme));
            }
        }
        let context = if let Some(reference) = value.strip_prefix("docker-image://") {
            Self::Image(reference.parse()?)
        } else if let Some(source) = GitSource::parse_context(value) {
            Self::Remote(RemoteSource::Git(source?))
        } else if is_url(value) {
            let name = file_name(value).unwrap_or_else(|| UNNAMED.to_owned());
            let source = HttpSource::new(value, &name, HttpForm::Archive)?;
            Self::Remote(RemoteSource::Http(source))
        } else {
            Self::Directory(value.into())
        };
        Ok((name, context))
    }

    /// What of it the plan depends on.
    pub(super) fn to_plan(&self) -> frontend::NamedContext {
        match self {
            Self::Directory(_) => frontend::NamedContext::Directory,
            Self::Image(reference) => frontend::NamedContext::Image(reference.to_string()),
            Self::Remote(source) => frontend::NamedContext::Remote(source.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_say_what_they_are() {
        let kind = |value: &str| match NamedContext::parse("a", value) {
            Ok((name, context)) => {
                assert_eq!(name, "docker.io/library/a:latest");
                match context {
                    NamedContext::Directory(_) => "directory",
                    NamedContext::Image(_) => "image",
                    NamedContext::Remote(RemoteSource::Git(_)) => "git",
                    NamedContext::Remote(RemoteSource::Http(_)) => "http",
                }
            }
            Err(_) => "error",
        };
        for (value, expected) in [
            ("../x", "directory"),
            ("docker-image://busybox@sha256:1", "error"),
            ("docker-image://busybox:1", "image"),
            ("https://example.com/a.git#main", "git"),
            ("https://example.com/a.tar", "http"),
            ("oci-layout:///x", "error"),
            ("target:x", "error"),
        ] {
            assert_eq!(kind(value), expected, "{value}");
        }
        for name in ["scratch", "context", "", "A", "a b"] {
            assert!(NamedContext::parse(name, ".").is_err(), "{name}");
        }
    }
}
