//! Blobs out of a registry: from whichever server has them.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use layer::Digest;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Response, StatusCode, Url};
use sha2::{Digest as _, Sha256};

use super::endpoint::{Endpoint, Purpose};
use super::fallback::Failures;
use super::request::{Access, Call};
use super::{Client, RegistryError, retry};
use crate::error::{Error, IoContext as _};
use crate::manifest::Descriptor;
use crate::media_type;
use crate::reference::Repository;

/// How much of what was kept is read at a time.
const READ: u64 = 1 << 20;
/// The most addresses of a foreign layer that are tried.
const URLS_MAX: usize = 8;

/// Where a blob may be had.
struct Source {
    call: Call,
    url: Url,
}

/// A blob on its way: its length and digest are verified at its end. A download that breaks off is taken up where it
/// stopped, if need be from another server.
pub struct BlobStream {
    client: Client,
    descriptor: Descriptor,
    sources: Vec<Source>,
    /// Which of them is asked, and which gave the first byte.
    current: usize,
    first: usize,
    failed: Failures,
    kept: Option<Kept>,
    answer: Option<Response>,
    /// Bytes that the answer repeats and that are to be passed over.
    repeated: u64,
    received: u64,
    hasher: Sha256,
    /// How often it broke off since this many bytes had come.
    failures: u32,
    furthest: u64,
}

/// What an earlier download left.
struct Kept {
    file: Arc<File>,
    length: u64,
}

impl Client {
    /// Whether a repository has a blob.
    pub async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, Error> {
        let what = format!("pushing to {}", repository.familiar());
        let call = self.pushing(repository, what)?;
        let url = call.url(&format!("blobs/{digest}"))?;
        let answer = self
            .send(&call, &url, |http| http.head(url.clone()))
            .await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(call.refuse(answer).await.into()),
        }
    }

    /// A blob as a stream, from the source of the number `first` and those after it. Nothing is sent yet.
    pub fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        first: usize,
    ) -> Result<BlobStream, Error> {
        Ok(BlobStream {
            client: self.clone(),
            descriptor: descriptor.clone(),
            sources: self.sources(repository, descriptor)?,
            current: first,
            first,
            failed: Failures::default(),
            kept: None,
            answer: None,
            repeated: 0,
            received: 0,
            hasher: Sha256::new(),
            failures: 0,
            furthest: 0,
        })
    }

    /// A small blob, whole: a config.
    pub async fn fetch_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Vec<u8>, Error> {
        let mut first = 0;
        loop {
            let mut stream = self.blob(repository, descriptor, first)?;
            match stream.rest().await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => first = stream.after_wrong_bytes(error)?,
            }
        }
    }

    /// Where a blob may be had: the addresses of a foreign layer, the mirrors, the registry.
    fn sources(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Vec<Source>, RegistryError> {
        let servers = self.servers(repository, Purpose::Pull)?;
        let what = || format!("blob {} of {}", descriptor.digest, repository.familiar());
        let mut sources = Vec::new();
        if media_type::is_foreign_layer(&descriptor.media_type) {
            let urls = descriptor
                .urls
                .iter()
                .filter_map(|url| Url::parse(url).ok());
            let safe = |url: &Url| servers.iter().all(|server| server.is_safe(url));
            sources.extend(urls.filter(safe).take(URLS_MAX).map(|url| Source {
                call: Call::of_registry(&Endpoint::foreign(&url), what()),
                url,
            }));
        }
        for server in &servers {
            let call = Call::new(server, repository, Access::Pull, what());
            let url = call.url(&format!("blobs/{}", descriptor.digest))?;
            sources.push(Source { call, url });
        }
        Ok(sources)
    }
}

impl BlobStream {
    /// The next bytes. `None` once all are there and they are the right ones.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(bytes) = self.next_kept().await? {
                return Ok(Some(bytes));
            }
            if self.received == self.descriptor.size && self.answer.is_none() {
                self.verify()?;
                let failed = std::mem::take(&mut self.failed);
                self.client.inner.passed_over.add(failed);
                return Ok(None);
            }
            let Some(answer) = &mut self.answer else {
                self.connect().await?;
                continue;
            };
            match self.client.next_bytes(answer).await {
                Ok(Some(bytes)) => {
                    let bytes = self.take(bytes)?;
                    if !bytes.is_empty() {
                        return Ok(Some(bytes));
                    }
                }
                Ok(None) if self.received >= self.descriptor.size => self.answer = None,
                Ok(None) => self.broken_off(self.wrong_size()).await?,
                Err(error) => self.broken_off(error.into()).await?,
            }
        }
    }

    /// Begins with what an earlier download left of the blob in a file.
    pub(crate) fn resume(&mut self, file: Arc<File>, length: u64) {
        self.kept = Some(Kept { file, length });
    }

    /// Which source to begin with when what came turned out to be wrong, as this error says; the error itself if there is
    /// no better one.
    pub(crate) fn after_wrong_bytes(mut self, error: Error) -> Result<usize, Error> {
        let next = if self.first < self.current {
            self.current
        } else {
            self.current + 1
        };
        if !error.is_content() || next == self.sources.len() {
            return Err(error);
        }
        self.failed
            .add(&self.sources[self.first].call.endpoint, error);
        self.client.inner.passed_over.add(self.failed);
        Ok(next)
    }

    async fn rest(&mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// The next bytes of what was kept.
    async fn next_kept(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(kept) = &self.kept else {
            return Ok(None);
        };
        let (at, end) = (self.received, kept.length.min(self.descriptor.size));
        if at >= end {
            self.kept = None;
            return Ok(None);
        }
        let file = Arc::clone(&kept.file);
        let read = move || {
            let mut bytes = vec![0; usize::try_from((end - at).min(READ)).unwrap_or(0)];
            file.read_exact_at(&mut bytes, at)?;
            Ok(Bytes::from(bytes))
        };
        let bytes = tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| Error::Interrupted)?
            .doing("read what was kept of a download")?;
        self.take(bytes).map(Some)
    }

    /// Counts and hashes what came, without what is repeated.
    fn take(&mut self, mut bytes: Bytes) -> Result<Bytes, Error> {
        let skipped = self.repeated.min(bytes.len() as u64);
        self.repeated -= skipped;
        let bytes = bytes.split_off(usize::try_from(skipped).unwrap_or(bytes.len()));
        if bytes.is_empty() {
            return Ok(bytes);
        }
        self.received += bytes.len() as u64;
        if self.received >= self.furthest + retry::PROGRESS {
            (self.failures, self.furthest) = (0, self.received);
        }
        if self.received > self.descriptor.size {
            return Err(self.wrong_size());
        }
        self.hasher.update(&bytes);
        Ok(bytes)
    }

    fn verify(&self) -> Result<(), Error> {
        let actual = Digest::from_bytes(self.hasher.clone().finalize().into());
        if actual == self.descriptor.digest {
            Ok(())
        } else {
            Err(Error::WrongDigest {
                expected: self.descriptor.digest,
                actual,
            })
        }
    }

    fn wrong_size(&self) -> Error {
        Error::WrongSize {
            digest: self.descriptor.digest,
            expected: self.descriptor.size,
            actual: self.received.min(self.descriptor.size.saturating_add(1)),
        }
    }

    /// After a download broke off: waits, so that the next attempt may fare better, or turns to the next source.
    async fn broken_off(&mut self, error: Error) -> Result<(), Error> {
        self.answer = None;
        let temporary = match &error {
            Error::Registry(error) => error.asks_again(&self.sources[self.current].call.endpoint),
            _ => true,
        };
        let first = self.client.inner.settings.retry_wait;
        match retry::pause(first, self.failures, None) {
            Some(pause) if temporary => {
                self.failures += 1;
                tokio::time::sleep(pause).await;
                Ok(())
            }
            _ => self.pass_over(error),
        }
    }

    /// Turns to the next source.
    fn pass_over(&mut self, error: Error) -> Result<(), Error> {
        let server = &self.sources[self.current].call.endpoint;
        self.failed.add(server, error);
        if self.current + 1 == self.sources.len() {
            return Err(std::mem::take(&mut self.failed).into_error());
        }
        self.current += 1;
        self.failures = 0;
        if self.received == 0 {
            self.first = self.current;
        }
        Ok(())
    }

    async fn connect(&mut self) -> Result<(), Error> {
        if let Err(error) = self.ask().await {
            self.pass_over(error.into())?;
        }
        Ok(())
    }

    async fn ask(&mut self) -> Result<(), RegistryError> {
        let Source { call, url } = &self.sources[self.current];
        let from = self.received;
        let whole = |http: &reqwest::Client| http.get(url.clone());
        let answer = if from == 0 {
            self.client.send(call, url, whole).await?
        } else {
            let rest = |http: &reqwest::Client| whole(http).header(RANGE, format!("bytes={from}-"));
            let answer = self.client.send(call, url, rest).await?;
            match answer.status() {
                // It gives no parts, or none of this blob.
                StatusCode::RANGE_NOT_SATISFIABLE => self.client.send(call, url, whole).await?,
                _ => answer,
            }
        };
        self.repeated = match answer.status() {
            StatusCode::OK => from,
            StatusCode::PARTIAL_CONTENT if starts_at(&answer, from) => 0,
            StatusCode::PARTIAL_CONTENT => return Err(wrong_range(call)),
            _ => return Err(call.refuse(answer).await),
        };
        self.answer = Some(answer);
        Ok(())
    }
}

fn wrong_range(call: &Call) -> RegistryError {
    call.protocol("it gave another part than the one asked for")
}

/// Whether a part begins where it should: `Content-Range: bytes 5-9/10`.
fn starts_at(answer: &Response, from: u64) -> bool {
    answer
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|range| range.to_str().ok())
        .and_then(|range| range.strip_prefix("bytes "))
        .and_then(|range| range.split('-').next())
        .is_some_and(|start| start.trim().parse() == Ok(from))
}

impl std::fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobStream")
            .field("digest", &self.descriptor.digest)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}
