//! Named contexts: what stands for stages and images of their names.

use std::fmt;
use std::path::PathBuf;

use frontend::remote::{
    GitSource, HttpForm, HttpSource, RemoteError, RemoteSource, file_name, is_url,
};
use image::Reference;
use layer::Digest;

/// What a file is called that a URL without a path leads to.
const UNNAMED: &str = "download";

/// A named context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// A directory, seen through its own `.dockerignore`.
    Directory(PathBuf),
    /// An image of a registry or of the store.
    Image(Reference),
    /// An image of an OCI layout in a directory.
    Layout(LayoutSource),
    /// The files of a Git repository, or what a URL leads to: the files of an archive, or one file.
    Remote(RemoteSource),
}

/// An image of an OCI layout: `oci-layout://PATH[:TAG][@DIGEST]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutSource {
    /// The directory.
    pub path: PathBuf,
    /// The tag in its `index.json`; none for `latest`, or the only image.
    pub tag: Option<String>,
    /// The digest of the manifest or index, whatever the tag.
    pub digest: Option<Digest>,
}

/// How values begin that name a layout.
const LAYOUT: &str = "oci-layout://";

impl LayoutSource {
    /// Reads what stands behind the scheme, as `docker buildx` does: the path ends with the first colon.
    fn parse(text: &str) -> Result<Self, ContextError> {
        let bad = || ContextError::Layout(text.to_owned());
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(|_| bad())?)),
            None => (text, None),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        if path.is_empty() || tag.is_some_and(str::is_empty) {
            return Err(bad());
        }
        Ok(Self {
            path: path.into(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

impl fmt::Display for LayoutSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LAYOUT}{}", self.path.display())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
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
    /// No directory, tag and digest of a layout.
    #[error("`{LAYOUT}{0}` is not an OCI layout: `{LAYOUT}PATH[:TAG][@DIGEST]`")]
    Layout(String),
    /// A kind of source that builds do not have.
    #[error("contexts `{0}` are not supported")]
    Scheme(&'static str),
}

impl NamedContext {
    /// Reads `NAME` and `VALUE` of `--build-context NAME=VALUE`; gives the full name.
    pub fn parse(name: &str, value: &str) -> Result<(String, Self), ContextError> {
        let name =
            frontend::context_name(name).ok_or_else(|| ContextError::Name(name.to_owned()))?;
        for scheme in ["target:", "input:"] {
            if value.starts_with(scheme) {
                return Err(ContextError::Scheme(scheme));
            }
        }
        let context = if let Some(reference) = value.strip_prefix("docker-image://") {
            Self::Image(reference.parse()?)
        } else if let Some(layout) = value.strip_prefix(LAYOUT) {
            Self::Layout(LayoutSource::parse(layout)?)
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
            // No reference has a scheme.
            Self::Layout(layout) => frontend::NamedContext::Image(layout.to_string()),
            Self::Remote(source) => frontend::NamedContext::Remote(source.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_have_tags_and_digests() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, path, tag, has_digest) in [
            ("/x/y".to_owned(), "/x/y", None, false),
            ("x:1.2".to_owned(), "x", Some("1.2"), false),
            (format!("./x:1@{digest}"), "./x", Some("1"), true),
            (format!("x@{digest}"), "x", None, true),
        ] {
            let layout = LayoutSource::parse(&text).expect("a layout");
            assert_eq!(layout.path, PathBuf::from(path));
            assert_eq!(
                (layout.tag.as_deref(), layout.digest.is_some()),
                (tag, has_digest)
            );
            assert_eq!(layout.to_string(), format!("oci-layout://{text}"));
        }
    }

    #[test]
    fn values_say_what_they_are() {
        let kind = |value: &str| match NamedContext::parse("a", value) {
            Ok((name, context)) => {
                assert_eq!(name, "docker.io/library/a:latest");
                match context {
                    NamedContext::Directory(_) => "directory",
                    NamedContext::Image(_) => "image",
                    NamedContext::Layout(_) => "layout",
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
            ("oci-layout:///x:1", "layout"),
            ("oci-layout://", "error"),
            ("oci-layout://x:", "error"),
            ("oci-layout://x@sha256:1", "error"),
            ("target:x", "error"),
        ] {
            assert_eq!(kind(value), expected, "{value}");
        }
        for name in ["scratch", "context", "", "A", "a b"] {
            assert!(NamedContext::parse(name, ".").is_err(), "{name}");
        }
    }
}
