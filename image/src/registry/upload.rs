//! Blobs into a registry, by the OCI distribution specification ("Pushing blobs").
//!
//! A session is opened, the whole blob sent in one request; a registry that does not take it so gets it in pieces. When
//! something breaks, the registry is asked how much it has, and sending goes on from there in pieces; a session that it
//! no longer knows is replaced by a new one. What [`super::growing`] sent before is such a session, too.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream;
use layer::Digest;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Body, Method, Response, StatusCode, Url};

use super::request::Call;
use super::{Client, RegistryError, retry};
use crate::error::Error;
use crate::reference::Repository;

/// How much of a file is read at a time.
const READ: u64 = 256 << 10;
/// The length of one piece, unless the registry wants longer ones.
const PIECE: u64 = 16 << 20;
/// A registry may not want longer ones than this.
const PIECE_MAX: u64 = 256 << 20;
/// What a blob is said to be while it is sent.
pub(super) const OCTETS: &str = "application/octet-stream";

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
    /// Where it goes on, which the registry says anew with each answer.
    pub(super) url: Url,
    /// How long the pieces are.
    pub(super) piece: u64,
    /// How much the registry has.
    pub(super) at: u64,
}

/// How the registry takes blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In one request.
    Whole,
    /// In pieces.
    Pieces,
}

impl BlobFile {
    /// The blob that is the first `size` bytes of a file.
    pub fn new(file: impl Into<Arc<File>>, digest: Digest, size: u64) -> Self {
        Self {
            file: file.into(),
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
                let bytes = read_at(&blob.file, at, end).await?;
                let next = at + bytes.len() as u64;
                blob.sent.store(next, Ordering::Relaxed);
                Ok::<_, io::Error>(Some((bytes, next)))
            }
        }))
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
        let what = format!("pushing blob {digest} to {}", repository.familiar());
        let mut call = self.pushing(repository, what)?;
        let mut url = call.url("blobs/uploads/")?;
        if let Some(from) = from.filter(|from| from.registry() == repository.registry()) {
            call.scope.from = Some(from.path().to_owned());
            url.query_pairs_mut()
                .append_pair("mount", &digest.to_string())
                .append_pair("from", from.path());
        }
        Ok(self.begin_upload(&call, url).await?)
    }

    pub(super) async fn begin_upload(&self, call: &Call, url: Url) -> Result<Start, RegistryError> {
        let answer = self
            .send(call, &url, |http| {
                http.post(url.clone()).header(CONTENT_LENGTH, 0)
            })
            .await?;
        match answer.status() {
            StatusCode::CREATED => Ok(Start::Mounted),
            StatusCode::ACCEPTED => Ok(Start::Session(UploadSession::of(call, &answer)?)),
            _ => Err(call.refuse(answer).await),
        }
    }

    /// Sends a blob. `session` is one that is open for it already.
    pub async fn upload(
        &self,
        repository: &Repository,
        blob: &BlobFile,
        mut session: Option<UploadSession>,
    ) -> Result<(), Error> {
        let what = format!("pushing blob {} to {}", blob.digest, repository.familiar());
        let call = self.pushing(repository, what)?;
        let (mut form, mut failures, mut furthest) = (Form::Whole, 0, 0);
        loop {
            let mut open = match session.take() {
                Some(open) => open,
                None => match self.start_upload(repository, &blob.digest, None).await? {
                    Start::Mounted => return Ok(()),
                    Start::Session(open) => open,
                },
            };
            let sent = match form {
                Form::Whole if open.at == 0 => self.send_whole(&call, blob, &open).await,
                _ => self.send_pieces(&call, blob, &mut open).await,
            };
            let error = match sent {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if form == Form::Whole && wants_pieces(&error) {
                form = Form::Pieces;
                continue;
            }
            let first = self.inner.settings.retry_wait;
            match retry::pause(first, failures, error.retry_after()) {
                Some(pause) if error.is_temporary() || is_out_of_step(&error) => {
                    tokio::time::sleep(pause).await;
                }
                _ => return Err(error.into()),
            }
            session = self.sent_so_far(&call, blob.size, open).await;
            // The answer may have been lost after all went well.
            if session.is_none()
                && self
                    .has_blob(repository, &blob.digest)
                    .await
                    .is_ok_and(|has| has)
            {
                return Ok(());
            }
            let at = session.as_ref().map_or(0, |session| session.at);
            failures += 1;
            if at >= furthest + retry::PROGRESS {
                (failures, furthest) = (0, at);
            }
        }
    }

    async fn send_whole(
        &self,
        call: &Call,
        blob: &BlobFile,
        session: &UploadSession,
    ) -> Result<(), RegistryError> {
        let url = session.closing(&blob.digest);
        let answer = self
            .send_part(call, (Method::PUT, &url), blob, 0..blob.size)
            .await?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(call.refuse(answer).await)
        }
    }

    /// Sends what the registry lacks. `session` shows afterwards how far that went.
    async fn send_pieces(
        &self,
        call: &Call,
        blob: &BlobFile,
        session: &mut UploadSession,
    ) -> Result<(), RegistryError> {
        while session.at < blob.size {
            let end = (session.at + session.piece).min(blob.size);
            let answer = self
                .send_part(call, (Method::PATCH, &session.url), blob, session.at..end)
                .await?;
            if !answer.status().is_success() {
                return Err(call.refuse(answer).await);
            }
            session.url = session_url(call, &answer)?;
            session.at = end;
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

    /// The session as the registry has it after a failure; `None` if it cannot go on. `length` is the most it can have.
    pub(super) async fn sent_so_far(
        &self,
        call: &Call,
        length: u64,
        session: UploadSession,
    ) -> Option<UploadSession> {
        let url = &session.url;
        let answer = self
            .send(call, url, |http| http.get(url.clone()))
            .await
            .ok()?;
        if answer.status() != StatusCode::NO_CONTENT {
            return None;
        }
        // `0-0` is what registries say of one byte and of none.
        let last: u64 = match answer
            .headers()
            .get(RANGE)?
            .to_str()
            .ok()?
            .split_once('-')?
        {
            ("0", last) => last.trim().parse().ok()?,
            _ => return None,
        };
        (last > 0 && last < length).then_some(UploadSession {
            at: last + 1,
            url: session_url(call, &answer).unwrap_or(session.url),
            piece: session.piece,
        })
    }

    /// Sends a part of a blob; a range goes with it if it is a piece.
    async fn send_part(
        &self,
        call: &Call,
        (method, url): (Method, &Url),
        blob: &BlobFile,
        part: std::ops::Range<u64>,
    ) -> Result<Response, RegistryError> {
        let length = part.end - part.start;
        self.send_once(call, url, Some(&blob.sent), |http| {
            let request = http
                .request(method.clone(), url.clone())
                .header(CONTENT_TYPE, OCTETS)
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
    fn of(call: &Call, answer: &Response) -> Result<Self, RegistryError> {
        let asked = answer
            .headers()
            .get("oci-chunk-min-length")
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .unwrap_or(0);
        Ok(Self {
            url: session_url(call, answer)?,
            piece: PIECE.max(asked).min(PIECE_MAX),
            at: 0,
        })
    }

    fn closing(&self, digest: &Digest) -> Url {
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        url
    }
}

/// Some of the bytes of a file from `at` on, up to `end`.
pub(super) async fn read_at(file: &Arc<File>, at: u64, end: u64) -> io::Result<Bytes> {
    let file = Arc::clone(file);
    let read = move || {
        let mut buffer = vec![0; (end - at).min(READ) as usize];
        file.read_exact_at(&mut buffer, at)?;
        Ok(Bytes::from(buffer))
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(io::Error::other)?
}

/// Where the session goes on, which the registry says with each answer.
pub(super) fn session_url(call: &Call, answer: &Response) -> Result<Url, RegistryError> {
    let url = answer
        .headers()
        .get(LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| answer.url().join(location).ok())
        .ok_or_else(|| call.protocol("it does not say where to send the blob"))?;
    if call.endpoint.is_safe(&url) {
        Ok(url)
    } else {
        Err(call.protocol("it wants the blob to be sent without HTTPS"))
    }
}

/// What registries, or proxies before them, say that do not take a blob in one request.
fn wants_pieces(error: &RegistryError) -> bool {
    let refused = [
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::NOT_IMPLEMENTED,
    ];
    match error {
        RegistryError::NotFound { .. } => true,
        RegistryError::Status { status, .. } => refused.iter().any(|it| it.as_u16() == *status),
        _ => false,
    }
}

/// Whether the registry has more or less of the blob than we think, or has lost the session.
fn is_out_of_step(error: &RegistryError) -> bool {
    match error {
        RegistryError::NotFound { .. } => true,
        RegistryError::Status { status, .. } => {
            *status == StatusCode::RANGE_NOT_SATISFIABLE.as_u16()
        }
        _ => false,
    }
}
