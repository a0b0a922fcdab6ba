//! Decompression of whatever the first bytes say.

use std::io::{self, BufRead, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most memory that one decoder may ask for.
const MEMORY_MAX: u64 = 256 << 20;
/// The largest window of a Zstandard stream, as a power of two: what `zstd -d` takes without being asked.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// What a stream is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Not compressed.
    Plain,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
}

/// As many bytes as tell the formats apart.
const MAGIC: usize = 6;

impl Format {
    fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            // The second is a frame that decoders skip; eStargz-like formats begin with one.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            _ => Self::Plain,
        }
    }
}

/// How much a stream may grow when it is decompressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    /// To so many bytes in any case.
    pub(super) free: u64,
    /// Beyond that, to so many times its own size.
    pub(super) ratio: u64,
}

/// What honest layers stay below: text becomes ten times its size. A bomb becomes a thousand times as large with gzip,
/// a million times with bzip2, and fills the disk.
const GROWTH: Growth = Growth {
    free: 8 << 30,
    ratio: 250,
};

/// A reader of what `reader` holds, without the compression that it has, if any. It fails where the stream grows as no
/// honest one does, and takes no more than 256 MiB of memory.
pub fn decoder<'a, R>(reader: R) -> io::Result<(Format, Box<dyn Read + Send + 'a>)>
where
    R: BufRead + Send + 'a,
{
    bounded_decoder(reader, GROWTH)
}

pub(super) fn bounded_decoder<'a, R>(
    mut reader: R,
    growth: Growth,
) -> io::Result<(Format, Box<dyn Read + Send + 'a>)>
where
    R: BufRead + Send + 'a,
{
    let mut start = Vec::with_capacity(MAGIC);
    (&mut reader).take(MAGIC as u64).read_to_end(&mut start)?;
    let format = Format::of(&start);
    let whole = Cursor::new(start).chain(reader);
    if format == Format::Plain {
        return Ok((format, Box::new(whole)));
    }
    let taken = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        reader: whole,
        taken: Arc::clone(&taken),
    };
    let bounded = Bounded {
        decoder: open(format, counted)?,
        taken,
        given: 0,
        growth,
    };
    Ok((format, Box::new(bounded)))
}

fn open<'a, R: BufRead + Send + 'a>(
    format: Format,
    whole: R,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match format {
        Format::Plain => Box::new(whole),
        Format::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        Format::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(whole)),
        Format::Xz => {
            let flags = liblzma::stream::CONCATENATED;
            let stream = liblzma::stream::Stream::new_stream_decoder(MEMORY_MAX, flags)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(whole, stream))
        }
        Format::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    })
}

/// Counts what is taken from a reader.
struct Counted<R> {
    reader: R,
    taken: Arc<AtomicU64>,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.taken.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
        self.taken.fetch_add(amount as u64, Ordering::Relaxed);
    }
}

/// A decoder that stops where its stream grows too much.
struct Bounded<'a> {
    decoder: Box<dyn Read + Send + 'a>,
    taken: Arc<AtomicU64>,
    given: u64,
    growth: Growth,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.decoder.read(buffer)?;
        self.given += length as u64;
        let Growth { free, ratio } = self.growth;
        let allowed = self.taken.load(Ordering::Relaxed).saturating_mul(ratio);
        if self.given > allowed.max(free) {
            let message = format!(
                "it is a decompression bomb: it becomes more than {free} bytes and {ratio} times as large"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(length)
    }
}
