//! Downloads of what has a URL of its own: the connections of the client, and nothing of registries.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    AUTHORIZATION, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use reqwest::{Response, StatusCode, Url};

use super::error::RegistryError;
use super::{Client, retry};

/// What is asked for.
#[derive(Clone, Copy)]
pub struct DownloadRequest<'a> {
    /// The URL.
    pub url: &'a str,
    /// The header `Authorization`. It goes to the host of the URL only.
    pub authorization: Option<&'a [u8]>,
    /// What is known of an earlier download.
    pub known: Option<&'a Version>,
}

impl std::fmt::Debug for DownloadRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DownloadRequest")
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

/// What a server says of the version of what it sends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

/// The answer of a server.
#[derive(Debug)]
pub enum Answer {
    /// There is nothing newer than what is known.
    Unchanged,
    /// What was asked for.
    Content(Download),
}

/// What comes.
#[derive(Debug)]
pub struct Download {
    client: Client,
    answer: Response,
    /// What the server says of it.
    pub version: Version,
}

/// Why nothing comes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// It cannot be asked for.
    #[error("it is not a valid URL")]
    Url,
    /// A header that cannot be sent.
    #[error(
        "the secret for its host cannot be sent: it has line breaks or other control characters"
    )]
    Authorization,
    /// The server cannot be reached, or breaks off.
    #[error(transparent)]
    Transport(#[from] RegistryError),
    /// The server refuses.
    #[error("the server answers {status}")]
    Status {
        /// With which status.
        status: StatusCode,
    },
}

impl DownloadError {
    /// Whether trying again may help.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Url | Self::Authorization => false,
            Self::Transport(error) => error.is_temporary(),
            Self::Status { status } => retry::is_temporary(*status),
        }
    }
}

impl Client {
    /// Asks for what a URL leads to, again after a temporary failure.
    pub async fn download(&self, request: DownloadRequest<'_>) -> Result<Answer, DownloadError> {
        let url: Url = request.url.parse().map_err(|_| DownloadError::Url)?;
        let headers = headers(request)?;
        let transport = &self.inner.downloads;
        let http = transport.get(&self.inner.settings)?;
        for attempt in 0.. {
            let get = http.get(url.clone()).headers(headers.clone());
            let result = self.execute(transport, get, None).await;
            let (temporary, asked) = match &result {
                Ok(answer) => (
                    retry::is_temporary(answer.status()),
                    retry::retry_after(answer.headers()),
                ),
                Err(error) => (error.is_temporary(), None),
            };
            let pause = retry::pause(self.inner.settings.retry_wait, attempt, asked);
            match pause.filter(|_| temporary) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return self.read(result?, request.known),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// How long to wait before what broke off is asked for again, for the attempt of this number; `None` if it was
    /// the last.
    pub fn download_pause(&self, attempt: u32) -> Option<Duration> {
        retry::pause(self.inner.settings.retry_wait, attempt, None)
    }

    fn read(&self, answer: Response, known: Option<&Version>) -> Result<Answer, DownloadError> {
        let status = answer.status();
        if status == StatusCode::NOT_MODIFIED && known.is_some() {
            return Ok(Answer::Unchanged);
        }
        if status != StatusCode::OK {
            return Err(DownloadError::Status { status });
        }
        let version = Version {
            etag: text(answer.headers(), &ETAG),
            last_modified: text(answer.headers(), &LAST_MODIFIED),
        };
        // Some servers give tags and yet send everything.
        let same = known.and_then(|known| known.etag.as_deref()).map(strong);
        if same.is_some() && same == version.etag.as_deref().map(strong) {
            return Ok(Answer::Unchanged);
        }
        Ok(Answer::Content(Download {
            client: self.clone(),
            answer,
            version,
        }))
    }
}

impl Download {
    /// How long it will be, where the server says.
    pub fn length(&self) -> Option<u64> {
        self.answer.content_length()
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, DownloadError> {
        Ok(self.client.next_bytes(&mut self.answer).await?)
    }
}

fn headers(request: DownloadRequest<'_>) -> Result<HeaderMap, DownloadError> {
    let mut headers = HeaderMap::new();
    if let Some(authorization) = request.authorization {
        let value = HeaderValue::from_bytes(authorization.trim_ascii_end());
        let mut value = value.map_err(|_| DownloadError::Authorization)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let known = request.known.cloned().unwrap_or_default();
    for (name, value) in [
        (IF_NONE_MATCH, known.etag),
        (IF_MODIFIED_SINCE, known.last_modified),
    ] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
    Ok(headers)
}

/// A header's value if it is text of a sensible length.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (!value.is_empty() && value.len() <= 1024).then(|| value.to_owned())
}

/// A tag as it is compared: weak ones are good enough (RFC 9110, 8.8.3.2).
fn strong(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}
