//! Sending: with a token, with patience, and again where that may help.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::auth::Scope;
use super::error::{Failed, RegistryError};
use super::{Client, endpoint, retry};
use crate::reference::Repository;

/// How much of an error's text is read, and how many characters of it are shown.
const ERROR_READ_MAX: u64 = 64 << 10;
const ERROR_SHOWN_MAX: usize = 300;
/// A registry that has taken a blob may first work on it.
const UPLOAD_PATIENCE: u32 = 5;

/// What is said where the registry says nothing.
pub(super) const LOGIN_REFUSED: &str = "the login is not accepted";

/// One thing that is asked of a registry.
pub(super) struct Call<'a> {
    pub(super) repository: &'a Repository,
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

impl<'a> Call<'a> {
    pub(super) fn new(repository: &'a Repository, access: Access, what: String) -> Self {
        Self {
            repository,
            scope: Scope {
                registry: repository.registry().to_owned(),
                path: repository.path().to_owned(),
                push: access == Access::Push,
                from: None,
            },
            what,
        }
    }

    pub(super) fn url(&self, rest: &str) -> Result<Url, RegistryError> {
        endpoint::url(self.repository, rest)
    }

    fn registry(&self) -> String {
        self.scope.registry.clone()
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
            },
        }
    }
}

impl Client {
    /// Sends a request until the answer is one that another attempt would not change.
    pub(super) async fn send(
        &self,
        call: &Call<'_>,
        url: &Url,
        build: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        for attempt in 0.. {
            let last = attempt + 1 >= retry::ATTEMPTS;
            let result = self.send_once(call, url, None, &build).await;
            let answer = match &result {
                Ok(answer) if retry::is_temporary(answer.status()) => Some(answer),
                Err(error) if is_temporary(error) => None,
                _ => return result,
            };
            if last {
                return result;
            }
            let wait = retry::wait(self.inner.settings.retry_wait, attempt, answer);
            tokio::time::sleep(wait).await;
        }
        unreachable!("the last attempt returns")
    }

    /// Sends a request, a second time if the registry wants another token. `moved` counts the bytes of the body that
    /// have been sent.
    pub(super) async fn send_once(
        &self,
        call: &Call<'_>,
        url: &Url,
        moved: Option<&AtomicU64>,
        build: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let http = self.inner.http.get(&self.inner.settings)?;
        let registry = call.url("")?;
        // An upload may go to another server, which has nothing to do with our token.
        let trusted = endpoint::same_server(url, &registry);
        let mut refused = None;
        for _ in 0..2 {
            let token = self.inner.tokens.get(&call.scope).filter(|_| trusted);
            let mut request = build(http);
            if let Some(token) = &token {
                request = request.header(AUTHORIZATION, token.clone());
            }
            let answer = self.execute(request, moved).await?;
            if answer.status() != StatusCode::UNAUTHORIZED || !trusted || refused.is_some() {
                return Ok(answer);
            }
            self.authenticate(call, &registry, &answer, token.clone())
                .await?;
            refused = Some(token);
        }
        Err(call.denied("it does not take the token that it sent us for"))
    }

    /// Sends a request without a body that must be counted, again after a temporary failure.
    pub(super) async fn patiently(
        &self,
        request: &RequestBuilder,
    ) -> Result<Response, RegistryError> {
        for attempt in 0.. {
            let request = request.try_clone().ok_or_else(body_is_stream)?;
            let result = self.execute(request, None).await;
            let temporary = match &result {
                Ok(answer) => retry::is_temporary(answer.status()),
                Err(error) => is_temporary(error),
            };
            if !temporary || attempt + 1 >= retry::ATTEMPTS {
                return result;
            }
            let answer = result.as_ref().ok();
            tokio::time::sleep(retry::wait(self.inner.settings.retry_wait, attempt, answer)).await;
        }
        unreachable!("the last attempt returns")
    }

    async fn execute(
        &self,
        request: RequestBuilder,
        moved: Option<&AtomicU64>,
    ) -> Result<Response, RegistryError> {
        let (http, request) = request.build_split();
        let request = request.map_err(|error| RegistryError::Setup(Box::new(error)))?;
        let url = request.url().clone();
        let settings = &self.inner.settings;
        let patience = match moved {
            Some(_) => settings.stall_timeout * UPLOAD_PATIENCE,
            None => settings.stall_timeout + settings.connect_timeout,
        };
        let count = || moved.map_or(0, |moved| moved.load(Ordering::Relaxed));
        let mut seen = count();
        let mut answer = std::pin::pin!(http.execute(request));
        loop {
            tokio::select! {
                answer = &mut answer => {
                    return answer.map_err(|error| self.failed(&url, |failed| failed.because(error)));
                }
                () = tokio::time::sleep(patience) => {
                    if count() == seen {
                        return Err(self.failed(&url, |failed| failed.stalled(patience)));
                    }
                    seen = count();
                }
            }
        }
    }

    /// An error of the connection to `url`.
    pub(super) fn failed(
        &self,
        url: &Url,
        error: impl FnOnce(Failed<'_>) -> RegistryError,
    ) -> RegistryError {
        error(Failed {
            host: url.host_str().unwrap_or_default(),
            port: url.port_or_known_default().unwrap_or_default(),
            connect_timeout: self.inner.settings.connect_timeout,
        })
    }

    /// The next bytes of an answer; `None` at its end.
    pub(super) async fn next_bytes(
        &self,
        answer: &mut Response,
    ) -> Result<Option<bytes::Bytes>, RegistryError> {
        let patience: Duration = self.inner.settings.stall_timeout;
        match tokio::time::timeout(patience, answer.chunk()).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(self.failed(answer.url(), |failed| failed.because(error))),
            Err(_) => Err(self.failed(answer.url(), |failed| failed.stalled(patience))),
        }
    }
}

fn body_is_stream() -> RegistryError {
    RegistryError::Setup("the request can be sent only once".into())
}

/// Whether another attempt may find a better connection. What is refused at once or not found stays so.
pub(super) fn is_temporary(error: &RegistryError) -> bool {
    use super::error::Unreachable::{Broken, Stalled};
    matches!(
        error,
        RegistryError::Unreachable {
            reason: Broken | Stalled(_),
            ..
        }
    )
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
