//! The output of a build's steps: all of it, compressed while it comes.
//!
//! A zstd stream of pieces, all numbers little endian:
//!
//! ```text
//! piece = row:u32 stream:u8 time:u64 length:u32 bytes     time: microseconds since the build began
//! ```

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use cache::Store;

use crate::event::Stream;

/// Output compresses well at any level; this one is the fastest that finds repeated lines.
const LEVEL: i32 = 3;
/// The bytes before a piece's own.
const HEADER: usize = 17;
/// Longer pieces are written by nobody.
const MAX_PIECE: usize = 16 << 20;

/// Takes output and writes it to a file of the store that is made for the first piece.
pub(super) struct LogWriter {
    store: Store,
    state: State,
}

enum State {
    Empty,
    Open(PathBuf, Box<zstd::Encoder<'static, File>>),
    /// It could not be written. The build goes on without.
    Broken,
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPiece {
    /// Which row of the build.
    pub row: usize,
    /// Which of the command's streams.
    pub stream: Stream,
    /// When, after the build began.
    pub at: Duration,
    /// What was written.
    pub bytes: Vec<u8>,
}

impl LogWriter {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            state: State::Empty,
        }
    }

    /// Adds a piece.
    pub(super) fn add(&mut self, row: usize, stream: Stream, micros: u64, bytes: &[u8]) {
        if let State::Empty = self.state {
            self.state = self.open().unwrap_or(State::Broken);
        }
        if let State::Open(_, encoder) = &mut self.state
            && write(encoder, row, stream, micros, bytes).is_err()
        {
            self.state = State::Broken;
        }
    }

    fn open(&self) -> io::Result<State> {
        let (path, file) = self.store.builds().new_log().map_err(io::Error::other)?;
        let encoder = Box::new(zstd::Encoder::new(file, LEVEL)?);
        Ok(State::Open(path, encoder))
    }

    /// The file, if there was output and all of it could be written.
    pub(super) fn finish(self) -> Option<PathBuf> {
        let State::Open(path, encoder) = self.state else {
            return None;
        };
        encoder.finish().ok()?;
        Some(path)
    }
}

fn write(
    to: &mut impl Write,
    row: usize,
    stream: Stream,
    micros: u64,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&(row as u32).to_le_bytes());
    header[4] = match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
    };
    header[5..13].copy_from_slice(&micros.to_le_bytes());
    header[13..].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    to.write_all(&header)?;
    to.write_all(bytes)
}

/// Gives the pieces of a file, until they end or `each` says so with `false`.
pub(super) fn read(file: File, mut each: impl FnMut(LogPiece) -> bool) -> io::Result<()> {
    let mut from = BufReader::new(zstd::Decoder::new(file)?);
    let mut header = [0; HEADER];
    loop {
        match from.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let (row, rest) = header.split_at(4);
        let (stream, rest) = rest.split_at(1);
        let (time, length) = rest.split_at(8);
        let damaged = || io::Error::other("the output is damaged");
        let length = number(length) as usize;
        if length > MAX_PIECE {
            return Err(damaged());
        }
        let mut bytes = vec![0; length];
        from.read_exact(&mut bytes)?;
        let piece = LogPiece {
            row: number(row) as usize,
            stream: match stream {
                [1] => Stream::Stdout,
                [2] => Stream::Stderr,
                _ => return Err(damaged()),
            },
            at: Duration::from_micros(number(time)),
            bytes,
        };
        if !each(piece) {
            return Ok(());
        }
    }
}

/// A little-endian number of at most 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    let of = |(place, byte): (usize, &u8)| u64::from(*byte) << (8 * place);
    bytes.iter().enumerate().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_in_their_order() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path()).expect("a store");
        let mut writer = LogWriter::new(store.clone());
        let long = vec![b'x'; 3 << 20];
        let given = [
            (7, Stream::Stdout, b"one\n".as_slice()),
            (300, Stream::Stderr, b"\xff\0"),
            (7, Stream::Stdout, &long),
            (7, Stream::Stdout, b""),
        ];
        for (at, (row, stream, bytes)) in (0..).zip(given) {
            writer.add(row, stream, at, bytes);
        }
        let path = writer.finish().expect("a file");
        let mut pieces = Vec::new();
        let file = File::open(path).expect("the file");
        read(file, |piece| {
            pieces.push(piece);
            true
        })
        .expect("whole");
        assert_eq!(pieces.len(), given.len());
        for (piece, (at, (row, stream, bytes))) in pieces.iter().zip((0..).zip(given)) {
            assert_eq!((piece.row, piece.stream), (row, stream));
            assert!(piece.bytes == bytes && piece.at == Duration::from_micros(at));
        }
        assert_eq!(LogWriter::new(store).finish(), None);
    }
}
