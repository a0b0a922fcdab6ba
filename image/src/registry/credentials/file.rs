//! One file with credentials: read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde::Deserialize;

use super::helper::Helper;
use super::{Credential, CredentialError, registry_of};
use crate::json;
use crate::registry::read_if_there;

/// What of a file concerns us.
#[derive(Debug)]
pub(super) struct AuthFile {
    path: PathBuf,
    content: Content,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Content {
    auths: HashMap<String, Entry>,
    creds_store: String,
    cred_helpers: HashMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "lowercase")]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

impl AuthFile {
    /// Reads a file; `None` if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, CredentialError> {
        let Some(bytes) = read(path)? else {
            return Ok(None);
        };
        let content = json::object(&bytes).map_err(|error| bad_json(path, &error))?;
        Ok(Some(Self {
            path: path.to_owned(),
            content,
        }))
    }

    /// The credential for a repository: that of the registry's helper, else that of the entry whose key is the longest
    /// beginning of the repository's name.
    pub(super) fn look_up(
        &self,
        registry: &str,
        path: &str,
    ) -> Result<Option<Credential>, CredentialError> {
        if let Some(helper) = self.helper(registry)?
            && let Some(credential) = helper.get(registry)?
        {
            return Ok(Some(credential));
        }
        let mut name = match path {
            "" => registry.to_owned(),
            path => format!("{registry}/{path}"),
        };
        loop {
            if let Some(credential) = self.entry(&name)? {
                return Ok(Some(credential));
            }
            match name.rfind('/') {
                Some(slash) => name.truncate(slash),
                None => return Ok(None),
            }
        }
    }

    /// The helper that keeps a registry's credentials.
    pub(super) fn helper(&self, registry: &str) -> Result<Option<Helper>, CredentialError> {
        let own = self.content.cred_helpers.iter();
        let own = own.filter(|(key, _)| registry_of(key) == registry);
        let name = own.map(|(_, name)| name).min();
        let name = name.unwrap_or(&self.content.creds_store);
        // An empty name takes a registry out of the common store.
        (!name.is_empty()).then(|| Helper::new(name)).transpose()
    }

    /// The entry of just this name. Of several forms of one name the plain one counts: it is the shortest.
    fn entry(&self, name: &str) -> Result<Option<Credential>, CredentialError> {
        let found = self.content.auths.iter();
        let found = found.filter(|(key, _)| name_of(key) == name);
        match found.min_by_key(|(key, _)| (key.len(), key.as_str())) {
            Some((key, entry)) => entry.credential().map_err(|()| CredentialError::Auth {
                path: self.path.clone(),
                key: key.clone(),
            }),
            None => Ok(None),
        }
    }
}

/// The bytes of a file, if there is one.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, CredentialError> {
    read_if_there(path).map_err(|source| CredentialError::File {
        action: "read the credentials in",
        path: path.to_owned(),
        source,
    })
}

pub(super) fn bad_json(path: &Path, error: &serde_json::Error) -> CredentialError {
    CredentialError::Json {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
    }
}

/// What a key stands for: addresses are Docker's way to name a registry, names with a path are Podman's to name what is
/// in one.
pub(super) fn name_of(key: &str) -> String {
    let registry = registry_of(key);
    if key.contains("://") {
        return registry;
    }
    match key.trim_end_matches('/').split_once('/') {
        Some((_, path)) if !matches!(path, "v1" | "v2") => format!("{registry}/{path}"),
        _ => registry,
    }
}

impl Entry {
    fn credential(&self) -> Result<Option<Credential>, ()> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credential::IdentityToken(self.identitytoken.clone())));
        }
        if !self.username.is_empty() {
            return Ok(Some(Credential::Password {
                user: self.username.clone(),
                password: self.password.clone(),
            }));
        }
        if self.auth.is_empty() {
            return Ok(None);
        }
        let (user, password) = decode(&self.auth).ok_or(())?;
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

/// Shows whose credentials there are, and none of them.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.auths.keys()).finish()
    }
}
