//! Manifests: by tag or digest, in and out.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use layer::Digest;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};

use super::endpoint::{Endpoint, Purpose};
use super::fallback::Failures;
use super::request::{Access, Call, read_bounded};
use super::{Client, RegistryError, retry};
use crate::error::Error;
use crate::manifest::{Descriptor, ManifestProblem, SIZE_MAX};
use crate::media_type::{DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use crate::reference::{Reference, Repository};

const DIGEST_HEADER: &str = "docker-content-digest";
/// Indexes first, so that a registry that has both gives the choice.
const ACCEPTED: [&str; 4] = [OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST];

/// A manifest or an index as it came, its digest verified.
#[derive(Debug, Clone)]
pub struct FetchedManifest {
    /// What the registry says it is, and what it is called.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Client {
    /// What a name leads to, without fetching it where the registry can say so.
    pub async fn resolve(&self, reference: &Reference) -> Result<Descriptor, Error> {
        self.in_turn(reference, |server| {
            self.resolve_at(server, reference).boxed()
        })
        .await
    }

    /// What the first server has to say that does not fail.
    async fn in_turn<'a, T>(
        &'a self,
        reference: &Reference,
        ask: impl Fn(Arc<Endpoint>) -> BoxFuture<'a, Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut failures = Failures::default();
        for server in self.servers(reference.repository(), purpose(reference))? {
            match ask(Arc::clone(&server)).await {
                Ok(found) => {
                    self.inner.passed_over.add(failures);
                    return Ok(found);
                }
                Err(error) => failures.add(&server, error),
            }
        }
        Err(failures.into_error())
    }

    async fn resolve_at(
        &self,
        server: Arc<Endpoint>,
        reference: &Reference,
    ) -> Result<Descriptor, Error> {
        let call = pulling(&server, reference);
        let answer = self
            .manifest(&call, &Method::HEAD, &reference.target())
            .await?;
        if answer.status().is_success()
            && let Some(descriptor) = described(&answer)
        {
            let wanted = reference.digest();
            if wanted.is_none_or(|wanted| *wanted == descriptor.digest) {
                return Ok(descriptor);
            }
        }
        // A HEAD has no body to say why; and some registries do not know it.
        Ok(self.fetch_manifest_at(server, reference).await?.descriptor)
    }

    /// The manifest or index of a name.
    pub async fn fetch_manifest(&self, reference: &Reference) -> Result<FetchedManifest, Error> {
        self.in_turn(reference, |server| {
            self.fetch_manifest_at(server, reference).boxed()
        })
        .await
    }

    async fn fetch_manifest_at(
        &self,
        server: Arc<Endpoint>,
        reference: &Reference,
    ) -> Result<FetchedManifest, Error> {
        let call = pulling(&server, reference);
        let (head, bytes) = self.manifest_and_bytes(&call, &reference.target()).await?;
        let media_type = header(&head, CONTENT_TYPE.as_str())
            .and_then(|text| text.split(';').next())
            .unwrap_or_default()
            .trim()
            .to_owned();
        let announced = header(&head, DIGEST_HEADER).and_then(|text| text.parse().ok());
        if bytes.len() as u64 > SIZE_MAX {
            let length = header(&head, CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
            return Err(Error::Manifest {
                document: format!("manifest of {}", reference.familiar()),
                source: ManifestProblem::TooLarge(length.unwrap_or(bytes.len() as u64)),
            });
        }
        let actual = Digest::of(&bytes);
        match reference.digest().copied().or(announced) {
            Some(expected) if expected != actual => Err(Error::WrongDigest { expected, actual }),
            _ => Ok(FetchedManifest {
                descriptor: Descriptor::new(media_type, actual, bytes.len() as u64),
                bytes,
            }),
        }
    }

    /// Puts a manifest or an index into a repository, under a tag or its digest. What it names must be there.
    pub async fn put_manifest(
        &self,
        repository: &Repository,
        target: &str,
        media_type: &str,
        bytes: &Bytes,
    ) -> Result<(), Error> {
        let what = format!("pushing {}:{target}", repository.familiar());
        let call = self.pushing(repository, what)?;
        let url = call.url(&format!("manifests/{target}"))?;
        let media_type = HeaderValue::from_str(media_type)
            .map_err(|error| RegistryError::Setup(Box::new(error)))?;
        let answer = self
            .send(&call, &url, |http| {
                http.put(url.clone())
                    .header(CONTENT_TYPE, media_type.clone())
                    .body(bytes.clone())
            })
            .await?;
        if !answer.status().is_success() {
            return Err(call.refuse(answer).await.into());
        }
        let stored = header(answer.headers(), DIGEST_HEADER).and_then(|text| text.parse().ok());
        match (stored, Digest::of(bytes)) {
            (Some(actual), expected) if actual != expected => {
                Err(Error::WrongDigest { expected, actual })
            }
            _ => Ok(()),
        }
    }

    /// What a tag leads to where it is pushed to, if it is there and the registry says so.
    pub async fn tagged(
        &self,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<Digest>, Error> {
        let what = format!("pushing {}:{tag}", repository.familiar());
        let call = self.pushing(repository, what)?;
        let answer = self.manifest(&call, &Method::HEAD, tag).await?;
        let digest = || header(answer.headers(), DIGEST_HEADER)?.parse().ok();
        Ok(answer.status().is_success().then(digest).flatten())
    }

    /// Whether a repository has a manifest under this digest.
    pub async fn has_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let what = format!("pushing to {}", repository.familiar());
        let call = self.pushing(repository, what)?;
        let answer = self
            .manifest(&call, &Method::HEAD, &digest.to_string())
            .await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(call.refuse(answer).await.into()),
        }
    }

    /// A manifest's headers and bytes; asked for again if they break off.
    async fn manifest_and_bytes(
        &self,
        call: &Call,
        target: &str,
    ) -> Result<(HeaderMap, Vec<u8>), RegistryError> {
        for attempt in 0.. {
            let answer = self.manifest(call, &Method::GET, target).await?;
            if !answer.status().is_success() {
                return Err(call.refuse(answer).await);
            }
            let head = answer.headers().clone();
            let error = match read_bounded(self, answer, SIZE_MAX).await {
                Ok(bytes) => return Ok((head, bytes)),
                Err(error) => error,
            };
            match retry::pause(self.inner.settings.retry_wait, attempt, None) {
                Some(pause) if error.asks_again(&call.endpoint) => tokio::time::sleep(pause).await,
                _ => return Err(error),
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn manifest(
        &self,
        call: &Call,
        method: &Method,
        target: &str,
    ) -> Result<Response, RegistryError> {
        let url = call.url(&format!("manifests/{target}"))?;
        self.send(call, &url, |http| {
            http.request(method.clone(), url.clone())
                .header(ACCEPT, ACCEPTED.join(", "))
        })
        .await
    }
}

fn pulling(server: &Arc<Endpoint>, reference: &Reference) -> Call {
    let what = format!("`{}`", reference.familiar());
    Call::new(server, reference.repository(), Access::Pull, what)
}

/// Whether a tag must be resolved first.
fn purpose(reference: &Reference) -> Purpose {
    match reference.digest() {
        Some(_) => Purpose::Pull,
        None => Purpose::Resolve,
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The descriptor in the headers of an answer, if it is all there.
fn described(answer: &Response) -> Option<Descriptor> {
    let headers = answer.headers();
    let digest = header(headers, DIGEST_HEADER)?.parse().ok()?;
    let size = header(headers, CONTENT_LENGTH.as_str())?.parse().ok()?;
    let media_type = header(headers, CONTENT_TYPE.as_str())?;
    ACCEPTED
        .contains(&media_type)
        .then(|| Descriptor::new(media_type, digest, size))
}
