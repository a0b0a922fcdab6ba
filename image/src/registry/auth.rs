//! Tokens of registries, by Docker's token authentication: the registry names a token server, which gives a token for
//! one repository to whoever shows the right credentials, or to anyone for public ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Response, Url};
use serde::Deserialize;

use super::Client;
use super::challenge::{self, Challenge};
use super::credentials::Credential;
use super::endpoint::Endpoint;
use super::error::RegistryError;
use super::request::{Call, LOGIN_REFUSED, read_bounded};

/// The largest answer of a token server that is read.
const ANSWER_MAX: u64 = 1 << 20;
/// How long a token is good for when its server does not say, and at least, as Docker's clients have it.
const LIFETIME: Duration = Duration::from_mins(1);
/// A token is not used any more when it has less time than this left.
const MARGIN: Duration = Duration::from_secs(10);

/// What a registry is asked to allow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    /// The server, by its address.
    pub(super) server: String,
    /// The repository; empty for none.
    pub(super) path: String,
    pub(super) push: bool,
    /// A further repository, to be read only.
    pub(super) from: Option<String>,
}

/// The headers that were accepted so far.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<Scope, Token>>);

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    expires: Option<Instant>,
}

/// The answer of a token server.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    expires_in: Option<u64>,
}

impl Scope {
    /// Nothing but to be let in.
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        Self {
            server: endpoint.key().to_owned(),
            path: String::new(),
            push: false,
            from: None,
        }
    }

    /// In the words of the token protocol.
    fn texts(&self) -> Vec<String> {
        let actions = if self.push { "pull,push" } else { "pull" };
        let own = format!("repository:{}:{actions}", self.path);
        let from = self.from.as_ref();
        let own = (!self.path.is_empty()).then_some(own);
        own.into_iter()
            .chain(from.map(|path| format!("repository:{path}:pull")))
            .collect()
    }
}

impl Tokens {
    /// The header to send, if there is one that should still be good.
    pub(super) fn get(&self, scope: &Scope) -> Option<HeaderValue> {
        let tokens = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let token = tokens.get(scope)?;
        let good = token
            .expires
            .is_none_or(|expires| expires > Instant::now() + MARGIN);
        good.then(|| token.header.clone())
    }

    fn put(&self, scope: &Scope, token: Token) {
        let mut tokens = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        tokens.insert(scope.clone(), token);
    }
}

impl Client {
    /// Answers a challenge: afterwards [`Tokens::get`] has what the registry wants. `refused` is what it did not take.
    pub(super) async fn authenticate(
        &self,
        call: &Call,
        answer: &Response,
        refused: Option<HeaderValue>,
    ) -> Result<(), RegistryError> {
        let challenges: Vec<Challenge> = answer
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(challenge::parse)
            .collect();
        let credential = self.credential(call).await?;
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service, .. } => Some((realm, service)),
            Challenge::Basic => None,
        });
        let token = match (bearer, &credential) {
            (Some((realm, service)), _) => {
                let realm = check_realm(call, realm)?;
                self.fetch_token(call, realm, service.as_deref(), credential.as_ref())
                    .await?
            }
            (None, Some(Credential::Password { user, password }))
                if challenges.contains(&Challenge::Basic) =>
            {
                Token {
                    header: basic(user, password),
                    expires: None,
                }
            }
            _ => return Err(call.denied("it asks for a user and a password; log in first")),
        };
        if refused.as_ref() == Some(&token.header) {
            return Err(call.denied(LOGIN_REFUSED));
        }
        self.inner.tokens.put(&call.scope, token);
        Ok(())
    }

    /// What we can show to a server. A credential helper may have to be asked.
    async fn credential(&self, call: &Call) -> Result<Option<Credential>, RegistryError> {
        let credentials = Arc::clone(&self.inner.settings.credentials);
        let (registry, path) = (call.endpoint.name.clone(), call.scope.path.clone());
        let found = tokio::task::spawn_blocking(move || credentials.look_up(&registry, &path));
        let found = found
            .await
            .map_err(|error| RegistryError::Setup(Box::new(error)))?;
        found.map_err(|source| RegistryError::Credentials {
            registry: call.endpoint.name.clone(),
            source,
        })
    }

    async fn fetch_token(
        &self,
        call: &Call,
        mut realm: Url,
        service: Option<&str>,
        credential: Option<&Credential>,
    ) -> Result<Token, RegistryError> {
        let http = call.endpoint.http.get(&self.inner.settings)?;
        let mut parameters: Vec<(&str, &str)> = Vec::new();
        parameters.extend(service.map(|service| ("service", service)));
        let scopes = call.scope.texts();
        parameters.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
        let request = match credential {
            Some(Credential::IdentityToken(token)) => {
                parameters.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", "rbuild"),
                    ("refresh_token", token),
                ]);
                let mut form = realm.clone();
                form.query_pairs_mut().clear().extend_pairs(parameters);
                http.post(realm)
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form.query().unwrap_or_default().to_owned())
            }
            Some(Credential::Password { user, password }) => {
                realm
                    .query_pairs_mut()
                    .append_pair("account", user)
                    .extend_pairs(parameters);
                http.get(realm).header(AUTHORIZATION, basic(user, password))
            }
            None => {
                realm.query_pairs_mut().extend_pairs(parameters);
                http.get(realm)
            }
        };
        let answer = self.patiently(call, &request).await?;
        if !answer.status().is_success() {
            return Err(call.refuse(answer).await);
        }
        let bytes = read_bounded(self, answer, ANSWER_MAX).await?;
        parse_token(&bytes).ok_or_else(|| call.protocol("its token server gave no token"))
    }
}

/// Credentials go over HTTPS only, or to where the configuration wants plain HTTP.
fn check_realm(call: &Call, realm: &str) -> Result<Url, RegistryError> {
    let realm = Url::parse(realm).map_err(|_| call.protocol("its token server has no address"))?;
    if call.endpoint.is_safe(&realm) {
        Ok(realm)
    } else {
        Err(call.protocol("its token server does not use HTTPS"))
    }
}

fn parse_token(bytes: &[u8]) -> Option<Token> {
    let answer: Answer = serde_json::from_slice(bytes).ok()?;
    let text = [answer.token, answer.access_token]
        .into_iter()
        .find(|token| !token.is_empty())?;
    let mut header = HeaderValue::try_from(format!("Bearer {text}")).ok()?;
    header.set_sensitive(true);
    let announced = answer.expires_in.map(Duration::from_secs);
    let lifetime = announced.unwrap_or(LIFETIME).max(LIFETIME);
    Some(Token {
        header,
        expires: Instant::now().checked_add(lifetime),
    })
}

fn basic(user: &str, password: &str) -> HeaderValue {
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let mut header = HeaderValue::try_from(text).expect("base64 has no odd characters");
    header.set_sensitive(true);
    header
}
