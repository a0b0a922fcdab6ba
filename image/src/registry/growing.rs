//! Blobs that are sent while they are written.
//!
//! The digest of a layer is known when the last of it is compressed, and a registry wants it no sooner: in the request
//! that closes the upload. All before it goes in one request of unknown length, as Docker sends its layers. That is a
//! head start and no more: whatever becomes of it, [`Client::upload`] goes on from there, and has the patience.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream;
use reqwest::Body;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::watch;

use super::Client;
use super::upload::{OCTETS, Start, UploadSession, read_at, session_url};
use crate::error::Error;
use crate::reference::Repository;

/// The end of a growing blob that is written to. The blob is at its end when this is dropped.
#[derive(Debug)]
pub struct Writer {
    file: Arc<File>,
    length: watch::Sender<u64>,
}

/// A blob in a file that somebody still writes to. Clones share it.
#[derive(Debug, Clone)]
pub struct GrowingBlob {
    file: Arc<File>,
    length: watch::Receiver<u64>,
    sent: Arc<AtomicU64>,
}

impl GrowingBlob {
    /// A blob that begins as an empty file.
    pub fn new(file: File) -> (Writer, Self) {
        let file = Arc::new(file);
        let (sender, receiver) = watch::channel(0);
        let writer = Writer {
            file: Arc::clone(&file),
            length: sender,
        };
        let blob = Self {
            file,
            length: receiver,
            sent: Arc::default(),
        };
        (writer, blob)
    }

    /// Its file.
    pub fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// A counter of the bytes that have been sent. It goes back when sending begins again.
    pub fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }

    /// How much there is of it.
    fn length(&self) -> u64 {
        *self.length.borrow()
    }

    /// Waits until there is more than `at`; gives how much there is, or `None` at the end.
    async fn beyond(&mut self, at: u64) -> Option<u64> {
        if let Ok(length) = self.length.wait_for(|length| *length > at).await {
            return Some(*length);
        }
        // What was written last may have been missed.
        Some(self.length()).filter(|length| *length > at)
    }

    /// All of it, as it comes.
    fn body(&self) -> Body {
        self.sent.store(0, Ordering::Relaxed);
        let start = (self.clone(), 0);
        Body::wrap_stream(stream::try_unfold(start, |(mut blob, at)| async move {
            let Some(length) = blob.beyond(at).await else {
                return Ok(None);
            };
            let bytes = read_at(&blob.file, at, length).await?;
            let next = at + bytes.len() as u64;
            blob.sent.store(next, Ordering::Relaxed);
            Ok::<_, io::Error>(Some((bytes, (blob, next))))
        }))
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = (&*self.file).write(bytes)?;
        self.length.send_modify(|length| *length += written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Client {
    /// Sends a blob while it is written, until its end. `session` is one that is open already. What this gives is where
    /// an upload can go on, if it can: the blob is not in the repository before [`Client::upload`] has closed that.
    pub async fn send_growing(
        &self,
        repository: &Repository,
        blob: &GrowingBlob,
        session: Option<UploadSession>,
    ) -> Result<Option<UploadSession>, Error> {
        let what = format!("pushing a layer to {}", repository.familiar());
        let call = self.pushing(repository, what)?;
        let open = match session {
            Some(open) => open,
            None => match self
                .begin_upload(&call, call.url("blobs/uploads/")?)
                .await?
            {
                Start::Session(open) => open,
                // It cannot know of which blob this is to be the beginning.
                Start::Mounted => return Ok(None),
            },
        };
        let answer = self
            .send_once(&call, &open.url, Some(&blob.sent), |http| {
                http.patch(open.url.clone())
                    .header(CONTENT_TYPE, OCTETS)
                    .body(blob.body())
            })
            .await;
        let next = answer
            .ok()
            .filter(|answer| answer.status().is_success())
            .and_then(|answer| session_url(&call, &answer).ok());
        Ok(match next {
            Some(url) => Some(UploadSession {
                url,
                at: blob.length(),
                ..open
            }),
            None => self.sent_so_far(&call, blob.length(), open).await,
        })
    }
}
