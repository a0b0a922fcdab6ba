//! A layer compressed, and decompressed.
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::fs::File;
use std::io::Write;

use criterion::{Criterion, Throughput};
use rbuild_image::compression::{Compression, Encoding, compress, decoder};

const SIZE: usize = 16 << 20;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let input = input();
    let mut group = criterion.benchmark_group("compression of 16 MB");
    group.throughput(Throughput::Bytes(SIZE as u64));
    group.sample_size(10);
    for compression in [Compression::Gzip, Compression::Zstd] {
        group.bench_function(format!("{compression}"), |bencher| {
            bencher.iter(|| compressed(compression, &input));
        });
        let bytes = compressed(compression, &input);
        group.bench_function(format!("{compression}, back"), |bencher| {
            bencher.iter(|| {
                let (_, mut tar) = decoder(&*bytes).unwrap();
                std::io::copy(&mut tar, &mut std::io::sink()).unwrap()
            });
        });
    }
    group.finish();
    criterion.final_summary();
}

/// Words of a small vocabulary, in no order.
fn input() -> File {
    let words: Vec<String> = (0..4_000_u32).map(|word| format!("word{word} ")).collect();
    let mut text = Vec::with_capacity(SIZE + 16);
    let mut state = 1_u64;
    while text.len() < SIZE {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let word = (state >> 33) as usize % words.len();
        text.extend_from_slice(words[word].as_bytes());
    }
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&text[..SIZE]).unwrap();
    file
}

fn compressed(compression: Compression, input: &File) -> Vec<u8> {
    let mut out = Vec::new();
    let encoding = Encoding::from(compression);
    compress(encoding, input, SIZE as u64, &mut out, &mut |_| true).unwrap();
    out
}
