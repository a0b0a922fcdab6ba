//! What the keys of steps cost.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use rbuild_solver::{ContentDigest, ContentKey, DefinitionKey, KeyWriter, OperationDigest};

const FILES: u64 = 1_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("keys");
    group.bench_function("command", |bencher| bencher.iter(|| black_box(command())));
    let operation = command();
    let content = ContentDigest::from_bytes([1; 32]);
    group.bench_function("definition", |bencher| {
        let inputs = [DefinitionKey::new(&operation, &[]); 3];
        bencher.iter(|| DefinitionKey::new(black_box(&operation), &inputs));
    });
    group.bench_function("content", |bencher| {
        bencher.iter(|| ContentKey::new(black_box(&operation), &content));
    });
    group.throughput(Throughput::Elements(FILES));
    group.bench_function("copy of 1,000 files", |bencher| {
        let names: Vec<String> = (0..FILES).map(|file| format!("file{file}.js")).collect();
        bencher.iter(|| copy(black_box(&names)));
    });
    group.finish();
    criterion.final_summary();
}

/// What a usual command writes.
fn command() -> OperationDigest {
    let mut key = KeyWriter::new("command", 1);
    key.list(["/bin/sh", "-c", "make -j4 && make install"], |key, arg| {
        key.text(arg);
    });
    key.list(0..10_u32, |key, variable| {
        key.text("VARIABLE").number(variable.into());
    });
    key.text("/src").text("").option(None::<u64>, |key, epoch| {
        key.number(epoch);
    });
    OperationDigest::of(&key)
}

/// What the files of a copy write.
fn copy(names: &[String]) -> OperationDigest {
    let mut key = KeyWriter::new("copy", 1);
    key.list(names, |key, name| {
        key.bytes(name.as_bytes());
        key.number(0o644).number(0).number(0).number(0);
        key.number(1).number(4_096).bytes(&[9; 32]).number(0);
    });
    OperationDigest::of(&key)
}
