//! Decompression of whatever the first bytes say.

use std::io::{self, BufRead, Chain, Cursor, Read};

/// The most memory that one decoder may ask for.
const MEMORY_MAX: u64 = 256 << 20;
/// The largest window of a Zstandard stream, as a power of two: what `zstd -d` takes without being asked.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// What a stream is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Plain,
    Gzip,
    Zstd,
    Xz,
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

/// A reader of what `reader` holds, without the compression that it has, if any.
pub(crate) fn decoder<'a, R>(mut reader: R) -> io::Result<(Format, Box<dyn Read + Send + 'a>)>
where
    R: BufRead + Send + 'a,
{
    let mut start = Vec::with_capacity(MAGIC);
    (&mut reader).take(MAGIC as u64).read_to_end(&mut start)?;
    let format = Format::of(&start);
    let whole = Cursor::new(start).chain(reader);
    Ok((format, open(format, whole)?))
}

fn open<'a, R: BufRead + Send + 'a>(
    format: Format,
    whole: Chain<Cursor<Vec<u8>>, R>,
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
