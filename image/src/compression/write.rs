//! Compression on all cores.
//!
//! The file is cut into parts of a fixed size. Worker `k` of `n` compresses parts `k`, `k + n`, …; the caller's thread
//! takes one part from each worker in turn, so that their order is kept and no worker is more than a few parts ahead.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use layer::Digest;
use sha2::{Digest as _, Sha256};

use super::{Compression, Encoding};
use crate::error::{Error, IoContext as _};

/// How many finished parts a worker may have waiting.
const AHEAD: usize = 2;
/// Cores beyond this many only wait for the hash.
const WORKERS_MAX: usize = 16;

/// What came out of a compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compressed {
    /// The SHA-256 of the output.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// A compressed part and the length that it had before.
type Part = io::Result<(Vec<u8>, usize)>;

/// Writes the first `size` bytes of `input`, compressed, to `out`. `progress` is called with the number of bytes of
/// the input that are done; its `false` stops the work with [`Error::Interrupted`].
///
/// The output depends on the encoding and the input alone.
pub fn compress(
    encoding: Encoding,
    input: &File,
    size: u64,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<Compressed, Error> {
    let parts = Parts::of(encoding, input, size);
    let workers = workers(encoding, size);
    thread::scope(|scope| {
        let queues: Vec<Receiver<Part>> = (0..workers)
            .map(|worker| {
                let (sender, receiver) = sync_channel(AHEAD);
                scope.spawn(move || parts.work(worker, workers, &sender));
                receiver
            })
            .collect();
        collect(&queues, parts.count(), out, progress)
    })
}

/// How many threads compress at most.
pub(crate) fn cores() -> usize {
    thread::available_parallelism()
        .map_or(1, usize::from)
        .min(WORKERS_MAX)
}

/// How many threads compress an input of this size.
pub(crate) fn workers(encoding: Encoding, size: u64) -> usize {
    let parts = part_count(size, part_size(encoding.compression()));
    cores().min(usize::try_from(parts).unwrap_or(WORKERS_MAX))
}

/// An empty input has one empty part: an empty file is no valid gzip.
fn part_count(size: u64, part: usize) -> u64 {
    size.div_ceil(part as u64).max(1)
}

fn part_size(compression: Compression) -> usize {
    match compression {
        // zstd looks back further, and each frame pays for its tables again.
        Compression::Zstd => 4 << 20,
        Compression::None | Compression::Gzip => 1 << 20,
    }
}

fn collect(
    queues: &[Receiver<Part>],
    count: u64,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<Compressed, Error> {
    let mut hasher = Sha256::new();
    let (mut size, mut done) = (0, 0);
    for (_, queue) in (0..count).zip(queues.iter().cycle()) {
        let part = queue.recv().map_err(|_| Error::Interrupted)?;
        let (bytes, length) = part.doing("read and compress a layer")?;
        hasher.update(&bytes);
        out.write_all(&bytes).doing("write a compressed layer")?;
        size += bytes.len() as u64;
        done += length as u64;
        if !progress(done) {
            return Err(Error::Interrupted);
        }
    }
    Ok(Compressed {
        digest: Digest::from_bytes(hasher.finalize().into()),
        size,
    })
}

/// The parts of one input.
#[derive(Clone, Copy)]
struct Parts<'a> {
    encoding: Encoding,
    input: &'a File,
    size: u64,
    part: usize,
}

impl<'a> Parts<'a> {
    fn of(encoding: Encoding, input: &'a File, size: u64) -> Self {
        let part = part_size(encoding.compression());
        Self {
            encoding,
            input,
            size,
            part,
        }
    }

    fn count(&self) -> u64 {
        part_count(self.size, self.part)
    }

    fn work(&self, first: usize, step: usize, queue: &SyncSender<Part>) {
        let mut encoder = Encoder::new(self.encoding);
        let mut buffer = vec![
            0;
            self.part
                .min(usize::try_from(self.size).unwrap_or(self.part))
        ];
        for index in (first as u64..self.count()).step_by(step) {
            let start = index * self.part as u64;
            let length = (self.size - start).min(self.part as u64) as usize;
            let part = self
                .input
                .read_exact_at(&mut buffer[..length], start)
                .and_then(|()| {
                    encoder
                        .as_mut()
                        .map_err(take_error)?
                        .encode(&buffer[..length])
                })
                .map(|bytes| (bytes, length));
            let failed = part.is_err();
            // The other end is gone when its own work failed, or is no longer wanted.
            if queue.send(part).is_err() || failed {
                return;
            }
        }
    }
}

fn take_error(error: &mut io::Error) -> io::Error {
    std::mem::replace(error, io::ErrorKind::Other.into())
}

/// One worker's compressor.
enum Encoder {
    Store,
    Gzip(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Encoder {
    fn new(encoding: Encoding) -> io::Result<Self> {
        Ok(match encoding.compression() {
            Compression::None => Self::Store,
            Compression::Gzip => {
                let level = libdeflater::CompressionLvl::new(encoding.level())
                    .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
                Self::Gzip(libdeflater::Compressor::new(level))
            }
            Compression::Zstd => {
                let mut compressor = zstd::bulk::Compressor::new(encoding.level())?;
                compressor.include_checksum(true)?;
                Self::Zstd(compressor)
            }
        })
    }

    fn encode(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Store => Ok(bytes.to_vec()),
            Self::Gzip(compressor) => {
                // The header that it writes has no time and no name.
                let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
                let length = compressor
                    .gzip_compress(bytes, &mut out)
                    .map_err(|error| io::Error::other(error.to_string()))?;
                out.truncate(length);
                Ok(out)
            }
            Self::Zstd(compressor) => compressor.compress(bytes),
        }
    }
}
