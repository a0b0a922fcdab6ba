//! The channel between the network and the thread that reads: bounded, and with an end that cannot be mistaken for a
//! broken connection.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc;

/// How many chunks may wait. The network gives chunks of 8 KiB to some 100 KiB.
const WAITING_MAX: usize = 64;

/// What goes through the channel.
#[derive(Debug)]
enum Part {
    Bytes(Bytes),
    End,
}

/// Where the bytes go in.
#[derive(Debug)]
pub(super) struct Outflow(mpsc::Sender<Part>);

/// Where the bytes come out.
#[derive(Debug)]
pub(super) struct Inflow {
    parts: mpsc::Receiver<Part>,
    current: Bytes,
    ended: bool,
    keeper: Option<Keeper>,
}

/// Keeps what comes in a file, so that it need not come again.
#[derive(Debug)]
pub(super) struct Keeper {
    file: Arc<File>,
    /// How much of what comes is in the file already.
    known: u64,
    at: u64,
}

impl Keeper {
    /// One whose file has the first `known` bytes.
    pub(super) fn new(file: Arc<File>, known: u64) -> Self {
        Self { file, known, at: 0 }
    }

    /// Whether its file had something to begin with.
    pub(super) fn has_some(&self) -> bool {
        self.known > 0
    }

    /// Keeps bytes. Where there is no room for them it gives back what it has: all will have to come again, and what is
    /// made of them may need the room.
    fn keep(mut self, bytes: &[u8]) -> Option<Self> {
        if self.write(bytes).is_err() {
            self.file.set_len(0).ok();
            return None;
        }
        Some(self)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let skipped = self.known.saturating_sub(self.at).min(bytes.len() as u64);
        let new = &bytes[usize::try_from(skipped).unwrap_or(bytes.len())..];
        self.file.write_all_at(new, self.at + skipped)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

pub(super) fn channel(keeper: Option<Keeper>) -> (Outflow, Inflow) {
    let (sender, parts) = mpsc::channel(WAITING_MAX);
    let inflow = Inflow {
        parts,
        current: Bytes::new(),
        ended: false,
        keeper,
    };
    (Outflow(sender), inflow)
}

impl Outflow {
    /// Passes bytes on; fails when nobody reads any more.
    pub(super) async fn send(&self, bytes: Bytes) -> Result<(), ()> {
        self.0.send(Part::Bytes(bytes)).await.map_err(drop)
    }

    /// Says that all bytes have been sent and are verified. Dropping without it is an interruption.
    pub(super) async fn end(&self) {
        // A reader that is gone does not want to know.
        self.0.send(Part::End).await.ok();
    }
}

impl BufRead for Inflow {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() && !self.ended {
            match self.parts.blocking_recv() {
                Some(Part::Bytes(bytes)) => {
                    self.keeper = self.keeper.take().and_then(|keeper| keeper.keep(&bytes));
                    self.current = bytes;
                }
                Some(Part::End) => self.ended = true,
                None => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.advance(amount);
    }
}

impl Read for Inflow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}
