//! One file with credentials: changed. What else is in it stays, and it is replaced as a whole.

use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize as _;
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Serializer, Value, json};

use super::file::{bad_json, name_of, read};
use super::{Credential, CredentialError, key_of};
use crate::json;

const AUTHS: &str = "auths";

/// Puts in an entry for a registry: with its credential, or an empty one to show that a helper has it.
pub(super) fn put(
    path: &Path,
    registry: &str,
    credential: Option<&Credential>,
) -> Result<(), CredentialError> {
    let mut content = content(path)?.unwrap_or_default();
    let auths = content.entry(AUTHS).or_insert_with(|| json!({}));
    let Value::Object(auths) = auths else {
        return Err(not_an_object(path));
    };
    auths.retain(|key, _| name_of(key) != registry);
    auths.insert(key_of(registry).to_owned(), entry(credential));
    write(path, &content)
}

/// Takes out the entry of a registry.
pub(super) fn remove(path: &Path, registry: &str) -> Result<(), CredentialError> {
    let Some(mut content) = content(path)? else {
        return Ok(());
    };
    if let Some(Value::Object(auths)) = content.get_mut(AUTHS) {
        auths.retain(|key, _| name_of(key) != registry);
    }
    write(path, &content)
}

fn entry(credential: Option<&Credential>) -> Value {
    match credential {
        None => json!({}),
        Some(Credential::Password { user, password }) => {
            json!({"auth": STANDARD.encode(format!("{user}:{password}"))})
        }
        Some(Credential::IdentityToken(token)) => json!({"identitytoken": token}),
    }
}

fn content(path: &Path) -> Result<Option<Map<String, Value>>, CredentialError> {
    match read(path)? {
        // What Podman leaves of a file for a moment.
        Some(bytes) if bytes.trim_ascii().is_empty() => Ok(None),
        Some(bytes) => json::object(&bytes)
            .map(Some)
            .map_err(|error| bad_json(path, &error)),
        None => Ok(None),
    }
}

fn not_an_object(path: &Path) -> CredentialError {
    CredentialError::Json {
        path: path.to_owned(),
        line: 1,
        column: 1,
    }
}

/// Writes as Docker does: indented by tabs, for the owner's eyes only.
fn write(path: &Path, content: &Map<String, Value>) -> Result<(), CredentialError> {
    // A symbolic link stays one.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let failed = |action| {
        let path = path.clone();
        move |source| CredentialError::File {
            action,
            path,
            source,
        }
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .map_err(failed("create the directory of"))?;
    // Mode 0600 from its first moment.
    let mut file = tempfile::NamedTempFile::new_in(&directory).map_err(failed("write"))?;
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"\t");
    content
        .serialize(&mut Serializer::with_formatter(&mut text, formatter))
        .map_err(|error| failed("write")(error.into()))?;
    text.push(b'\n');
    file.write_all(&text).map_err(failed("write"))?;
    file.as_file().sync_all().map_err(failed("write"))?;
    file.persist(&path)
        .map(drop)
        .map_err(|error| failed("replace")(error.error))
}
