//! Blobs out of a registry.

use bytes::Bytes;
use layer::Digest;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::request::{Access, Call, is_temporary};
use super::{Client, RegistryError, retry};
use crate::error::Error;
use crate::manifest::Descriptor;
use crate::reference::Repository;

/// How often a download that broke off is taken up again without a single byte more.
const RESUMES: u32 = 3;

/// A blob on its way: its length and digest are verified at its end. A download that breaks off is taken up where it
/// stopped.
pub struct BlobStream {
    client: Client,
    repository: Repository,
    descriptor: Descriptor,
    answer: Option<Response>,
    /// Bytes that the answer repeats and that are to be passed over.
    repeated: u64,
    received: u64,
    hasher: Sha256,
    failures: u32,
}

impl Client {
    /// Whether a repository has a blob.
    pub async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, Error> {
        let what = format!("pushing to {}", repository.familiar());
        let call = Call::new(repository, Access::Push, what);
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

    /// A blob as a stream.
    pub async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobStream, Error> {
        let mut stream = BlobStream {
            client: self.clone(),
            repository: repository.clone(),
            descriptor: descriptor.clone(),
            answer: None,
            repeated: 0,
            received: 0,
            hasher: Sha256::new(),
            failures: 0,
        };
        stream.connect().await?;
        Ok(stream)
    }

    /// A small blob, whole: a config.
    pub async fn fetch_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Vec<u8>, Error> {
        let mut stream = self.blob(repository, descriptor).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

impl BlobStream {
    /// The next bytes. `None` once all are there and they are the right ones.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Some(answer) = &mut self.answer else {
                return Ok(None);
            };
            match self.client.next_bytes(answer).await {
                Ok(Some(bytes)) => {
                    let bytes = self.take(bytes)?;
                    if !bytes.is_empty() {
                        return Ok(Some(bytes));
                    }
                }
                Ok(None) if self.received >= self.descriptor.size => {
                    self.answer = None;
                    self.verify()?;
                }
                Ok(None) if self.failures >= RESUMES => return Err(self.wrong_size()),
                Err(error) if self.failures >= RESUMES || !is_temporary(&error) => {
                    return Err(error.into());
                }
                Ok(None) | Err(_) => self.resume().await?,
            }
        }
    }

    /// Counts and hashes what came, without what is repeated.
    fn take(&mut self, mut bytes: Bytes) -> Result<Bytes, Error> {
        let skipped = self.repeated.min(bytes.len() as u64);
        self.repeated -= skipped;
        let bytes = bytes.split_off(usize::try_from(skipped).unwrap_or(bytes.len()));
        if bytes.is_empty() {
            return Ok(bytes);
        }
        self.failures = 0;
        self.received += bytes.len() as u64;
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
            actual: self.received.min(self.descriptor.size + 1),
        }
    }

    async fn resume(&mut self) -> Result<(), Error> {
        let first = self.client.inner.settings.retry_wait;
        tokio::time::sleep(retry::wait(first, self.failures, None)).await;
        self.failures += 1;
        self.answer = None;
        self.connect().await
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let name = self.repository.familiar();
        let what = format!("blob {} of {name}", self.descriptor.digest);
        let call = Call::new(&self.repository, Access::Pull, what);
        let url = call.url(&format!("blobs/{}", self.descriptor.digest))?;
        let from = self.received;
        let answer = self
            .client
            .send(&call, &url, |http| {
                let request = http.get(url.clone());
                if from == 0 {
                    request
                } else {
                    request.header(RANGE, format!("bytes={from}-"))
                }
            })
            .await?;
        self.repeated = match answer.status() {
            StatusCode::OK => from,
            StatusCode::PARTIAL_CONTENT if starts_at(&answer, from) => 0,
            StatusCode::PARTIAL_CONTENT => return Err(wrong_range(&call).into()),
            _ => return Err(call.refuse(answer).await.into()),
        };
        self.answer = Some(answer);
        Ok(())
    }
}

fn wrong_range(call: &Call<'_>) -> RegistryError {
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
