//! Archives that are damaged, or made to do damage.

use layer::{DiffId, Digest};
use rbuild_image::Error;
use rbuild_image::archive::{ArchiveFormat, ArchiveImage, ArchiveProblem};

use super::archives::{load, options, written};
use super::fake::chain;
use super::store::{Store, image_of, sample, tar_of};

/// A tar of these files; those whose content is `->x` are links to `x`.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        // By hand: the library refuses names that lead out.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if let Some(target) = content.strip_prefix(b"->") {
            header.set_entry_type(tar::EntryType::Symlink);
            header
                .set_link_name(std::str::from_utf8(target).unwrap())
                .unwrap();
            header.set_size(0);
            header.set_cksum();
            builder.append(&header, &[][..]).unwrap();
        } else {
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

/// What loading says.
fn failure(bytes: &[u8]) -> String {
    let error = load(bytes).map(|(images, _)| images).unwrap_err();
    chain(&error)
}

fn good(format: ArchiveFormat) -> Vec<u8> {
    let store = Store::new();
    let image = ArchiveImage {
        image: sample(&store).into(),
        names: vec!["a:1".parse().unwrap()],
    };
    written(&store, &[image], &options(&store, format))
}

/// `manifest.json` with one image whose config is `config`.
fn list(config: &str, layers: &[&str]) -> Vec<u8> {
    let layers: Vec<_> = layers.iter().map(|layer| format!("\"{layer}\"")).collect();
    format!(
        r#"[{{"Config":"{config}","RepoTags":null,"Layers":[{}]}}]"#,
        layers.join(",")
    )
    .into_bytes()
}

#[test]
fn what_is_no_archive_of_images_is_refused() {
    let html = b"<html>".repeat(200);
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    gzip.extend([0xff; 50]);
    let cases: [(&[u8], &str); 6] = [
        (b"", "neither an `index.json` nor a `manifest.json`"),
        (b"x", "cut off at byte 0"),
        (&html, "not a tar archive, or damaged at byte 0"),
        (&gzip, "cannot read it"),
        (&archive(&[("a", b"a")]), "neither an `index.json`"),
        (
            &archive(&[("manifest.json", b"[]")]),
            "neither an `index.json`",
        ),
    ];
    for (bytes, expected) in cases {
        let message = failure(bytes);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn an_archive_cut_anywhere_is_refused_or_whole() {
    for format in [ArchiveFormat::Oci, ArchiveFormat::Docker] {
        let bytes = good(format);
        for length in (0..bytes.len()).step_by(97) {
            match load(&bytes[..length]) {
                Err(Error::Archive(_)) => {}
                Err(error) => panic!("cut at {length}: {error:?}"),
                // What is missing was not needed: padding, or one of two lists of the same images.
                Ok((images, store)) => {
                    assert_eq!((images.len(), store.layers()), (1, 3), "cut at {length}");
                }
            }
        }
    }
}

#[test]
fn an_archive_damaged_anywhere_never_panics_and_never_lies() {
    let store = Store::new();
    let expected = sample(&store).layers;
    for format in [ArchiveFormat::Oci, ArchiveFormat::Docker] {
        let bytes = good(format);
        for at in (0..bytes.len()).step_by(61) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x15;
            if let Ok((images, other)) = load(&bytes) {
                for layer in images.iter().flat_map(|image| &image.layers) {
                    assert!(expected.contains(layer));
                    assert!(other.tar(layer) == store.tar(layer), "damaged at {at}");
                }
            }
        }
    }
}

#[test]
fn documents_are_checked() {
    let layer = tar_of("a", b"a");
    let diff_id = DiffId::new(Digest::of(&layer));
    let config = image_of(vec![diff_id]).config;
    let hex = Digest::of(&config).to_hex();
    let (right, wrong) = (format!("{hex}.json"), format!("{}.json", "0".repeat(64)));
    let other = DiffId::new(Digest::of(b"other"));
    let lying = image_of(vec![other]).config;
    let large = vec![b' '; 9 << 20];
    let one = |list: &[u8], config: &[u8]| {
        archive(&[("manifest.json", list), ("c.json", config), ("l", &layer)])
    };
    let plain = list("c.json", &["l"]);
    load(&one(&plain, &config)).unwrap();
    load(&archive(&[
        ("manifest.json", &list(&right, &["./l"])),
        (&right, &config),
        ("l", &layer),
    ]))
    .unwrap();
    let cases = [
        (
            one(b"{}", &config),
            "`manifest.json` is not what it should be",
        ),
        (one(&large, &config), "which is too large"),
        (one(&list("absent", &["l"]), &config), "`absent` is missing"),
        (
            one(&list("c.json", &["absent"]), &config),
            "`absent` is missing",
        ),
        (
            one(&list("c.json", &[]), &config),
            "has 0 layers, and its config names 1",
        ),
        (one(&plain, b"<>"), "bad config of c.json"),
        (one(&plain, &large), "which is too large"),
        (one(&plain, &lying), "where the image's config names"),
        (
            archive(&[
                ("manifest.json", &list(&wrong, &["l"])),
                (&wrong, &config),
                ("l", &layer),
            ]),
            "has the content of",
        ),
        (
            archive(&[("index.json", b"[]"), ("oci-layout", b"")]),
            "`index.json` is not what it should be",
        ),
        (
            one(
                br#"[{"Config":"c.json","RepoTags":["A B"],"Layers":["l"]}]"#,
                &config,
            ),
            "is not the name of an image",
        ),
    ];
    for (bytes, expected) in cases {
        let message = failure(&bytes);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn links_lead_nowhere_outside() {
    let layer = tar_of("a", b"a");
    let config = image_of(vec![DiffId::new(Digest::of(&layer))]).config;
    let cases: [(&str, &[u8]); 5] = [
        ("l", b"->/etc/passwd"),
        ("l", b"->../../../../etc/passwd"),
        ("l", b"->l"),
        ("x/l", b"->../../l"),
        ("../l", &layer),
    ];
    let list = list("c.json", &["l"]);
    for (name, content) in cases {
        let bytes = archive(&[
            ("manifest.json", &list),
            ("c.json", &config),
            (name, content),
        ]);
        let message = failure(&bytes);
        assert!(message.contains("`l` is missing"), "{name}: {message}");
    }
}

#[test]
fn extended_headers_are_bounded() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(2 << 20);
    header.set_cksum();
    builder.append(&header, &vec![b'a'; 2 << 20][..]).unwrap();
    let bytes = builder.into_inner().unwrap();
    let error = load(&bytes).map(drop).unwrap_err();
    assert!(
        matches!(error, Error::Archive(ArchiveProblem::TooLarge)),
        "{error:?}"
    );
}

#[test]
fn a_blob_of_another_size_or_content_is_refused() {
    let bytes = good(ArchiveFormat::Oci);
    let store = Store::new();
    let image = sample(&store);
    let hex = Digest::of(&image.config).to_hex();
    // Each file in turn is replaced by another one.
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut reader = tar::Archive::new(&bytes[..]);
    for entry in reader.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with('/') {
            files.push((name, content));
        }
    }
    assert!(files.iter().any(|(name, _)| name.ends_with(&hex)));
    for at in 0..files.len() {
        if !files[at].0.starts_with("blobs/") {
            continue;
        }
        for longer in [false, true] {
            let mut files = files.clone();
            if longer {
                files[at].1.push(b' ');
            } else {
                *files[at].1.last_mut().unwrap() ^= 1;
            }
            let files: Vec<_> = files
                .iter()
                .map(|(name, content)| (name.as_str(), &content[..]))
                .collect();
            let error = load(&archive(&files)).map(drop).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::WrongSize { .. }
                        | Error::WrongDigest { .. }
                        | Error::Layer { .. }
                        | Error::Decompress { .. }
                ),
                "{error:?}"
            );
        }
    }
}
