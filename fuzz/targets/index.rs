//! An index that was damaged: any of its parts may be refused, but it is read without fault and to an end. It is the
//! store's own file, so its bytes are those of some layer, in which some are others.
#![no_main]

use std::os::unix::fs::FileExt as _;

use layer::{Index, WriteOptions};
use rbuild_fuzz::plan::{Entry, plan};
use rbuild_fuzz::{memory, walk};

libfuzzer_sys::fuzz_target!(|input: (Vec<Entry>, Vec<(u16, u8)>)| {
    let (entries, damage) = input;
    let (tar, index) = (memory(), memory());
    if layer::write_layer(plan(entries), &tar, &index, &WriteOptions::default()).is_err() {
        return;
    }
    let size = index.metadata().expect("the file is open").len();
    for (at, byte) in damage {
        let at = u64::from(at) % size;
        index
            .write_all_at(&[byte], at)
            .expect("memory can be written");
    }
    if let Ok(index) = Index::open_files(&index, &tar) {
        let _ = walk(index);
    }
});
