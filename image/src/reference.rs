//! Names of images, read and written by Docker's rules.
//!
//! `busybox` is `docker.io/library/busybox:latest`; what stands before the first slash is a registry if it has a dot
//! or a colon, is `localhost`, or has a capital letter. The grammar is that of the `distribution/reference` package.

use std::fmt;
use std::str::FromStr;

use layer::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const DEFAULT_REGISTRY: &str = "docker.io";
const LEGACY_REGISTRY: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// The longest path of a repository, by the same package.
const PATH_MAX: usize = 255;
const TAG_MAX: usize = 128;

/// A repository: a place in a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: String,
    path: String,
}

/// An image in a repository, by tag, by digest or by both. One with neither means the tag `latest`, and
/// [`Reference::from_str`] gives it that tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that is not the name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not the name of an image: {problem}")]
pub struct ReferenceError {
    /// The text, cut to a length fit for a message.
    pub name: String,
    /// What is wrong with it.
    pub problem: ReferenceProblem,
}

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceProblem {
    /// Nothing, or nothing before the tag.
    #[error("it is empty")]
    Empty,
    /// Capital letters in the path.
    #[error("the repository `{0}` must be lowercase")]
    Uppercase(String),
    /// 64 hexadecimal digits, which would look like an image's id.
    #[error("64 hexadecimal digits are an image's id")]
    LooksLikeId,
    /// The registry is no host with an optional port.
    #[error("`{0}` is not a host or host:port")]
    Registry(String),
    /// A part of the path is not made of lowercase letters and digits with `.`, `_`, `__` or dashes between them.
    #[error(
        "`{0}` may only have lowercase letters, digits, and single `.`, `_`, `__` or `-` between them"
    )]
    Path(String),
    /// The path is too long.
    #[error("the repository is longer than {PATH_MAX} characters")]
    TooLong,
    /// The tag is not made of letters, digits, `_`, `.` and `-`, or too long.
    #[error(
        "`{0}` is not a tag: up to {TAG_MAX} letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`"
    )]
    Tag(String),
    /// The digest is none that rbuild knows.
    #[error("`{0}` is not a digest `sha256:` and 64 lowercase hexadecimal digits")]
    Digest(String),
}

impl Repository {
    /// The registry as it stands in the name: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path in the registry: `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name as people write it: without `docker.io/library/`.
    pub fn familiar(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.to_string();
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(name) if !name.contains('/') => name.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The image of this tag.
    pub fn with_tag(&self, tag: &str) -> Result<Reference, ReferenceError> {
        check_tag(tag).map_err(|problem| error(tag, problem))?;
        Ok(Reference {
            repository: self.clone(),
            tag: Some(tag.to_owned()),
            digest: None,
        })
    }
}

impl Reference {
    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag, if there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest or index, if it is fixed.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What a registry is asked for: the digest if there is one, else the tag.
    pub fn target(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.as_deref().unwrap_or(DEFAULT_TAG).to_owned(),
        }
    }

    /// The same name, fixed to a digest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// The name as people write it: without `docker.io/library/`, but with the tag.
    pub fn familiar(&self) -> String {
        self.suffixed(self.repository.familiar())
    }

    fn suffixed(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(&digest.to_string());
        }
        name
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

/// The full form: `docker.io/library/busybox:latest`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffixed(self.repository.to_string()))
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    /// Reads a name without tag and digest, familiar or full.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse_repository(text).map_err(|problem| error(text, problem))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Reads a familiar or a full name.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|problem| error(text, problem))
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

fn parse(text: &str) -> Result<Reference, ReferenceProblem> {
    if is_id(text) {
        return Err(ReferenceProblem::LooksLikeId);
    }
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(parse_digest(digest)?)),
        None => (text, None),
    };
    // A colon before the last slash belongs to the registry's port.
    let path_at = name.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match name[path_at..].split_once(':') {
        Some((last, tag)) => (&name[..path_at + last.len()], Some(tag)),
        None => (name, None),
    };
    let repository = parse_repository(name)?;
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let default = digest.is_none().then_some(DEFAULT_TAG);
    Ok(Reference {
        repository,
        tag: tag.or(default).map(str::to_owned),
        digest,
    })
}

fn parse_repository(name: &str) -> Result<Repository, ReferenceProblem> {
    if name.is_empty() {
        return Err(ReferenceProblem::Empty);
    }
    let (registry, path) = split_registry(name);
    let path = if registry == DEFAULT_REGISTRY && !path.contains('/') {
        format!("{OFFICIAL}{path}")
    } else {
        path.to_owned()
    };
    if !is_registry(registry) {
        return Err(ReferenceProblem::Registry(excerpt(registry)));
    }
    if path.chars().any(char::is_uppercase) {
        return Err(ReferenceProblem::Uppercase(excerpt(&path)));
    }
    if let Some(part) = path.split('/').find(|part| !is_path_part(part)) {
        return Err(ReferenceProblem::Path(excerpt(part)));
    }
    if path.len() > PATH_MAX {
        return Err(ReferenceProblem::TooLong);
    }
    Ok(Repository {
        registry: registry.to_owned(),
        path,
    })
}

fn split_registry(name: &str) -> (&str, &str) {
    let Some((first, rest)) = name.split_once('/') else {
        return (DEFAULT_REGISTRY, name);
    };
    if first == LEGACY_REGISTRY {
        return (DEFAULT_REGISTRY, rest);
    }
    let named =
        first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase);
    if named {
        (first, rest)
    } else {
        (DEFAULT_REGISTRY, name)
    }
}

/// `host`, `host:port`, `[ipv6]` or `[ipv6]:port`.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else {
                return false;
            };
            let hex = |c: char| c.is_ascii_hexdigit() || c == ':';
            if address.is_empty() || !address.chars().all(hex) {
                return false;
            }
            match port.strip_prefix(':') {
                Some(port) => return is_port(port),
                None => return port.is_empty(),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    port.is_none_or(is_port) && host.split('.').all(is_host_label)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Runs of lowercase letters and digits, joined by one `.`, one or two `_`, or any number of `-`.
fn is_path_part(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(alphanumeric)
        && part.ends_with(alphanumeric)
        && part.split(alphanumeric).all(|separator| match separator {
            "" | "." | "_" | "__" => true,
            dashes => dashes.bytes().all(|byte| byte == b'-'),
        })
}

fn check_tag(tag: &str) -> Result<(), ReferenceProblem> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let valid = tag.len() <= TAG_MAX
        && tag.bytes().next().is_some_and(word)
        && tag
            .bytes()
            .all(|byte| word(byte) || matches!(byte, b'.' | b'-'));
    if valid {
        Ok(())
    } else {
        Err(ReferenceProblem::Tag(excerpt(tag)))
    }
}

fn parse_digest(text: &str) -> Result<Digest, ReferenceProblem> {
    text.parse()
        .map_err(|_| ReferenceProblem::Digest(excerpt(text)))
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn error(name: &str, problem: ReferenceProblem) -> ReferenceError {
    ReferenceError {
        name: excerpt(name),
        problem,
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests;
