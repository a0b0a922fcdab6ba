//! Sending: with a token, with patience, and again where that may help.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::auth::Scope;
use super::endpoint::{Endpoint, Purpose};
use super::error::{Failed, RegistryError};
use super::transport::Transport;
use super::{Client, retry};
use crate::reference::Repository;

/// How much of an error's text is read, and how many characters of it are shown.
const ERROR_READ_MAX: u64 = 64 << 10;
const ERROR_SHOWN_MAX: usize = 300;
/// A registry that has taken a blob may first work on it.
const UPLOAD_PATIENCE: u32 = 5;

/// What is said where the registry says nothing.
pub(super) const LOGIN_REFUSED: &str = "the login is not accepted";

/// One thing that is asked of a server.
pub(super) struct Call {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) scope: Scope,
    /// In words, for messages: `pulling a/b:latest`.
    pub(super) what: String,
}

/// What is to be done with the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Pull,
    Push,
}

impl Call {
    pub(super) fn new(
        endpoint: &Arc<Endpoint>,
        repository: &Repository,
        access: Access,
        what: String,
    ) -> Self {
        let scope = Scope {
            path: repository.path().to_owned(),
            push: access == Access::Push,
            ..Scope::of(endpoint)
        };
        Self {
            endpoint: Arc::clone(endpoint),
            scope,
            what,
        }
    }

    /// One that concerns no repository.
    pub(super) fn of_registry(endpoint: &Arc<Endpoint>, what: String) -> Self {
        Self {
            endpoint: Arc::clone(endpoint),
            scope: Scope::of(endpoint),
            what,
        }
    }

    pub(super) fn url(&self, rest: &str) -> Result<Url, RegistryError> {
        self.endpoint.url(&self.scope.path, rest)
    }

    fn registry(&self) -> String {
        self.endpoint.name.clone()
    }

    pub(super) fn denied(&self, reason: &str) -> RegistryError {
        RegistryError::Denied {
            registry: self.registry(),
            what: self.what.clone(),
            reason: reason.to_owned(),
        }
    }

    pub(super) fn protocol(&self, problem: &'static str) -> RegistryError {
        RegistryError::Protocol {
            registry: self.registry(),
            what: self.what.clone(),
            problem,
        }
    }

    /// The error that an answer stands for.
    pub(super) async fn refuse(&self, answer: Response) -> RegistryError {
        let status = answer.status();
        let retry_after = retry::retry_after(answer.headers());
        let reason = reason(answer).await;
        let (registry, what) = (self.registry(), self.what.clone());
        match status {
            StatusCode::UNAUTHORIZED if reason.is_empty() => self.denied(LOGIN_REFUSED),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Denied {
                registry,
                what,
                reason,
            },
            StatusCode::NOT_FOUND => RegistryError::NotFound { registry, what },
            status => RegistryError::Status {
                registry,
                what,
                status: status.as_u16(),
                reason,
                retry_after,
            },
        }
    }
}

impl Client {
    /// The servers that may be asked for this, in their order. There is one at least.
    pub(super) fn servers(
        &self,
        repository: &Repository,
        purpose: Purpose,
    ) -> Result<Vec<Arc<Endpoint>>, RegistryError> {
        let mut servers = self.endpoints(repository.registry())?;
        servers.retain(|server| server.serves(purpose));
        if servers.is_empty() {
            return Err(RegistryError::NoServer {
                registry: repository.registry().to_owned(),
                purpose,
            });
        }
        Ok(servers)
    }

    /// What concerns a repository that is pushed to.
    pub(super) fn pushing(
        &self,
        repository: &Repository,
        what: String,
    ) -> Result<Call, RegistryError> {
        let servers = self.servers(repository, Purpose::Push)?;
        Ok(Call::new(&servers[0], repository, Access::Push, what))
    }

    /// Sends a request until the answer is one that another attempt would not change.
    pub(super) async fn send(
        &self,
        call: &Call,
        url: &Url,
        build: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        for attempt in 0.. {
            let result = self.send_once(call, url, None, &build).await;
            match self.pause(&call.endpoint, attempt, &result) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return result,
            }
        }
        unreachable!("the last attempt returns")
    }

    /// How long to wait before the next attempt; `None` if there is to be none.
    fn pause(
        &self,
        server: &Endpoint,
        attempt: u32,
        result: &Result<Response, RegistryError>,
    ) -> Option<Duration> {
        let asked = match result {
            Ok(answer) if retry::is_temporary(answer.status()) => {
                retry::retry_after(answer.headers())
            }
            Err(error) if error.asks_again(server) => None,
            _ => return None,
        };
        retry::pause(self.inner.settings.retry_wait, attempt, asked)
    }

    /// Sends a request, a second time if the registry wants another token. `moved` counts the bytes of the body that
    /// have been sent.
    pub(super) async fn send_once(
        &self,
        call: &Call,
        url: &Url,
        moved: Option<&AtomicU64>,
        build: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let endpoint = &call.endpoint;
        let http = endpoint.http.get(&self.inner.settings)?;
        // An upload may go to another server, which has nothing to do with our token.
        let trusted = endpoint.is_at(url) && !endpoint.is_anonymous();
        let mut refused = None;
        for _ in 0..2 {
            let token = self.inner.tokens.get(&call.scope).filter(|_| trusted);
            let mut request = build(http);
            if trusted {
                request = request.headers(endpoint.headers.clone());
            }
            if let Some(token) = &token {
                request = request.header(AUTHORIZATION, token.clone());
            }
            let answer = self.execute(&endpoint.http, request, moved).await?;
            if answer.status() != StatusCode::UNAUTHORIZED || !trusted || refused.is_some() {
                return Ok(answer);
            }
            self.authenticate(call, &answer, token.clone()).await?;
            refused = Some(token);
        }
        Err(call.denied("it does not take the token that it sent us for"))
    }

    /// Sends a request without a body that must be counted, again after a temporary failure.
    pub(super) async fn patiently(
        &self,
        call: &Call,
        request: &RequestBuilder,
    ) -> Result<Response, RegistryError> {
        for attempt in 0.. {
            let request = request.try_clone().ok_or_else(body_is_stream)?;
            let result = self.execute(&call.endpoint.http, request, None).await;
            match self.pause(&call.endpoint, attempt, &result) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return result,
            }
        }
        unreachable!("the last attempt returns")
    }

    pub(super) async fn execute(
        &self,
        transport: &Transport,
        request: RequestBuilder,
        moved: Option<&AtomicU64>,
    ) -> Result<Response, RegistryError> {
        let (http, request) = request.build_split();
        let request = request.map_err(|error| RegistryError::Setup(Box::new(error)))?;
        let url = request.url().clone();
        let settings = &self.inner.settings;
        let connect_timeout = transport.connect_timeout(settings);
        let patience = match moved {
            Some(_) => settings.stall_timeout * UPLOAD_PATIENCE,
            None => settings.stall_timeout + connect_timeout,
        };
        let count = || moved.map_or(0, |moved| moved.load(Ordering::Relaxed));
        let mut seen = count();
        let mut answer = std::pin::pin!(http.execute(request));
        loop {
            tokio::select! {
                answer = &mut answer => {
                    let failed = Failed::at(&url, connect_timeout);
                    return answer.map_err(|error| failed.because(error));
                }
                () = tokio::time::sleep(patience) => {
                    if count() == seen {
                        return Err(Failed::at(&url, connect_timeout).stalled(patience));
                    }
                    seen = count();
                }
            }
        }
    }

    /// The next bytes of an answer; `None` at its end.
    pub(super) async fn next_bytes(
        &self,
        answer: &mut Response,
    ) -> Result<Option<bytes::Bytes>, RegistryError> {
        let patience: Duration = self.inner.settings.stall_timeout;
        let chunk = tokio::time::timeout(patience, answer.chunk()).await;
        let failed = Failed::at(answer.url(), self.inner.settings.connect_timeout);
        match chunk {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(failed.because(error)),
            Err(_) => Err(failed.stalled(patience)),
        }
    }
}

fn body_is_stream() -> RegistryError {
    RegistryError::Setup("the request can be sent only once".into())
}

/// The whole of an answer, or one byte more than `limit`.
pub(super) async fn read_bounded(
    client: &Client,
    mut answer: Response,
    limit: u64,
) -> Result<Vec<u8>, RegistryError> {
    let announced = answer.content_length().unwrap_or(0).min(limit);
    let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    while let Some(chunk) = client.next_bytes(&mut answer).await? {
        let space = (limit + 1).saturating_sub(bytes.len() as u64);
        let taken = chunk
            .len()
            .min(usize::try_from(space).unwrap_or(usize::MAX));
        bytes.extend_from_slice(&chunk[..taken]);
        if bytes.len() as u64 > limit {
            break;
        }
    }
    Ok(bytes)
}

/// The body of an error, by the OCI distribution specification ("Error Codes").
#[derive(Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What the registry says of its refusal, fit for a terminal.
async fn reason(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > ERROR_READ_MAX {
            break;
        }
    }
    let text = match serde_json::from_slice::<Errors>(&bytes) {
        Ok(body) => {
            let texts = body.errors.into_iter().map(|error| match error {
                OneError { code, message } if message.is_empty() => code,
                OneError { message, .. } => message,
            });
            texts.collect::<Vec<_>>().join("; ")
        }
        Err(_) => String::new(),
    };
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(ERROR_SHOWN_MAX)
        .collect()
}
