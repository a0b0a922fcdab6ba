//! What a layer costs: its tar, its index, and the digests of its files.
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek};
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use rbuild_layer::{
    ContentDigest, Digest, FileSource, Index, LayerPath, Limits, Metadata, PlannedEntry,
    PlannedNode, Summary, View, WriteOptions,
};

const DIRECTORIES: usize = 40;
const FILES: usize = 50;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    tars(&mut criterion);
    indexes(&mut criterion);
    digests(&mut criterion);
    criterion.final_summary();
}

/// Files of 4 KB in directories that, where they are not described, are only implied: then they are not of this mode.
fn plan(describe_directories: bool) -> Vec<PlannedEntry> {
    let bytes: Arc<[u8]> = (0..4096_u32).map(|at| (at * 7 / 3) as u8).collect();
    let entry = |path: String, node| PlannedEntry {
        path: LayerPath::new(path.as_bytes()).unwrap(),
        metadata: Metadata {
            mode: 0o700,
            ..Metadata::default()
        },
        node,
    };
    let mut entries = Vec::new();
    for directory in 0..DIRECTORIES {
        if describe_directories {
            let node = PlannedNode::Directory { opaque: false };
            entries.push(entry(format!("directory{directory}"), node));
        }
        entries.extend((0..FILES).map(|file| {
            let node = PlannedNode::file(FileSource::Bytes(Arc::clone(&bytes)));
            entry(format!("directory{directory}/file{file}"), node)
        }));
    }
    entries
}

/// A layer's files; another layer takes their place each time.
struct Files {
    tar: File,
    index: File,
}

impl Files {
    fn new(directory: &Path) -> Self {
        let create = |name| {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(true);
            options.open(directory.join(name)).unwrap()
        };
        Self {
            tar: create("tar"),
            index: create("index"),
        }
    }

    fn write(&self, entries: Vec<PlannedEntry>) -> Summary {
        self.empty();
        rbuild_layer::write_layer(entries, &self.tar, &self.index, &WriteOptions::default())
            .unwrap()
    }

    fn empty(&self) {
        for mut file in [&self.tar, &self.index] {
            file.set_len(0).unwrap();
            file.rewind().unwrap();
        }
    }
}

fn tars(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::new(directory.path());
    let size = files.write(plan(true)).tar_size;
    let mut bytes = Vec::new();
    (&files.tar).rewind().unwrap();
    (&files.tar).read_to_end(&mut bytes).unwrap();
    let mut group = criterion.benchmark_group("tar of 2,000 files");
    group.throughput(Throughput::Bytes(size));
    let entries = plan(true);
    group.bench_function("write", |bencher| {
        bencher.iter(|| files.write(entries.clone()));
    });
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            files.empty();
            let limits = Limits::default();
            rbuild_layer::index_tar(&*bytes, &files.tar, &files.index, &limits).unwrap()
        });
    });
}

fn indexes(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::new(directory.path());
    files.write(plan(true));
    let index = Arc::new(Index::open_files(&files.index, &files.tar).unwrap());
    let mut group = criterion.benchmark_group("index of 2,000 files");
    group.throughput(Throughput::Elements(index.inodes()));
    group.bench_function("read", |bencher| bencher.iter(|| walk(&index)));
    let implied = tempfile::tempdir().unwrap();
    let files = Files::new(implied.path());
    files.write(plan(false));
    let incomplete = Index::open_files(&files.index, &files.tar).unwrap();
    let lower = View::new(vec![index]);
    let out = tempfile::tempfile().unwrap();
    group.bench_function("write", |bencher| {
        bencher.iter(|| {
            out.set_len(0).unwrap();
            (&out).rewind().unwrap();
            let written = rbuild_layer::reindex(&incomplete, &lower, &out).unwrap();
            assert!(written.is_some());
        });
    });
}

/// Asks for the place of every file.
fn walk(index: &Index) {
    for directory in index.read_dir(index.root()).unwrap() {
        for file in index.read_dir(directory.nid).unwrap() {
            black_box(index.inode(file.nid).unwrap().range().unwrap());
        }
    }
}

fn digests(criterion: &mut Criterion) {
    for size in [300, 4 << 10, 64 << 10, 1 << 20] {
        let bytes = vec![7; size];
        let mut group = criterion.benchmark_group(format!("digest of {size} bytes"));
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function("BLAKE3", |bencher| {
            bencher.iter(|| ContentDigest::of(black_box(&bytes)));
        });
        group.bench_function("SHA-256", |bencher| {
            bencher.iter(|| Digest::of(black_box(&bytes)));
        });
    }
}
