//! User names and passwords, and where Docker's and Podman's tools keep them.

mod edit;
mod file;
mod helper;

use std::io;
use std::path::PathBuf;

use file::AuthFile;
use helper::Helper;

/// What proves to a registry who we are. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user with a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A refresh token, to be exchanged for others at the registry's token server.
    IdentityToken(String),
}

/// Gives the credentials of registries.
pub trait Credentials: Send + Sync {
    /// Those for a repository, by the name of its registry in references (`docker.io`, `localhost:5000`) and its path,
    /// which is empty where none in particular is meant. May block for some time.
    fn look_up(&self, registry: &str, path: &str) -> Result<Option<Credential>, CredentialError>;
}

/// No credentials for anyone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCredentials;

/// The same for everyone.
#[derive(Debug, Clone)]
pub(super) struct Given(pub(super) Credential);

/// The credentials in files like Docker's `config.json` and Podman's `auth.json`: under `auths`, and in the helpers that
/// `credHelpers` and `credsStore` name. The files are read when they are needed; one that is absent has nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthFiles {
    /// The most important first; that is also where a login is kept.
    paths: Vec<PathBuf>,
}

/// Where a login was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Readable by all who can read this file.
    File(PathBuf),
    /// With a credential helper.
    Helper,
}

/// Credentials that cannot be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A file could not be used.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not JSON of the right form. What the reader says of it is not passed on: it may quote a password.
    #[error("{}:{line}:{column}: this is not what Docker's clients write to `config.json`", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where: counted from 1.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// An `auth` that is not base64 of `user:password`.
    #[error("in `{}` the `auth` of `{key}` is not base64 of `user:password`", path.display())]
    Auth {
        /// The file.
        path: PathBuf,
        /// Whose.
        key: String,
    },
    /// There is no file to keep a login in.
    #[error("there is no place to keep credentials: set HOME or DOCKER_CONFIG")]
    NoPlace,
    /// A helper whose name leads elsewhere.
    #[error("`{0}` is not the name of a credential helper")]
    HelperName(String),
    /// A helper that could not be run.
    #[error("cannot run `{program}`")]
    HelperStart {
        /// Its program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A helper that failed.
    #[error("`{program} {action}` failed: {message}")]
    Helper {
        /// Its program.
        program: String,
        /// What it was asked.
        action: &'static str,
        /// What it said.
        message: String,
    },
    /// A helper that did not answer as helpers do. Its answer may hold a password and is not shown.
    #[error("`{0} get` did not answer as credential helpers do")]
    HelperAnswer(String),
}

impl Credentials for NoCredentials {
    fn look_up(&self, _: &str, _: &str) -> Result<Option<Credential>, CredentialError> {
        Ok(None)
    }
}

impl Credentials for Given {
    fn look_up(&self, _: &str, _: &str) -> Result<Option<Credential>, CredentialError> {
        Ok(Some(self.0.clone()))
    }
}

impl Credentials for AuthFiles {
    fn look_up(&self, registry: &str, path: &str) -> Result<Option<Credential>, CredentialError> {
        for place in &self.paths {
            let Some(file) = AuthFile::read(place)? else {
                continue;
            };
            if let Some(credential) = file.look_up(registry, path)? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }
}

impl AuthFiles {
    /// Those at these paths, the most important first.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths }
    }

    /// Keeps a login: with the helper that the first file names for the registry, or in that file.
    pub fn keep(&self, registry: &str, credential: &Credential) -> Result<Kept, CredentialError> {
        let path = self.paths.first().ok_or(CredentialError::NoPlace)?;
        let helper = self.helper(registry)?;
        if let Some(helper) = &helper {
            helper.store(registry, credential)?;
        }
        let in_file = helper.is_none().then_some(credential);
        edit::put(path, registry, in_file)?;
        Ok(match helper {
            Some(_) => Kept::Helper,
            None => Kept::File(path.clone()),
        })
    }

    /// Forgets a login: where [`AuthFiles::keep`] keeps it.
    pub fn forget(&self, registry: &str) -> Result<(), CredentialError> {
        let Some(path) = self.paths.first() else {
            return Ok(());
        };
        if let Some(helper) = self.helper(registry)? {
            helper.erase(registry)?;
        }
        edit::remove(path, registry)
    }

    fn helper(&self, registry: &str) -> Result<Option<Helper>, CredentialError> {
        let path = self.paths.first().ok_or(CredentialError::NoPlace)?;
        match AuthFile::read(path)? {
            Some(file) => file.helper(registry),
            None => Ok(None),
        }
    }
}

impl Credential {
    /// The user, where it has one.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Password { user, .. } => Some(user),
            Self::IdentityToken(_) => None,
        }
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password(…)",
            Self::IdentityToken(_) => "IdentityToken(…)",
        })
    }
}

/// The registry that a key or what a user types means: `https://index.docker.io/v1/` is Docker Hub.
pub fn registry_of(text: &str) -> String {
    let host = text
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap_or(text);
    match host {
        "" | "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    }
}

/// What a registry is called in files and by helpers.
pub fn key_of(registry: &str) -> &str {
    match registry {
        "docker.io" => "https://index.docker.io/v1/",
        registry => registry,
    }
}

#[cfg(test)]
mod tests;
