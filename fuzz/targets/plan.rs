//! Any plan of a layer: its tar, read as one from outside, gives the very index that was written beside it.
#![no_main]

use layer::{Index, Limits, WriteOptions};
use rbuild_fuzz::plan::{Entry, plan};
use rbuild_fuzz::{bytes_of, memory, walk};

libfuzzer_sys::fuzz_target!(|entries: Vec<Entry>| {
    let planned = plan(entries);
    let (tar, index) = (memory(), memory());
    let Ok(written) = layer::write_layer(planned, &tar, &index, &WriteOptions::default()) else {
        return;
    };
    let bytes = bytes_of(&tar);
    let (copy, again) = (memory(), memory());
    let read = layer::index_tar(bytes.as_slice(), &copy, &again, &Limits::default());
    let read = read.expect("a tar that was written here can be read");
    assert_eq!(read, written);
    assert!(
        bytes_of(&again) == bytes_of(&index),
        "two indexes of one tar"
    );
    let opened = Index::open_files(&index, &tar).expect("it was written here");
    let entries = layer::plan_layer(&opened).expect("an index says what it was made of");
    assert!(
        entries.len() as u64 >= opened.inodes(),
        "an inode is in no directory"
    );
    assert!(walk(opened) > 0, "the root can always be read");
});
