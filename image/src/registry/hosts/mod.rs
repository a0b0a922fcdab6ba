//! Where registries really are: mirrors, plain HTTP, authorities and client certificates.
//!
//! The files are containerd's `hosts.toml`, in its layout: `DIRECTORY/REGISTRY/hosts.toml`, and
//! `DIRECTORY/_default/hosts.toml` for registries without a file of their own. A file is read when its registry is
//! first asked for something.

mod file;

use std::io;
use std::path::{Path, PathBuf};

use super::read_if_there;

pub(super) use file::{Capabilities, Certificate, Host, HostsFile};

/// Stands for every registry without a directory of its own.
const DEFAULT: &str = "_default";
const FILE: &str = "hosts.toml";

/// The directories with the files `REGISTRY/hosts.toml`, the most important first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    directories: Vec<PathBuf>,
}

/// A `hosts.toml` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostsError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It does not say what it should.
    #[error("{}:{line}:{column}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where in it, counted from 1.
        line: usize,
        /// Which character of the line, counted from 1.
        column: usize,
        /// What is wrong there.
        problem: HostsProblem,
    },
}

/// What is wrong in a `hosts.toml`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostsProblem {
    /// No TOML, a key that is not known, or a value of another type.
    #[error("{0}")]
    Syntax(String),
    /// Not an address of a registry.
    #[error("`{0}` is not `http://` or `https://` with a host")]
    Address(String),
    /// Something else than the three things that hosts are asked.
    #[error("`{0}` is no capability; there are `pull`, `resolve` and `push`")]
    Capability(String),
    /// Neither a path nor a list of paths.
    #[error("`ca` is the path of a file with certificates, or a list of such paths")]
    Authorities,
    /// Not one of the forms of client certificates.
    #[error(
        "`client` is the path of a file with certificate and key, or a list of such paths or of [certificate, key]"
    )]
    Client,
    /// No header.
    #[error("`header` has names of HTTP headers, each with a text or a list of texts")]
    Header,
    /// No duration.
    #[error("`{0}` is not a time like `3s` or `500ms`")]
    Timeout(String),
}

impl Hosts {
    /// Those in these directories. What is in an earlier one hides what a later one says of the same registry.
    pub fn new(directories: Vec<PathBuf>) -> Self {
        Self { directories }
    }

    /// The file for a registry, if there is one.
    pub(super) fn find(&self, registry: &str) -> Result<Option<HostsFile>, HostsError> {
        // A colon cannot stand in a path everywhere; containerd takes this form too.
        let underscored = match registry.rsplit_once(':') {
            Some((host, port)) => format!("{host}_{port}_"),
            None => registry.to_owned(),
        };
        for name in [registry, &underscored, DEFAULT] {
            for directory in &self.directories {
                let path = directory.join(name).join(FILE);
                if let Some(text) = read(&path)? {
                    return HostsFile::parse(&path, &text).map(Some);
                }
            }
        }
        Ok(None)
    }
}

fn read(path: &Path) -> Result<Option<String>, HostsError> {
    let failed = |source| HostsError::Read {
        path: path.to_owned(),
        source,
    };
    let Some(bytes) = read_if_there(path).map_err(failed)? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes);
    text.map(Some)
        .map_err(|error| failed(io::Error::other(error)))
}

#[cfg(test)]
mod tests;
