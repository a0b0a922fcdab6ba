//! Where the bytes of a tar go: hashed on one thread and written on another while the caller reads on.
//!
//! Data moves in buffers of one size that circulate, so memory is bounded. A tar that fits the first buffer
//! never starts a thread.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::error::{Error, Result};

/// Size of one buffer: a multiple of a tar's block, small enough to stay in the processor's cache.
pub(crate) const BUFFER: usize = 1 << 18;
/// How many buffers there are at most.
const BUFFERS: usize = 32;
/// What is hashed for a hole at a time.
const ZEROS: [u8; 1 << 14] = [0; 1 << 14];

/// Where a sink's bytes end up.
pub(crate) enum Target<'env> {
    /// An empty file; zeros become holes, so that what unpacks to zeros without end takes no space.
    File(&'env File),
    /// A stream.
    Stream(Box<dyn Write + Send + 'env>),
}

/// A part of the tar on its way.
#[derive(Clone)]
enum Part {
    Data(Arc<Buffer>),
    Zeros(u64),
}

struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Buffer {
    fn new() -> Self {
        Self {
            bytes: vec![0; BUFFER].into_boxed_slice(),
            filled: 0,
        }
    }

    fn data(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

/// Takes the bytes of a tar in order.
pub(crate) struct Sink<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    buffer: Buffer,
    position: u64,
    state: State<'scope, 'env>,
}

enum State<'scope, 'env> {
    /// Nothing has left the first buffer.
    Idle(Target<'env>, bool),
    Running(Workers<'scope>),
    /// Only while the state changes, and after a failure.
    Ended,
}

struct Workers<'scope> {
    hasher: Option<Worker<'scope, Sha256>>,
    writer: Worker<'scope, io::Result<()>>,
    /// Buffers that nobody needs any more; `None` says that the writer has failed, with which those that waited for it
    /// are lost.
    free: Receiver<Option<Buffer>>,
    allocated: usize,
}

struct Worker<'scope, T> {
    parts: SyncSender<Part>,
    handle: ScopedJoinHandle<'scope, T>,
}

impl<'scope, 'env> Sink<'scope, 'env> {
    /// A sink into `target`; with `hash`, [`Sink::finish`] gives the SHA-256 of all bytes.
    pub(crate) fn new(
        scope: &'scope Scope<'scope, 'env>,
        target: Target<'env>,
        hash: bool,
    ) -> Self {
        Self {
            scope,
            buffer: Buffer::new(),
            position: 0,
            state: State::Idle(target, hash),
        }
    }

    /// How many bytes it took so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Takes a copy of `bytes`.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let length = self.fill(bytes.len() as u64, |space| {
                space.copy_from_slice(&bytes[..space.len()]);
                Ok(space.len())
            })?;
            bytes = &bytes[length.len()..];
        }
        Ok(())
    }

    /// Has `read` fill free space of at most `limit` bytes, and gives what it filled; empty when it filled nothing.
    pub(crate) fn fill(
        &mut self,
        limit: u64,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> Result<&[u8], Error> {
        if self.buffer.filled == BUFFER {
            self.flush()?;
        }
        let start = self.buffer.filled;
        let space = (BUFFER - start).min(usize::try_from(limit).unwrap_or(BUFFER));
        let filled = read(&mut self.buffer.bytes[start..start + space])
            .map_err(Error::storage("read a file"))?;
        self.buffer.filled += filled;
        self.position += filled as u64;
        Ok(&self.buffer.bytes[start..start + filled])
    }

    /// Takes `length` zeros, which cost no memory.
    pub(crate) fn zeros(&mut self, length: u64) -> Result<()> {
        if length <= (BUFFER - self.buffer.filled) as u64 {
            // Few enough to go with their neighbours.
            self.fill(length, |space| {
                space.fill(0);
                Ok(space.len())
            })?;
            return Ok(());
        }
        self.flush()?;
        self.position += length;
        self.send(Part::Zeros(length))
    }

    /// Fills up to the next multiple of 512 bytes with zeros.
    pub(crate) fn pad(&mut self) -> Result<()> {
        self.zeros(self.position.next_multiple_of(512) - self.position)
    }

    /// Waits until everything is written; the digest of all bytes and their number.
    pub(crate) fn finish(mut self) -> Result<(Option<Digest>, u64)> {
        let digest = match std::mem::replace(&mut self.state, State::Ended) {
            State::Idle(mut target, hash) => {
                let data = self.buffer.data();
                match &mut target {
                    Target::File(file) => file.write_all_at(data, 0),
                    Target::Stream(stream) => stream.write_all(data).and_then(|()| stream.flush()),
                }
                .map_err(Error::storage("write the tar"))?;
                hash.then(|| Digest::of(data))
            }
            State::Running(workers) => {
                self.state = State::Running(workers);
                self.flush()?;
                let State::Running(workers) = std::mem::replace(&mut self.state, State::Ended)
                else {
                    return Err(stopped());
                };
                workers.finish()?
            }
            State::Ended => return Err(stopped()),
        };
        Ok((digest, self.position))
    }

    fn flush(&mut self) -> Result<()> {
        if self.buffer.filled == 0 {
            return Ok(());
        }
        self.start();
        let next = match &mut self.state {
            State::Running(workers) => workers.next_buffer(),
            _ => None,
        };
        let Some(next) = next else {
            return Err(self.failure());
        };
        let full = std::mem::replace(&mut self.buffer, next);
        self.send(Part::Data(Arc::new(full)))
    }

    fn send(&mut self, part: Part) -> Result<()> {
        self.start();
        let sent = match &self.state {
            State::Running(workers) => workers.send(part),
            _ => false,
        };
        if sent { Ok(()) } else { Err(self.failure()) }
    }

    /// Starts the threads unless they run.
    fn start(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Ended) {
            State::Idle(target, hash) => State::Running(Workers::start(self.scope, target, hash)),
            other => other,
        };
    }

    /// Why a worker stopped taking parts.
    fn failure(&mut self) -> Error {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Running(workers) => workers.finish().err().unwrap_or_else(stopped),
            _ => stopped(),
        }
    }
}

impl<'scope> Workers<'scope> {
    fn start<'env>(scope: &'scope Scope<'scope, 'env>, target: Target<'env>, hash: bool) -> Self {
        let (recycler, free) = channel();
        let hasher = hash.then(|| {
            let (parts, queue) = sync_channel(BUFFERS);
            let recycler = recycler.clone();
            Worker {
                parts,
                handle: scope.spawn(move || hash_parts(queue, &recycler)),
            }
        });
        let (parts, queue) = sync_channel(BUFFERS);
        let handle = scope.spawn(move || {
            let written = match target {
                Target::File(file) => write_file(queue, file, &recycler),
                Target::Stream(stream) => write_stream(queue, stream, &recycler),
            };
            written.inspect_err(|_| {
                recycler.send(None).ok();
            })
        });
        Self {
            hasher,
            writer: Worker { parts, handle },
            free,
            allocated: 1,
        }
    }

    /// A free buffer, awaited when all are under way; `None` when the workers are gone.
    fn next_buffer(&mut self) -> Option<Buffer> {
        if let Ok(buffer) = self.free.try_recv() {
            return buffer;
        }
        if self.allocated < BUFFERS {
            self.allocated += 1;
            return Some(Buffer::new());
        }
        self.free.recv().ok().flatten()
    }

    fn send(&self, part: Part) -> bool {
        let hashed = self
            .hasher
            .as_ref()
            .is_none_or(|hasher| hasher.parts.send(part.clone()).is_ok());
        hashed && self.writer.parts.send(part).is_ok()
    }

    fn finish(self) -> Result<Option<Digest>> {
        let Worker { parts, handle } = self.writer;
        drop(parts);
        let written = handle.join().map_err(|_| stopped())?;
        let hash = match self.hasher {
            Some(Worker { parts, handle }) => {
                drop(parts);
                Some(handle.join().map_err(|_| stopped())?)
            }
            None => None,
        };
        written.map_err(Error::storage("write the tar"))?;
        Ok(hash.map(|hash| Digest::from_bytes(hash.finalize().into())))
    }
}

fn stopped() -> Error {
    Error::Storage {
        action: "write the tar",
        source: io::ErrorKind::BrokenPipe.into(),
    }
}

/// Gives a buffer back when no other worker holds it any more. Nobody may be waiting for it.
fn recycle(data: Arc<Buffer>, recycler: &Sender<Option<Buffer>>) {
    if let Some(mut buffer) = Arc::into_inner(data) {
        buffer.filled = 0;
        recycler.send(Some(buffer)).ok();
    }
}

fn hash_parts(parts: Receiver<Part>, recycler: &Sender<Option<Buffer>>) -> Sha256 {
    let mut hash = Sha256::new();
    for part in parts {
        match part {
            Part::Data(data) => {
                hash.update(data.data());
                recycle(data, recycler);
            }
            Part::Zeros(length) => for_zeros(length, |zeros| {
                hash.update(zeros);
                Ok::<_, io::Error>(())
            })
            .unwrap_or_default(),
        }
    }
    hash
}

fn write_file(
    parts: Receiver<Part>,
    file: &File,
    recycler: &Sender<Option<Buffer>>,
) -> io::Result<()> {
    let mut position = 0;
    let mut end_is_hole = false;
    for part in parts {
        match part {
            Part::Data(data) => {
                end_is_hole = is_zeros(data.data());
                if !end_is_hole {
                    file.write_all_at(data.data(), position)?;
                }
                position += data.data().len() as u64;
                recycle(data, recycler);
            }
            Part::Zeros(length) => {
                position += length;
                end_is_hole = true;
            }
        }
    }
    if end_is_hole {
        file.set_len(position)?;
    }
    Ok(())
}

/// Whether there is nothing but zeros. What is else shows that at its beginning, mostly.
fn is_zeros(bytes: &[u8]) -> bool {
    let mut pieces = bytes.chunks(ZEROS.len());
    pieces.all(|piece| *piece == ZEROS[..piece.len()])
}

fn write_stream(
    parts: Receiver<Part>,
    mut stream: Box<dyn Write + Send + '_>,
    recycler: &Sender<Option<Buffer>>,
) -> io::Result<()> {
    for part in parts {
        match part {
            Part::Data(data) => {
                stream.write_all(data.data())?;
                recycle(data, recycler);
            }
            Part::Zeros(length) => for_zeros(length, |zeros| stream.write_all(zeros))?,
        }
    }
    stream.flush()
}

/// Calls `take` with slices of zeros that together have `length` bytes.
pub(crate) fn for_zeros<E>(
    mut length: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    while length > 0 {
        let slice = &ZEROS[..ZEROS
            .len()
            .min(usize::try_from(length).unwrap_or(ZEROS.len()))];
        take(slice)?;
        length -= slice.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn bytes_and_holes_arrive_in_order() {
        for pieces in [1_usize, 3, 100] {
            let mut expected = Vec::new();
            let file = tempfile::tempfile().unwrap();
            let (digest, size) = std::thread::scope(|scope| {
                let mut sink = Sink::new(scope, Target::File(&file), true);
                for piece in 0..pieces {
                    let bytes = vec![piece as u8 + 1; 70_000];
                    sink.write(&bytes).unwrap();
                    sink.zeros(300_000).unwrap();
                    expected.extend(bytes);
                    expected.resize(expected.len() + 300_000, 0);
                }
                sink.finish().unwrap()
            });
            let mut written = Vec::new();
            (&file).read_to_end(&mut written).unwrap();
            assert_eq!(size, expected.len() as u64);
            assert!(written == expected);
            assert_eq!(digest, Some(Digest::of(&expected)));
            let on_disk = file.metadata().unwrap().blocks() * 512;
            assert!(pieces < 3 || on_disk < size, "{on_disk} of {size}");
        }
    }

    #[test]
    fn zeros_that_come_as_bytes_take_no_space() {
        for tail in [&b""[..], b"end"] {
            let file = tempfile::tempfile().unwrap();
            let (digest, size) = std::thread::scope(|scope| {
                let mut sink = Sink::new(scope, Target::File(&file), true);
                sink.write(b"begin").unwrap();
                for _ in 0..40 {
                    sink.write(&vec![0; BUFFER]).unwrap();
                }
                sink.write(tail).unwrap();
                sink.finish().unwrap()
            });
            let expected = [b"begin".as_slice(), &vec![0; 40 * BUFFER], tail].concat();
            let mut written = Vec::new();
            (&file).read_to_end(&mut written).unwrap();
            assert_eq!(size, expected.len() as u64);
            assert!(written == expected && digest == Some(Digest::of(&expected)));
            let on_disk = file.metadata().unwrap().blocks() * 512;
            assert!(on_disk <= 3 * BUFFER as u64, "{on_disk} of {size}");
        }
    }

    #[test]
    fn a_failing_stream_is_an_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        // Often, as it is a matter of luck who holds which buffer when the stream fails.
        let sizes = [10, 100 * BUFFER].into_iter().cycle();
        for size in sizes.take(40) {
            let result = std::thread::scope(|scope| {
                let mut sink = Sink::new(scope, Target::Stream(Box::new(Full)), true);
                sink.write(&vec![1; size])?;
                sink.finish()
            });
            let Err(Error::Storage { source, .. }) = result else {
                panic!("{size} bytes went to a full stream");
            };
            assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        }
    }
}
