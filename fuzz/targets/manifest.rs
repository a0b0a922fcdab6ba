//! Manifests, indexes, configs and names: what is accepted is written again as the same thing.
#![no_main]

use image::manifest::Document;
use image::{ImageConfig, Platform, Reference};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    match first % 4 {
        0 => document("", rest),
        1 => {
            let split = rest.iter().position(|byte| *byte == b'\n').unwrap_or(0);
            if let Ok(announced) = std::str::from_utf8(&rest[..split]) {
                document(announced, &rest[split..]);
            }
        }
        2 => config(rest),
        _ => names(rest),
    }
});

fn document(announced: &str, bytes: &[u8]) {
    match Document::parse("fuzz", announced, bytes) {
        Ok(Document::Manifest(manifest)) => {
            let (encoded, _) = manifest.encode();
            let again = Document::parse("fuzz", announced, &encoded).expect("it was written here");
            assert_eq!(again, Document::Manifest(manifest));
        }
        Ok(Document::Index(index)) => {
            let again = Document::parse("fuzz", announced, &index.encode());
            assert_eq!(again.expect("it was written here"), Document::Index(index));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn config(bytes: &[u8]) {
    if let Ok(config) = ImageConfig::parse("fuzz", bytes) {
        let (encoded, _) = config.encode();
        let again = ImageConfig::parse("fuzz", &encoded).expect("it was written here");
        assert_eq!(again, config);
    }
}

fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(reference) = text.parse::<Reference>() {
        let again: Reference = reference
            .to_string()
            .parse()
            .expect("it was accepted before");
        assert_eq!(again, reference);
        let familiar: Reference = reference
            .familiar()
            .parse()
            .expect("it is the short form of one");
        assert_eq!(familiar, reference);
    }
    drop(text.parse::<Platform>());
}
