//! An archive of images of any bytes, as `load` reads it.
#![no_main]

use image::archive::Archive;
use image::platform::Platform;
use image::transfer::Unobserved;
use rbuild_fuzz::{Forgetful, memory_of};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let opened = Archive::open(memory_of(bytes), &std::env::temp_dir());
    if let Ok(archive) = opened {
        let platform = Platform::new("linux", "amd64", "");
        if let Err(error) = archive.load(&platform, &Forgetful, &Unobserved) {
            assert!(!error.to_string().is_empty());
        }
    }
});
