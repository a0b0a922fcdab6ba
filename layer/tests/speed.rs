//! Figures for the work that builds wait for. Not part of the tests: run them with
//! `cargo test --release -p rbuild-layer --test speed -- --ignored --nocapture --test-threads 1`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a measurement, which prints"
)]

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rbuild_layer::{Index, LayerPath, LayerTree, View};
use rustix::time::{ClockId, clock_gettime};
use support::Layer;

/// 50,000 files of 4.5 KB, 225 MB, in 500 directories.
fn small_files(root: &Path) {
    let mut state = 1_u64;
    for directory in 0..500 {
        let directory = root.join(format!("package{}/dir{directory}", directory % 20));
        fs::create_dir_all(&directory).unwrap();
        for file in 0..100 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let size = 500 + (state >> 33) as usize % 8000;
            let bytes: Vec<u8> = state.to_le_bytes().into_iter().cycle().take(size).collect();
            fs::write(directory.join(format!("file{file}.js")), bytes).unwrap();
        }
    }
}

/// Prints the median and the best of several times, and the median of the processor time of all threads.
fn measure<T>(what: &str, mut work: impl FnMut() -> T) {
    let cpu = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap();
    let mut times = Vec::new();
    let mut cpus = Vec::new();
    for _ in 0..5 {
        let (start, cpu_start) = (Instant::now(), cpu());
        let result = work();
        times.push(start.elapsed());
        cpus.push(cpu().saturating_sub(cpu_start));
        drop(result);
    }
    times.sort();
    cpus.sort();
    eprintln!(
        "{what}: {:?}, best {:?}, processor {:?}",
        times[2], times[0], cpus[2]
    );
}

#[test]
#[ignore = "a measurement"]
fn many_small_files() {
    let tree = tempfile::tempdir().unwrap();
    small_files(tree.path());
    measure("scan of 50,000 files", || {
        rbuild_layer::scan_upper(tree.path(), &[]).unwrap()
    });
    let entries = rbuild_layer::scan_upper(tree.path(), &[]).unwrap();
    measure("layer of 50,000 files", || Layer::of(entries.clone()));
    let layer = Layer::seal(tree.path());
    eprintln!("{:?}", layer.summary);
    let tar = fs::read(layer.tar()).unwrap();
    measure("index of that tar", || Layer::of_tar(&tar).unwrap());
    measure("open of the index", || layer.index());
    measure("mount and unmount", || drop(layer.mount()));
    read_view(layer.index());
    let index = layer.index();
    let to = tempfile::tempdir().unwrap();
    let start = Instant::now();
    rbuild_layer::unpack(&index, to.path()).unwrap();
    eprintln!("unpack, once: {:?}", start.elapsed());
}

fn read_view(index: Index) {
    let index: Arc<dyn LayerTree> = Arc::new(index);
    let view = View::new(vec![index]);
    measure("plan of a copy of all of it", || {
        view.plan(&view.root().unwrap()).unwrap()
    });
    let entries = view.plan(&view.root().unwrap()).unwrap();
    measure("layer of that copy", || Layer::of(entries.clone()));
    let path = LayerPath::new(b"package7/dir7/file50.js").unwrap();
    measure("1,000 look-ups", || {
        for _ in 0..1000 {
            view.lookup(&path).unwrap().unwrap();
        }
    });
    let two = View::new(vec![
        Arc::new(layer_with(b"package7/dir7/new").index()),
        view_layer(&view),
    ]);
    measure("digest of two layers merged", || {
        two.root().unwrap().content_digest().unwrap();
    });
}

fn view_layer(view: &View) -> Arc<dyn LayerTree> {
    let plan = view.plan(&view.root().unwrap()).unwrap();
    Arc::new(Layer::of(plan).index())
}

fn layer_with(path: &[u8]) -> Layer {
    Layer::of(vec![rbuild_layer::PlannedEntry {
        path: LayerPath::new(path).unwrap(),
        metadata: rbuild_layer::Metadata::default(),
        node: rbuild_layer::PlannedNode::Fifo,
    }])
}

#[test]
#[ignore = "a measurement"]
fn one_large_file() {
    let tree = tempfile::tempdir().unwrap();
    let mut file = fs::File::create(tree.path().join("large")).unwrap();
    let chunk: Vec<u8> = (0..1 << 20).map(|at| (at * 7 / 3) as u8).collect();
    for _ in 0..512 {
        file.write_all(&chunk).unwrap();
    }
    drop(file);
    measure("layer of one file of 512 MB", || Layer::seal(tree.path()));
    let layer = Layer::seal(tree.path());
    let tar = fs::File::open(layer.tar()).unwrap();
    measure("index of that tar", || {
        let tar = tar.try_clone().unwrap();
        std::io::Seek::seek(&mut &tar, std::io::SeekFrom::Start(0)).unwrap();
        Layer::make(|out, index| {
            rbuild_layer::index_tar(tar, out, index, &rbuild_layer::Limits::default())
        })
    });
}
