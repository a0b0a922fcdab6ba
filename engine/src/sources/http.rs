//! What URLs lead to: asked for again only to hear that nothing is newer, verified, and streamed.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use cache::Downloaded;
use frontend::remote::{HttpForm, HttpSource, redacted};
use image::registry::{Answer, Download, DownloadError, DownloadRequest, Version};
use layer::{ContentDigest, Digest, FileSource, Metadata, Timestamp};
use sha2::{Digest as _, Sha256};
use solver::KeyWriter;

use super::layer::{self as layers, Workplace, blocking};
use super::{Access, SourceError};
use crate::engine::Engine;
use crate::files::archive;
use crate::files::node::{self, Kind, Node};
use crate::progress::Row;
use crate::rootfs::Sealed;

/// Mode of a file that came from a URL (BuildKit's).
const MODE: u32 = 0o600;
/// The longest download.
const MAX_LENGTH: u64 = 256 << 30;
/// How many bytes come between two tellings of them.
const STEP: u64 = 1 << 20;
/// What the file is called while it comes.
const CONTENT: &str = "content";

/// Bytes that a URL leads to.
#[derive(Debug)]
pub(crate) struct PinnedFile {
    source: HttpSource,
    digest: Digest,
    /// Their layer, where they had to be downloaded to be known.
    layer: Option<Sealed>,
}

impl PinnedFile {
    pub(super) fn name(&self) -> String {
        self.digest.to_string()
    }

    pub(super) fn identity(&self) -> KeyWriter {
        identity(&self.source, &self.digest)
    }

    pub(super) async fn layer(
        &self,
        engine: &Engine,
        access: Access<'_>,
        row: &Row,
    ) -> Result<Sealed, SourceError> {
        let key = self.identity().finish();
        if let Some(layer) = &self.layer {
            return Ok(layer.clone());
        }
        if let Some(layer) = layers::known(engine, &key)? {
            return Ok(layer);
        }
        let fetch = Fetch::new(engine, &self.source, access, row)?;
        fetch.content(None).await.map(|fetched| match fetched {
            Fetched::New(_, layer) => layer,
            Fetched::Unchanged => unreachable!("nothing was said to be known"),
        })
    }
}

/// Everything that the files depend on; no time is part of it.
fn identity(source: &HttpSource, digest: &Digest) -> KeyWriter {
    let mut key = KeyWriter::new("rbuild download", 1);
    key.identity(digest.as_bytes()).text(&source.name);
    key.variant(match source.form {
        HttpForm::File => 0,
        HttpForm::Archive => 1,
    });
    key
}

/// By what the last download of a source is remembered.
fn memory_key(source: &HttpSource) -> [u8; 32] {
    let mut key = KeyWriter::new("rbuild url", 1);
    key.text(&source.url).text(&source.name);
    key.truth(source.form == HttpForm::Archive);
    key.finish()
}

/// Finds out the digest of what a URL leads to: what its checksum says, or what comes.
pub(super) async fn pin(
    engine: &Engine,
    source: &HttpSource,
    access: Access<'_>,
    row: &Row,
) -> Result<PinnedFile, SourceError> {
    let pinned = |digest, layer| PinnedFile {
        source: source.clone(),
        digest,
        layer,
    };
    if let Some(digest) = source
        .checksum
        .as_deref()
        .and_then(|text| text.parse().ok())
    {
        return Ok(pinned(digest, None));
    }
    let key = memory_key(source);
    let _alone = engine.store().exclusive(&key).await?;
    let known = match engine.store().downloads().get(&key)? {
        Some(known) => {
            let layer = engine.sealed_layer(&known.layer)?;
            layer.map(|layer| (known, layer))
        }
        None => None,
    };
    let version = known.as_ref().map(|(known, _)| Version {
        etag: known.etag.clone(),
        last_modified: known.last_modified.clone(),
    });
    let fetch = Fetch::new(engine, source, access, row)?;
    match (fetch.content(version.as_ref()).await?, known) {
        (Fetched::New(digest, layer), _) => Ok(pinned(digest, Some(layer))),
        (Fetched::Unchanged, Some((known, layer))) => Ok(pinned(known.digest, Some(layer))),
        (Fetched::Unchanged, None) => unreachable!("nothing was said to be known"),
    }
}

/// What came of a request.
enum Fetched {
    Unchanged,
    New(Digest, Sealed),
}

/// A download.
struct Fetch<'a> {
    engine: &'a Engine,
    source: &'a HttpSource,
    authorization: Option<Vec<u8>>,
    row: &'a Row,
}

impl<'a> Fetch<'a> {
    fn new(
        engine: &'a Engine,
        source: &'a HttpSource,
        access: Access<'_>,
        row: &'a Row,
    ) -> Result<Self, SourceError> {
        Ok(Self {
            engine,
            source,
            authorization: authorization(&source.url, access)?,
            row,
        })
    }

    /// Downloads, unless there is nothing newer than what is known; again where it breaks off.
    async fn content(&self, known: Option<&Version>) -> Result<Fetched, SourceError> {
        let client = self.engine.registry();
        for attempt in 0.. {
            match self.attempt(known).await {
                Err(SourceError::Download { source, .. }) if source.is_temporary() => {
                    match client.download_pause(attempt) {
                        Some(pause) => tokio::time::sleep(pause).await,
                        None => return Err(self.failed(*source)),
                    }
                }
                result => return result,
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn attempt(&self, known: Option<&Version>) -> Result<Fetched, SourceError> {
        let request = DownloadRequest {
            url: &self.source.url,
            authorization: self.authorization.as_deref(),
            known,
        };
        let answer = self.engine.registry().download(request).await;
        let mut download = match answer.map_err(|error| self.failed(error))? {
            Answer::Unchanged => return Ok(Fetched::Unchanged),
            Answer::Content(download) => download,
        };
        let place = Workplace::new(self.engine)?;
        let digest = self
            .receive(&mut download, &place.path().join(CONTENT))
            .await?;
        if let Some(expected) = &self.source.checksum
            && *expected != digest.to_string()
        {
            return Err(SourceError::Checksum {
                url: redacted(&self.source.url),
                found: digest.to_string(),
                expected: expected.clone(),
            });
        }
        let (engine, source) = (self.engine.clone(), self.source.clone());
        let version = download.version;
        let layer = blocking(move || keep(&engine, &source, digest, version, &place)).await?;
        Ok(Fetched::New(digest, layer))
    }

    /// Writes what comes to a file.
    async fn receive(&self, download: &mut Download, path: &Path) -> Result<Digest, SourceError> {
        let failed = |source| SourceError::Io {
            action: "write what is downloaded",
            source,
        };
        let mut file = File::create_new(path).map_err(failed)?;
        let mut hash = Sha256::new();
        let (mut length, mut told) = (0_u64, 0_u64);
        let total = download.length();
        while let Some(bytes) = download.next().await.map_err(|error| self.failed(error))? {
            length += bytes.len() as u64;
            if length > MAX_LENGTH {
                return Err(SourceError::TooLong {
                    url: redacted(&self.source.url),
                    limit: MAX_LENGTH,
                });
            }
            hash.update(&bytes);
            file.write_all(&bytes).map_err(failed)?;
            if length >= told + STEP {
                told = length;
                self.row.transfer("downloading", length, total, false);
            }
        }
        self.row.transfer("downloading", length, total, true);
        Ok(Digest::from_bytes(hash.finalize().into()))
    }

    fn failed(&self, source: DownloadError) -> SourceError {
        SourceError::Download {
            url: redacted(&self.source.url),
            source: Box::new(source),
        }
    }
}

/// The header `Authorization` that the secrets have for the host of a URL: as it is, or a token.
fn authorization(url: &str, access: Access<'_>) -> Result<Option<Vec<u8>>, SourceError> {
    let Some(host) = frontend::remote::host(url) else {
        return Ok(None);
    };
    if let Some(header) = access.secrets.read(&format!("HTTP_AUTH_HEADER_{host}"))? {
        return Ok(Some(header.as_bytes().to_vec()));
    }
    let token = access.secrets.read(&format!("HTTP_AUTH_TOKEN_{host}"))?;
    Ok(token.map(|token| [b"Bearer ", token.as_bytes()].concat()))
}

/// Makes the layer of a downloaded file, and remembers it.
fn keep(
    engine: &Engine,
    source: &HttpSource,
    digest: Digest,
    version: Version,
    place: &Workplace,
) -> Result<Sealed, SourceError> {
    let key = identity(source, &digest).finish();
    let layer = if let Some(layer) = layers::known(engine, &key)? {
        layer
    } else {
        let layer = make(engine, source, &version, place)?;
        layers::remember(engine, &key, layer.diff_id)?;
        layer
    };
    let downloaded = Downloaded {
        digest,
        layer: layer.diff_id,
        etag: version.etag,
        last_modified: version.last_modified,
    };
    let downloads = engine.store().downloads();
    downloads.remember(&memory_key(source), &downloaded)?;
    Ok(layer)
}

fn make(
    engine: &Engine,
    source: &HttpSource,
    version: &Version,
    place: &Workplace,
) -> Result<Sealed, SourceError> {
    let file = file(version, place)?;
    let archive = match source.form {
        HttpForm::File => None,
        HttpForm::Archive => archive::open(&file, engine.store())?,
    };
    layers::write(engine, |planner| {
        if let Some(archive) = &archive {
            planner.unpack(&archive.tree, b"/", &archive.implied)?;
        } else {
            let dest = [b"/", source.name.as_bytes()].concat();
            planner.copy(source.name.as_bytes(), &file, &dest)?;
        }
        Ok(())
    })
}

/// The downloaded file, with the time that the server told, or none.
fn file(version: &Version, place: &Workplace) -> Result<Node, SourceError> {
    let opened = File::open(place.path()).and_then(|root| {
        let size = std::fs::metadata(place.path().join(CONTENT))?.len();
        Ok((root, size))
    });
    let (root, size) = opened.map_err(|source| SourceError::Io {
        action: "read what was downloaded",
        source,
    })?;
    let source = FileSource::Host {
        root: std::sync::Arc::new(root.into()),
        path: CONTENT.into(),
        size,
        version: None,
    };
    let digest: ContentDigest = source.digest().map_err(crate::error::FileError::from)?;
    Ok(Node {
        passed: false,
        metadata: Metadata {
            mode: MODE,
            mtime: modified(version),
            ..Metadata::default()
        },
        kind: Kind::File(node::File::new(source, digest)),
    })
}

/// `Last-Modified` as a time; the beginning of time where there is none.
fn modified(version: &Version) -> Timestamp {
    let time = version.last_modified.as_deref().and_then(seconds);
    Timestamp::from_seconds(time.unwrap_or(0))
}

fn seconds(last_modified: &str) -> Option<i64> {
    let time = jiff::fmt::rfc2822::parse(last_modified).ok()?;
    Some(time.timestamp().as_second())
}

/// What the server said of a source that was pinned, in seconds since 1970.
pub(super) fn last_modified(
    engine: &Engine,
    source: &HttpSource,
) -> Result<Option<i64>, SourceError> {
    let known = engine.store().downloads().get(&memory_key(source))?;
    let told = known.and_then(|known| known.last_modified);
    Ok(told.as_deref().and_then(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_digest_and_what_changes_it() {
        let key = |url: &str, name: &str, form: HttpForm| {
            let source = HttpSource::new(url, name, form).expect("a URL");
            solver::OperationDigest::of(&identity(&source, &Digest::of(b"x"))).to_string()
        };
        let own = key("https://h/x", "x", HttpForm::File);
        assert_eq!(
            own,
            "3b89e0be49f32854ed3990a4988dbea40887a8e5ec2ef98754199c2826f00929"
        );
        // The bytes say it all, wherever they are.
        assert_eq!(key("https://i/y", "x", HttpForm::File), own);
        assert_ne!(key("https://h/x", "y", HttpForm::File), own);
        assert_ne!(key("https://h/x", "x", HttpForm::Archive), own);
    }

    #[test]
    fn times_are_the_servers_or_none() {
        let time = |text: &str| {
            let version = Version {
                last_modified: Some(text.to_owned()),
                ..Version::default()
            };
            modified(&version).seconds
        };
        assert_eq!(time("Sat, 03 Feb 2001 04:05:06 GMT"), 981_173_106);
        assert_eq!(time("yesterday"), 0);
        assert_eq!(modified(&Version::default()).seconds, 0);
    }
}
