//! A layer of any bytes: what is taken gives an index that can be read to its end and written again.
#![no_main]

use layer::{Index, Limits, WriteOptions};
use rbuild_fuzz::{memory, walk};

const LIMITS: Limits = Limits {
    entries: 2_000,
    metadata: 1 << 20,
    holes: 4 << 20,
    tar: 1 << 22,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (tar, index) = (memory(), memory());
    let Ok(summary) = layer::index_tar(bytes, &tar, &index, &LIMITS) else {
        return;
    };
    assert_eq!(summary.tar_size, bytes.len() as u64);
    let opened = Index::open_files(&index, &tar).expect("it was written here");
    assert_eq!(opened.content_digest(), summary.content);
    let planned = layer::plan_layer(&opened).expect("an index says what it was made of");
    assert!(walk(opened) > 0, "the root can always be read");

    // What is read can be written again, unless a path is longer than our own tars can say.
    let (tar, index) = (memory(), memory());
    if layer::write_layer(planned, &tar, &index, &WriteOptions::default()).is_ok() {
        Index::open_files(&index, &tar).expect("it was written here");
    }
});
