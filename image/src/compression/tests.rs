#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufReader, Read, Write};

use layer::Digest;

use super::*;

/// Bytes that compress somewhat.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    (0..length)
        .map(|at| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if at % 4 == 0 {
                (state >> 24) as u8
            } else {
                (at / 97) as u8
            }
        })
        .collect()
}

fn compressed(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let (mut out, mut last) = (Vec::new(), 0);
    let mut progress = |done| {
        assert!(done >= last);
        last = done;
        true
    };
    let result = compress(encoding, &file, bytes.len() as u64, &mut out, &mut progress).unwrap();
    assert_eq!(last, bytes.len() as u64);
    assert_eq!(result.digest, Digest::of(&out));
    assert_eq!(result.size, out.len() as u64);
    out
}

fn decompressed(bytes: &[u8]) -> std::io::Result<(Format, Vec<u8>)> {
    let (format, mut reader) = decoder(BufReader::new(bytes))?;
    let mut out = Vec::new();
    reader.read_to_end(&mut out)?;
    Ok((format, out))
}

#[test]
fn what_is_compressed_reads_back() {
    let cases = [
        (Compression::None, None, Format::Plain),
        (Compression::Gzip, None, Format::Gzip),
        (Compression::Gzip, Some(0), Format::Gzip),
        (Compression::Gzip, Some(12), Format::Gzip),
        (Compression::Zstd, None, Format::Zstd),
        (Compression::Zstd, Some(19), Format::Zstd),
    ];
    for (compression, level, format) in cases {
        let encoding = Encoding::new(compression, level).unwrap();
        let longest = if level.is_none() {
            9_000_001
        } else {
            2_000_001
        };
        for length in [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, longest] {
            let bytes = sample(length);
            let out = compressed(encoding, &bytes);
            assert_eq!(out, compressed(encoding, &bytes), "not deterministic");
            let (found, read) = decompressed(&out).unwrap();
            assert!(read == bytes, "{encoding:?} of {length}");
            assert_eq!(found, format);
            if compression != Compression::None && level != Some(0) && length > 1 << 19 {
                assert!(out.len() < length);
            }
        }
    }
}

#[test]
fn gzip_has_neither_time_nor_name() {
    let out = compressed(Compression::Gzip.into(), b"x");
    assert_eq!(out[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
}

#[test]
fn damage_is_noticed() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let mut out = compressed(compression.into(), &sample(3 << 20));
        let truncated = &out[..out.len() - 5];
        decompressed(truncated).unwrap_err();
        let middle = out.len() / 2;
        out[middle] ^= 0x55;
        decompressed(&out).unwrap_err();
    }
}

#[test]
fn other_formats_are_read() {
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(b"hello").unwrap();
    let xz = xz.finish().unwrap();
    assert_eq!(decompressed(&xz).unwrap(), (Format::Xz, b"hello".to_vec()));
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(b"hello").unwrap();
    let bzip2 = bzip2.finish().unwrap();
    assert_eq!(
        decompressed(&bzip2).unwrap(),
        (Format::Bzip2, b"hello".to_vec())
    );
    for plain in [&b""[..], b"x", b"\x1f", b"hello world"] {
        assert_eq!(
            decompressed(plain).unwrap(),
            (Format::Plain, plain.to_vec())
        );
    }
}

#[test]
fn levels_are_checked() {
    Encoding::new(Compression::Gzip, Some(13)).unwrap_err();
    Encoding::new(Compression::Zstd, Some(-1)).unwrap_err();
    let error = Encoding::new(Compression::Zstd, Some(23)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "zstd has no level 23; it goes from 0 to 22"
    );
}

#[test]
fn a_short_file_and_an_interruption_end_the_work() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&sample(4 << 20)).unwrap();
    let encoding = Compression::Gzip.into();
    let mut out = Vec::new();
    let error = compress(encoding, &file, 5 << 20, &mut out, &mut |_| true).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    let error = compress(encoding, &file, 4 << 20, &mut out, &mut |_| false).unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error:?}");
}

/// What all four decoders make of `length` zeros, of which each compressor makes next to nothing.
fn bombs(length: usize) -> Vec<Vec<u8>> {
    let zeros = vec![0; length];
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    bzip2.write_all(&zeros).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(&zeros).unwrap();
    let encoded = |compression| compressed(Encoding::new(compression, None).unwrap(), &zeros);
    vec![
        encoded(Compression::Gzip),
        encoded(Compression::Zstd),
        bzip2.finish().unwrap(),
        xz.finish().unwrap(),
    ]
}

#[test]
fn bombs_are_refused_before_they_grow() {
    let growth = read::Growth {
        free: 1 << 20,
        ratio: 100,
    };
    for bomb in bombs(16 << 20) {
        let (format, mut reader) =
            read::bounded_decoder(BufReader::new(bomb.as_slice()), growth).unwrap();
        let (mut out, mut buffer) = (0, vec![0; 64 << 10]);
        let error = loop {
            match reader.read(&mut buffer) {
                Ok(0) => panic!("{format:?} was decoded whole"),
                Ok(length) => out += length,
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("bomb"), "{format:?}: {error}");
        assert!(out <= 3 << 20, "{format:?} gave {out} bytes");
    }
}

#[test]
fn what_grows_little_or_is_small_is_no_bomb() {
    for bomb in bombs(1 << 20) {
        assert_eq!(decompressed(&bomb).unwrap().1.len(), 1 << 20);
    }
    let growth = read::Growth { free: 0, ratio: 20 };
    let text = compressed(
        Encoding::new(Compression::Gzip, None).unwrap(),
        &sample(1 << 20),
    );
    let (_, mut reader) = read::bounded_decoder(text.as_slice(), growth).unwrap();
    let mut out = Vec::new();
    reader.read_to_end(&mut out).unwrap();
    assert_eq!(out, sample(1 << 20));
}
