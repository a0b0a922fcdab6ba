//! User names and passwords, and where Docker's clients keep them.

use std::collections::HashMap;

use base64::Engine as _;
use serde::Deserialize;

use crate::json;

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
    /// Those for a registry, by its name in references: `docker.io`, `localhost:5000`. May block for a short time.
    fn look_up(&self, registry: &str) -> Option<Credential>;
}

/// No credentials for anyone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCredentials;

/// The credentials in the file `config.json` of Docker's clients, under `auths`.
#[derive(Debug, Clone, Default)]
pub struct DockerConfig {
    by_registry: HashMap<String, Credential>,
}

/// A `config.json` that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// Not JSON of the right form. What the reader says of it is not passed on: it may quote a password.
    #[error("line {line}, column {column} is not what Docker's clients write to `config.json`")]
    Json {
        /// Where: counted from 1.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// An `auth` that is not base64 of `user:password`.
    #[error("the `auth` of `{0}` is not base64 of `user:password`")]
    Auth(String),
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: HashMap<String, Entry>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "lowercase")]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

impl Credentials for NoCredentials {
    fn look_up(&self, _: &str) -> Option<Credential> {
        None
    }
}

impl Credentials for DockerConfig {
    fn look_up(&self, registry: &str) -> Option<Credential> {
        self.by_registry.get(registry).cloned()
    }
}

impl DockerConfig {
    /// Reads the file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, CredentialError> {
        let file: File = json::object(bytes).map_err(|error| CredentialError::Json {
            line: error.line(),
            column: error.column(),
        })?;
        let mut entries: Vec<_> = file.auths.into_iter().collect();
        // Of several forms of one name, the plain one counts: it is the shortest and comes last.
        entries.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
        let mut by_registry = HashMap::new();
        for (key, entry) in entries {
            if let Some(credential) = entry.credential(&key)? {
                by_registry.insert(registry_of(&key), credential);
            }
        }
        Ok(Self { by_registry })
    }
}

impl Entry {
    fn credential(self, key: &str) -> Result<Option<Credential>, CredentialError> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credential::IdentityToken(self.identitytoken)));
        }
        if !self.username.is_empty() {
            return Ok(Some(Credential::Password {
                user: self.username,
                password: self.password,
            }));
        }
        if self.auth.is_empty() {
            return Ok(None);
        }
        let (user, password) =
            decode(&self.auth).ok_or_else(|| CredentialError::Auth(key.to_owned()))?;
        Ok(Some(Credential::Password { user, password }))
    }
}

fn decode(auth: &str) -> Option<(String, String)> {
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(auth.trim())
        .ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// Keys are hosts or whole addresses: `https://index.docker.io/v1/` is Docker Hub's.
fn registry_of(key: &str) -> String {
    let host = key
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap_or(key);
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn password(user: &str, password: &str) -> Credential {
        Credential::Password {
            user: user.into(),
            password: password.into(),
        }
    }

    #[test]
    fn the_file_of_docker_is_read() {
        let config = DockerConfig::parse(
            br#"{"auths":{
                "https://index.docker.io/v1/":{"auth":"dXNlcjpwYTpzcw=="},
                "localhost:5000":{"username":"u","password":"p"},
                "http://localhost:5000/v2/":{"username":"other","password":"p"},
                "ghcr.io":{"identitytoken":"t"},
                "empty.io":{}},
                "credsStore":"x","HttpHeaders":{}}"#,
        )
        .unwrap();
        assert_eq!(config.look_up("docker.io"), Some(password("user", "pa:ss")));
        assert_eq!(config.look_up("localhost:5000"), Some(password("u", "p")));
        assert_eq!(
            config.look_up("ghcr.io"),
            Some(Credential::IdentityToken("t".into()))
        );
        assert_eq!(config.look_up("empty.io"), None);
        assert_eq!(config.look_up("quay.io"), None);
        assert!(!format!("{config:?}").contains("pa:ss"));
        DockerConfig::parse(b"{}").unwrap();
    }

    #[test]
    fn a_damaged_file_is_refused_without_showing_secrets() {
        for text in ["", "[]", r#"{"auths":1}"#] {
            let error = DockerConfig::parse(text.as_bytes()).unwrap_err();
            assert!(matches!(error, CredentialError::Json { .. }));
        }
        for auth in ["!", "dXNlcg==", "/w=="] {
            let text = format!(r#"{{"auths":{{"a.io":{{"auth":"{auth}"}}}}}}"#);
            let error = DockerConfig::parse(text.as_bytes())
                .unwrap_err()
                .to_string();
            assert_eq!(
                error,
                "the `auth` of `a.io` is not base64 of `user:password`"
            );
        }
    }
}
