//! Credential helpers: programs `docker-credential-NAME` that keep passwords elsewhere.
//!
//! The protocol is that of Docker's `docker-credential-helpers`: the action as the argument, what it is about on standard
//! input, the answer or what went wrong on standard output.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde::{Deserialize, Serialize};

use super::{Credential, CredentialError, key_of};

/// What every helper says of a registry that it does not know.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// Stands for the user where the secret is an identity token.
const TOKEN_USER: &str = "<token>";
/// How many characters of a failure are shown.
const SHOWN_MAX: usize = 300;

/// A helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Helper {
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Login {
    #[serde(rename = "ServerURL", default)]
    server_url: String,
    username: String,
    secret: String,
}

impl Helper {
    pub(super) fn new(name: &str) -> Result<Self, CredentialError> {
        if name.contains('/') {
            return Err(CredentialError::HelperName(name.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
        })
    }

    /// What it keeps for a registry.
    pub(super) fn get(&self, registry: &str) -> Result<Option<Credential>, CredentialError> {
        let Some(answer) = self.ask("get", key_of(registry).as_bytes())? else {
            return Ok(None);
        };
        let login: Login = serde_json::from_slice(&answer)
            .map_err(|_| CredentialError::HelperAnswer(self.program()))?;
        Ok(match (&*login.username, &*login.secret) {
            ("", "") => None,
            (TOKEN_USER, _) => Some(Credential::IdentityToken(login.secret)),
            _ => Some(Credential::Password {
                user: login.username,
                password: login.secret,
            }),
        })
    }

    /// Has it keep a login.
    pub(super) fn store(
        &self,
        registry: &str,
        credential: &Credential,
    ) -> Result<(), CredentialError> {
        let (username, secret) = match credential.clone() {
            Credential::Password { user, password } => (user, password),
            Credential::IdentityToken(token) => (TOKEN_USER.to_owned(), token),
        };
        let login = Login {
            server_url: key_of(registry).to_owned(),
            username,
            secret,
        };
        let text = serde_json::to_vec(&login).expect("three texts");
        self.ask("store", &text).map(drop)
    }

    /// Has it forget a login.
    pub(super) fn erase(&self, registry: &str) -> Result<(), CredentialError> {
        self.ask("erase", key_of(registry).as_bytes()).map(drop)
    }

    /// What it answers; `None` if it does not know the registry.
    fn ask(&self, action: &'static str, input: &[u8]) -> Result<Option<Vec<u8>>, CredentialError> {
        let output = self.run(action, input).map_err(|source| {
            let program = self.program();
            CredentialError::HelperStart { program, source }
        })?;
        if output.status.success() {
            return Ok(Some(output.stdout));
        }
        let said = String::from_utf8_lossy(&output.stdout);
        if said.trim() == NOT_FOUND {
            return Ok(None);
        }
        let said = match said.trim() {
            "" => output.status.to_string(),
            said => said.to_owned(),
        };
        let plain = said.chars().map(|c| if c.is_control() { ' ' } else { c });
        Err(CredentialError::Helper {
            program: self.program(),
            action,
            message: plain.take(SHOWN_MAX).collect(),
        })
    }

    fn run(&self, action: &str, input: &[u8]) -> std::io::Result<Output> {
        let mut child = Command::new(self.program())
            .arg(action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read it has its reasons, and an exit code for them.
            stdin.write_all(input).ok();
        }
        child.wait_with_output()
    }

    fn program(&self) -> String {
        format!("docker-credential-{}", self.name)
    }
}
