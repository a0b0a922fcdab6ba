//! A container's output on disk, as Docker's `json-file` driver writes it: one object a line, with the text of the line
//! (its line feed included), the stream and the time.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ContainerError;
use crate::event::Stream;

/// A line longer than this is written in pieces, as Docker does.
const MAX_LINE: usize = 16 << 10;
/// How often a followed log is looked at.
const FOLLOW_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    log: String,
    stream: String,
    time: Timestamp,
}

/// A line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Its text; ends with a line feed unless it is a piece of a line.
    pub text: String,
    /// Where it was written.
    pub stream: Stream,
    /// When.
    pub time: Timestamp,
}

impl Record {
    fn line(self) -> LogLine {
        let stream = match self.stream.as_str() {
            "stderr" => Stream::Stderr,
            _ => Stream::Stdout,
        };
        LogLine {
            text: self.log,
            stream,
            time: self.time,
        }
    }
}

/// Writes a container's log.
#[derive(Debug)]
pub(super) struct LogWriter {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    partial: [Vec<u8>; 2],
}

impl LogWriter {
    pub(super) fn create(path: &Path) -> Result<Self, ContainerError> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.map_err(|error| ContainerError::io("open", path.display(), error))?;
        let partial = [Vec::new(), Vec::new()];
        Ok(Self {
            inner: Mutex::new(Inner { file, partial }),
        })
    }

    /// Takes a piece of output; whole lines are written at once.
    pub(super) fn write(&self, stream: Stream, piece: &[u8]) -> std::io::Result<()> {
        let mut inner = self.inner.lock().map_err(|_| poisoned())?;
        let inner = &mut *inner;
        let partial = &mut inner.partial[stream as usize];
        partial.extend_from_slice(piece);
        let mut records = Vec::new();
        let mut start = 0;
        while let Some(length) = next_line(&partial[start..]) {
            encode(&mut records, stream, &partial[start..start + length])?;
            start += length;
        }
        partial.drain(..start);
        inner.file.write_all(&records)
    }

    /// Writes what has no line feed yet.
    pub(super) fn finish(&self) -> std::io::Result<()> {
        let mut inner = self.inner.lock().map_err(|_| poisoned())?;
        let mut records = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = std::mem::take(&mut inner.partial[stream as usize]);
            if !rest.is_empty() {
                encode(&mut records, stream, &rest)?;
            }
        }
        inner.file.write_all(&records)
    }
}

fn poisoned() -> std::io::Error {
    std::io::Error::other("another writer of the log failed")
}

/// The length of the first whole line, or of a piece of one that is too long.
fn next_line(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n');
    match end {
        Some(end) => Some(end + 1),
        None => (bytes.len() >= MAX_LINE).then_some(MAX_LINE),
    }
}

fn encode(into: &mut Vec<u8>, stream: Stream, line: &[u8]) -> std::io::Result<()> {
    let record = Record {
        log: String::from_utf8_lossy(line).into_owned(),
        stream: match stream {
            Stream::Stdout => "stdout".to_owned(),
            Stream::Stderr => "stderr".to_owned(),
        },
        time: Timestamp::now(),
    };
    serde_json::to_writer(&mut *into, &record)?;
    into.push(b'\n');
    Ok(())
}

/// Reads a container's log.
#[derive(Debug)]
pub(super) struct LogReader {
    path: PathBuf,
    file: Option<BufReader<File>>,
    partial: Vec<u8>,
}

impl LogReader {
    pub(super) fn open(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            partial: Vec::new(),
        }
    }

    /// The next line that is there; `None` at the present end.
    pub(super) fn next_line(&mut self) -> Result<Option<LogLine>, ContainerError> {
        let failed = |error| ContainerError::io("read", self.path.display(), error);
        let file = match &mut self.file {
            Some(file) => file,
            None => match File::open(&self.path) {
                Ok(file) => self.file.insert(BufReader::new(file)),
                // Nothing was written yet.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(failed(error)),
            },
        };
        file.read_until(b'\n', &mut self.partial).map_err(failed)?;
        if self.partial.last() != Some(&b'\n') {
            return Ok(None);
        }
        let line = std::mem::take(&mut self.partial);
        let record: Record = serde_json::from_slice(&line).map_err(|error| failed(error.into()))?;
        Ok(Some(record.line()))
    }

    /// Waits a moment for more.
    pub(super) async fn pause(&self) {
        tokio::time::sleep(FOLLOW_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(path: &Path) -> Vec<(String, Stream)> {
        let mut reader = LogReader::open(path.to_owned());
        let mut lines = Vec::new();
        while let Some(line) = reader.next_line().expect("a readable log") {
            lines.push((line.text, line.stream));
        }
        lines
    }

    #[test]
    fn lines_are_kept_with_their_streams() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("log");
        assert_eq!(read_all(&path), []);
        let writer = LogWriter::create(&path).expect("writable");
        writer.write(Stream::Stdout, b"one\ntw").expect("written");
        writer.write(Stream::Stderr, b"err\n").expect("written");
        writer.write(Stream::Stdout, b"o\nend").expect("written");
        writer.finish().expect("written");
        let expected = [
            ("one\n", Stream::Stdout),
            ("err\n", Stream::Stderr),
            ("two\n", Stream::Stdout),
            ("end", Stream::Stdout),
        ];
        let expected = expected.map(|(text, stream)| (text.to_owned(), stream));
        assert_eq!(read_all(&path), expected);
    }

    #[test]
    fn long_lines_are_split() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("log");
        let writer = LogWriter::create(&path).expect("writable");
        let line = vec![b'x'; MAX_LINE + 5];
        writer.write(Stream::Stdout, &line).expect("written");
        writer.write(Stream::Stdout, b"\n").expect("written");
        let lengths: Vec<_> = read_all(&path).iter().map(|(text, _)| text.len()).collect();
        assert_eq!(lengths, [MAX_LINE, 6]);
    }
}
