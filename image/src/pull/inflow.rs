//! The channel between the network and the thread that reads: bounded, and with an end that cannot be mistaken for a
//! broken connection.

use std::io::{self, BufRead, Read};

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
}

pub(super) fn channel() -> (Outflow, Inflow) {
    let (sender, parts) = mpsc::channel(WAITING_MAX);
    let inflow = Inflow {
        parts,
        current: Bytes::new(),
        ended: false,
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
                Some(Part::Bytes(bytes)) => self.current = bytes,
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
