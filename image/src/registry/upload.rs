//! Blobs into a registry, by the OCI distribution specification ("Pushing blobs").
//!
//! A session is opened, the whole blob sent in one request; a registry that does not take it so gets it in pieces. A
//! session that fails is given up and another one opened.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream;
use layer::Digest;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Method, Response, StatusCode, Url};

use super::request::{Access, Call, is_temporary};
use super::{Client, RegistryError, retry};
use crate::error::Error;
use crate::reference::Repository;

/// How much of a file is read at a time.
const READ: u64 = 256 << 10;
/// The length of one piece, unless the registry wants longer ones.
const PIECE: u64 = 16 << 20;
/// A registry may not want longer ones than this.
const PIECE_MAX: u64 = 256 << 20;

/// A blob in a file. Clones share it.
#[derive(Debug, Clone)]
pub struct BlobFile {
    file: Arc<File>,
    digest: Digest,
    size: u64,
    sent: Arc<AtomicU64>,
}

/// How an upload began.
#[derive(Debug)]
pub enum Start {
    /// The registry took the blob from its other repository: there is nothing to send.
    Mounted,
    /// The blob is to be sent.
    Session(UploadSession),
}

/// An open upload.
#[derive(Debug)]
pub struct UploadSession {
    url: Url,
    piece: u64,
}

impl BlobFile {
    /// The blob that is the first `size` bytes of a file.
    pub fn new(file: File, digest: Digest, size: u64) -> Self {
        Self {
            file: Arc::new(file),
            digest,
            size,
            sent: Arc::new(AtomicU64::new(0)),
        }
    }

    /// A counter of the bytes that have been sent. It goes back when sending begins again.
    pub fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }

    /// The bytes from `start` on as a body.
    fn body(&self, start: u64, length: u64) -> Body {
        self.sent.store(start, Ordering::Relaxed);
        let blob = self.clone();
        let end = start + length;
        Body::wrap_stream(stream::try_unfold(start, move |at| {
            let blob = blob.clone();
            async move {
                if at == end {
                    return Ok(None);
                }
                let bytes = blob.read(at, (end - at).min(READ)).await?;
                let next = at + bytes.len() as u64;
                blob.sent.store(next, Ordering::Relaxed);
                Ok::<_, io::Error>(Some((bytes, next)))
            }
        }))
    }

    async fn read(&self, at: u64, length: u64) -> io::Result<Bytes> {
        let file = Arc::clone(&self.file);
        let read = move || {
            let mut buffer = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            file.read_exact_at(&mut buffer, at)?;
            Ok(Bytes::from(buffer))
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(io::Error::other)?
    }
}

impl Client {
    /// Begins an upload. If `from`, another repository of the same registry, has the blob, and the registry allows
    /// it, that ends it at once.
    pub async fn start_upload(
        &self,
        repository: &Repository,
        digest: &Digest,
        from: Option<&Repository>,
    ) -> Result<Start, Error> {
        let mut call = pushing(repository, digest);
        let mut url = call.url("blobs/uploads/")?;
        if let Some(from) = from.filter(|from| from.registry() == repository.registry()) {
            call.scope.from = Some(from.path().to_owned());
            url.query_pairs_mut()
                .append_pair("mount", &digest.to_string())
                .append_pair("from", from.path());
        }
        let answer = self
            .send(&call, &url, |http| {
                http.post(url.clone()).header(CONTENT_LENGTH, 0)
            })
            .await?;
        match answer.status() {
            StatusCode::CREATED => Ok(Start::Mounted),
            StatusCode::ACCEPTED => Ok(Start::Session(UploadSession::of(&call, &answer)?)),
            _ => Err(call.refuse(answer).await.into()),
        }
    }

    /// Sends a blob. `session` is one that is open for it already.
    pub async fn upload(
        &self,
        repository: &Repository,
        blob: &BlobFile,
        mut session: Option<UploadSession>,
    ) -> Result<(), Error> {
        for attempt in 0.. {
            let open = match session.take() {
                Some(open) => open,
                None => match self.start_upload(repository, &blob.digest, None).await? {
                    Start::Mounted => return Ok(()),
                    Start::Session(open) => open,
                },
            };
            let result = self.send_blob(repository, blob, open).await;
            let temporary = match &result {
                Ok(()) => return Ok(()),
                Err(RegistryError::Status { status, .. }) => {
                    StatusCode::from_u16(*status).is_ok_and(retry::is_temporary)
                }
                Err(error) => is_temporary(error),
            };
            if !temporary || attempt + 1 >= retry::ATTEMPTS {
                return Ok(result?);
            }
            let wait = retry::wait(self.inner.settings.retry_wait, attempt, None);
            tokio::time::sleep(wait).await;
        }
        unreachable!("the last attempt returns")
    }

    async fn send_blob(
        &self,
        repository: &Repository,
        blob: &BlobFile,
        session: UploadSession,
    ) -> Result<(), RegistryError> {
        let call = pushing(repository, &blob.digest);
        let url = session.closing(&blob.digest);
        let answer = self
            .send_part(&call, (Method::PUT, &url), blob, 0..blob.size)
            .await?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            // What registries, or proxies before them, say that do not take a blob in one request.
            StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::NOT_IMPLEMENTED => self.send_pieces(&call, blob).await,
            _ => Err(call.refuse(answer).await),
        }
    }

    async fn send_pieces(&self, call: &Call<'_>, blob: &BlobFile) -> Result<(), RegistryError> {
        let url = call.url("blobs/uploads/")?;
        let answer = self
            .send(call, &url, |http| {
                http.post(url.clone()).header(CONTENT_LENGTH, 0)
            })
            .await?;
        if answer.status() != StatusCode::ACCEPTED {
            return Err(call.refuse(answer).await);
        }
        let mut session = UploadSession::of(call, &answer)?;
        let mut at = 0;
        while at < blob.size {
            let end = (at + session.piece).min(blob.size);
            let answer = self
                .send_part(call, (Method::PATCH, &session.url), blob, at..end)
                .await?;
            if !answer.status().is_success() {
                return Err(call.refuse(answer).await);
            }
            session = UploadSession {
                url: session_url(call, &answer)?,
                ..session
            };
            at = end;
        }
        let url = session.closing(&blob.digest);
        let answer = self
            .send_once(call, &url, None, |http| {
                http.put(url.clone()).header(CONTENT_LENGTH, 0)
            })
            .await?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(call.refuse(answer).await)
        }
    }

    /// Sends a part of a blob; a range goes with it if it is a piece.
    async fn send_part(
        &self,
        call: &Call<'_>,
        (method, url): (Method, &Url),
        blob: &BlobFile,
        part: std::ops::Range<u64>,
    ) -> Result<Response, RegistryError> {
        let length = part.end - part.start;
        self.send_once(call, url, Some(&blob.sent), |http| {
            let request = http
                .request(method.clone(), url.clone())
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, length)
                .body(blob.body(part.start, length));
            if method == Method::PATCH {
                let range = format!("{}-{}", part.start, part.end.saturating_sub(1));
                request.header(CONTENT_RANGE, range)
            } else {
                request
            }
        })
        .await
    }
}

impl UploadSession {
    fn of(call: &Call<'_>, answer: &Response) -> Result<Self, RegistryError> {
        let asked = answer
            .headers()
            .get("oci-chunk-min-length")
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .unwrap_or(0);
        Ok(Self {
            url: session_url(call, answer)?,
            piece: PIECE.max(asked).min(PIECE_MAX),
        })
    }

    fn closing(&self, digest: &Digest) -> Url {
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        url
    }
}

/// Where the session goes on, which the registry says with each answer.
fn session_url(call: &Call<'_>, answer: &Response) -> Result<Url, RegistryError> {
    answer
        .headers()
        .get(LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| answer.url().join(location).ok())
        .ok_or_else(|| call.protocol("it does not say where to send the blob"))
}

fn pushing<'a>(repository: &'a Repository, digest: &Digest) -> Call<'a> {
    let what = format!("pushing blob {digest} to {}", repository.familiar());
    Call::new(repository, Access::Push, what)
}
