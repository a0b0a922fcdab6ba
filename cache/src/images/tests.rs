#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::*;
use crate::testing::new;

fn time(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(second, 123_456_789)
}

fn image(id: Digest, second: u64) -> Image {
    Image {
        id,
        layers: vec![DiffId::new(Digest::of(b"layer"))],
        documents: Vec::new(),
        stored: time(second),
    }
}

fn tag(name: &str, image: Digest) -> Tag {
    Tag {
        name: name.to_owned(),
        image,
        manifest: Some(Digest::of(b"index")),
        document: Some(Digest::of(b"manifest")),
        tagged: time(9),
    }
}

#[test]
fn names_lead_to_images_whatever_their_characters() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("store")).unwrap();
    let id = Digest::of(b"config");
    store.images().put(&image(id, 1)).unwrap();
    let long = "x".repeat(5_000);
    for name in [
        "docker.io/library/a:latest",
        "../../etc/passwd",
        "/",
        "..",
        "",
        "a\0b",
        "naïve 名\n",
        &long,
    ] {
        assert_eq!(store.images().named(name).unwrap(), None);
        store.images().tag(&tag(name, id)).unwrap();
        assert_eq!(store.images().named(name).unwrap().unwrap(), tag(name, id));
        assert_eq!(store.images().resolve(name).unwrap().unwrap(), image(id, 1));
        assert_eq!(store.images().untag(name).unwrap().unwrap(), tag(name, id));
        assert_eq!(store.images().untag(name).unwrap(), None);
    }
    assert_eq!(entries(directory.path()).unwrap(), [store.root()]);
}

#[test]
fn a_name_moves_to_another_image_and_the_first_stays_nameless() {
    let (_directory, store) = new();
    let [old, new] = ["old", "new"].map(|config| Digest::of(config.as_bytes()));
    for (id, second) in [(old, 1), (new, 2)] {
        store.images().put(&image(id, second)).unwrap();
        store.images().tag(&tag("b", id)).unwrap();
    }
    store.images().tag(&tag("a", new)).unwrap();
    let listed = store.images().list().unwrap();
    let seen: Vec<_> = listed
        .iter()
        .map(|listed| {
            (
                listed.image.id,
                listed
                    .tags
                    .iter()
                    .map(|tag| tag.name.as_str())
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    assert_eq!(seen, [(new, vec!["a", "b"]), (old, vec![])]);
    store.images().remove(&new).unwrap();
    assert_eq!(store.images().tags().unwrap(), []);
    assert_eq!(store.images().get(&new).unwrap(), None);
    assert_eq!(store.images().list().unwrap().len(), 1);
}

#[test]
fn identifiers_may_be_short_as_long_as_they_are_clear() {
    let (_directory, store) = new();
    let digest = |digits: &str| format!("sha256:{digits:0<64}").parse::<Digest>().unwrap();
    let [one, other] = [digest("abc1"), digest("abc2")];
    for id in [one, other] {
        store.images().put(&image(id, 1)).unwrap();
    }
    for (given, found) in [
        ("abc1", Some(one)),
        ("sha256:abc2", Some(other)),
        (&one.to_string(), Some(one)),
        (&one.to_hex(), Some(one)),
        ("abd", None),
        ("ABC1", None),
        ("", None),
        ("sha256:", None),
        ("../lock", None),
        (&"a".repeat(65), None),
        (&"f".repeat(64), None),
    ] {
        let image = store.images().resolve(given).unwrap();
        assert_eq!(image.map(|image| image.id), found, "{given}");
    }
    for unclear in ["a", "sha256:abc"] {
        assert!(
            matches!(
                store.images().resolve(unclear),
                Err(Error::AmbiguousId { .. })
            ),
            "{unclear}"
        );
    }
    // A name comes before an identifier.
    store.images().tag(&tag("abc1", other)).unwrap();
    assert_eq!(store.images().resolve("abc1").unwrap().unwrap().id, other);
}

#[test]
fn damaged_records_are_passed_over() {
    let (_directory, store) = new();
    let id = Digest::of(b"config");
    store.images().put(&image(id, 1)).unwrap();
    store.images().tag(&tag("a", id)).unwrap();
    for bucket in [Bucket::Images, Bucket::Tags] {
        std::fs::write(
            store.directory(bucket).join("f".repeat(64)),
            "rbuild image 1\n{}",
        )
        .unwrap();
    }
    assert_eq!(store.images().list().unwrap().len(), 1);
    assert_eq!(store.images().tags().unwrap().len(), 1);
}
