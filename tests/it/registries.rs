//! Registries and networks that misbehave: an image comes and goes byte for byte, or there is one clear error and nothing
//! half made.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use testkit::command;
use testkit::context::Context;
use testkit::faults::{Fault, Faults};
use testkit::rbuild::Rbuild;
use testkit::registry::Registry;
use testkit::supervise::{PATIENCE, wait_until};

use crate::at_home;

/// An image of a small and a large layer, and the registry that has it.
pub(crate) struct Origin {
    rbuild: Rbuild,
    pub(crate) registry: Registry,
    /// The digest of the large layer's blob, without its algorithm.
    pub(crate) blob: String,
}

impl Origin {
    /// The name of the image.
    pub(crate) fn name(&self) -> String {
        format!("{}/image:latest", self.registry.host())
    }

    /// The bytes of the large layer's blob.
    fn bytes(&self) -> Vec<u8> {
        let blobs = "storage/docker/registry/v2/blobs/sha256";
        let place = format!("{blobs}/{}/{}/data", &self.blob[..2], self.blob);
        fs::read(self.registry.directory().join(place)).expect("the registry has it")
    }

    /// Writes the image to an archive.
    pub(crate) fn save(&self, archive: &str) {
        self.rbuild
            .run(["save", "-o", archive, &self.name()])
            .succeeded();
    }
}

/// Bytes that do not compress.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn origin() -> &'static Origin {
    static ORIGIN: OnceLock<Origin> = OnceLock::new();
    ORIGIN.get_or_init(|| {
        let (rbuild, registry) = (at_home(), Registry::empty());
        let context = Context::new("FROM scratch\nCOPY small /\nCOPY large /\n")
            .with("small", "small")
            .with("large", noise(3_000_000));
        let name = format!("{}/image", registry.host());
        rbuild.build(context.path(), &["-t", &name]);
        rbuild.run(["push", &name]).succeeded();
        let blobs = registry.directory().join("storage/docker/registry/v2/blobs/sha256");
        let find = "for f in */*/data; do [ $(stat -c %s $f) -gt 2000000 ] && basename $(dirname $f); done";
        let blob = command::shell(&blobs, &format!("{find} || true"));
        Origin {
            rbuild,
            registry,
            blob: blob.trim().to_owned(),
        }
    })
}

/// The layers in a store, each of which has its name's digest, by their lengths.
pub(crate) fn layers(rbuild: &Rbuild) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let shards = fs::read_dir(rbuild.store().join("layers-v1"));
    for layer in shards.into_iter().flatten().flatten() {
        for layer in fs::read_dir(layer.path()).expect("a shard").flatten() {
            let tar = layer.path().join("tar");
            let sum = command::must("sha256sum", &[tar.to_str().expect("a path")]);
            let name = layer.file_name().to_string_lossy().into_owned();
            assert!(name.ends_with(&sum[..64]), "{name} holds {sum}");
            found.insert(name, fs::metadata(tar).expect("a tar").len());
        }
    }
    found
}

/// Panics unless a store has the image, whole.
#[track_caller]
pub(crate) fn assert_whole(rbuild: &Rbuild) {
    assert_same(rbuild);
    rbuild.assert_nothing_half_made();
}

/// The same for a store that processes were killed in: the next build sweeps what they left.
#[track_caller]
pub(crate) fn assert_same(rbuild: &Rbuild) {
    let ids = |rbuild: &Rbuild| {
        rbuild
            .run(["images", "-q", "--no-trunc"])
            .succeeded()
            .to_owned()
    };
    assert_eq!(ids(rbuild), ids(&origin().rbuild));
    assert_eq!(layers(rbuild), layers(&origin().rbuild));
    assert_eq!(kept(rbuild), []);
}

/// Panics if a store has an image, or something that is half made.
#[track_caller]
pub(crate) fn assert_none(rbuild: &Rbuild) {
    assert_eq!(rbuild.run(["images", "-q"]).succeeded(), "");
    layers(rbuild);
    rbuild.assert_nothing_half_made();
}

/// What is kept of blobs that have not come as a whole.
fn kept(rbuild: &Rbuild) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(rbuild.store().join("partial"));
    let entries = entries.into_iter().flatten().flatten();
    let length = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    entries
        .map(|entry| (entry.path(), length(&entry.path())))
        .collect()
}

fn proxy() -> (Faults, String) {
    let faults = Faults::before(origin().registry.port());
    let name = format!("{}/image", faults.host());
    (faults, name)
}

/// In the form of HTTP.
fn date(time: SystemTime) -> String {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970");
    let argument = format!("@{}", since.as_secs());
    let format = "+%a, %d %b %Y %H:%M:%S GMT";
    command::must("date", &["-u", "-d", &argument, format])
        .trim()
        .to_owned()
}

#[test]
fn what_passes_is_waited_for() {
    let blob = &origin().blob;
    let later = format!(
        "retry-after: {}\r\n",
        date(SystemTime::now() + Duration::from_secs(2))
    );
    let status = |code, headers: &str| Fault::Status(code, headers.to_owned());
    let cases = [
        (blob.as_str(), 2, Fault::Cut(1_000_000)),
        (blob, 1, Fault::Cut(0)),
        (blob, 1, Fault::Trickle(100_000, Duration::from_millis(10))),
        (blob, 2, status(429, "retry-after: 1\r\n")),
        (blob, 1, status(503, &later)),
        (blob, 3, status(500, "")),
        ("/blobs/", 2, status(502, "")),
        ("/manifests/", 2, status(504, "")),
        ("/manifests/", 1, Fault::Cut(10)),
    ];
    for (part, times, fault) in cases {
        let (rbuild, (faults, name)) = (at_home(), proxy());
        faults.add("GET", part, times, fault.clone());
        rbuild.run(["pull", &name]).succeeded();
        assert_eq!(faults.left(), 0, "{fault:?}");
        assert_whole(&rbuild);
    }
}

#[test]
fn a_download_goes_on_where_it_stopped() {
    let (rbuild, (faults, name)) = (at_home(), proxy());
    let blob = &origin().blob;
    faults.add("GET", blob, 1, Fault::Cut(1_000_000));
    // The registry may also not know the part; then all comes again and the beginning is passed over.
    faults.add("GET", blob, 1, Fault::Status(416, String::new()));
    rbuild.run(["pull", &name]).succeeded();
    let asked: Vec<_> = faults.seen();
    let asked: Vec<_> = asked
        .iter()
        .filter(|it| it.contains(blob.as_str()))
        .collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[1].ends_with("bytes=1000000-"), "{asked:?}");
    assert!(!asked[2].contains("bytes="), "{asked:?}");
    assert_whole(&rbuild);
}

#[test]
fn a_download_goes_on_after_the_program_was_killed() {
    let (rbuild, (faults, name)) = (at_home(), proxy());
    let blob = &origin().blob;
    faults.add("GET", blob, 1, Fault::Stall(2_000_000, 2 * PATIENCE));
    let mut child = rbuild.start(["pull", &name]);
    wait_until(PATIENCE, "nothing is kept", || {
        kept(&rbuild).iter().any(|(_, length)| *length == 2_000_000)
    });
    child.kill().expect("it runs");
    child.wait().expect("it was started");
    assert_eq!(rbuild.run(["images", "-q"]).succeeded(), "");
    faults.clear();
    rbuild.run(["pull", &name]).succeeded();
    let asked = faults.seen();
    let last = asked.iter().rfind(|it| it.contains(blob.as_str()));
    let last = last.expect("the blob was asked for");
    assert!(last.ends_with("bytes=2000000-"), "{last}");
    assert_same(&rbuild);
}

#[test]
fn what_was_kept_is_not_believed() {
    let (rbuild, (faults, name)) = (at_home(), proxy());
    let blob = &origin().blob;
    let place = rbuild.store().join("partial");
    let damaged = |at: usize| {
        let mut bytes = origin().bytes();
        bytes.truncate(2_000_000);
        bytes[at] ^= 1;
        bytes
    };
    // The time in a gzip header: nothing but the digest of the whole tells that it is another.
    let time = damaged(4);
    for wrong in [time, damaged(1_000_000), noise(5_000_000), vec![0; 1]] {
        fs::create_dir_all(&place).expect("the store can be written");
        fs::write(place.join(blob), wrong).expect("the store can be written");
        rbuild.run(["pull", &name]).succeeded();
        assert_whole(&rbuild);
        rbuild.run(["rmi", &name]).succeeded();
        fs::remove_dir_all(rbuild.store().join("layers-v1")).expect("there are layers");
    }
    assert!(
        faults
            .seen()
            .iter()
            .any(|it| it.ends_with("bytes=2000000-"))
    );
}

#[test]
fn wrong_bytes_are_refused_and_not_kept() {
    let blob = &origin().blob;
    let other = format!("sha256:{}", "0".repeat(64));
    let cases = [
        (blob.as_str(), Fault::Flip(1_500_000), blob.as_str()),
        (blob, Fault::Flip(0), blob),
        ("/manifests/", Fault::Flip(100), "does not have that digest"),
        (
            "/manifests/",
            Fault::Header("docker-content-digest", other),
            "does not have that digest",
        ),
    ];
    for (part, fault, expected) in cases {
        let (rbuild, (faults, name)) = (at_home(), proxy());
        faults.add("GET", part, 1, fault);
        let outcome = rbuild.run(["pull", &name]);
        outcome.failed_with(1);
        outcome.says(&[expected]);
        assert_eq!(
            outcome.stderr.matches("rbuild: error").count(),
            1,
            "{outcome:?}"
        );
        assert_none(&rbuild);
        rbuild.run(["pull", &name]).succeeded();
        assert_whole(&rbuild);
    }
}

#[test]
fn what_does_not_pass_is_one_error() {
    let blob = &origin().blob;
    let status = |code, headers: &str| Fault::Status(code, headers.to_owned());
    // With how often each is tried.
    let cases = [
        (blob.as_str(), Fault::Cut(0), "the connection broke", 4),
        (blob, status(500, ""), "answered 500", 4),
        (blob, status(404, ""), "does not have blob", 1),
        (blob, status(403, ""), "does not allow blob", 1),
        (
            "/manifests/",
            status(429, "retry-after: 3600\r\n"),
            "answered 429",
            1,
        ),
    ];
    for (part, fault, expected, times) in cases {
        let (rbuild, (faults, name)) = (at_home(), proxy());
        faults.add("GET", part, usize::MAX / 2, fault);
        let outcome = rbuild.run(["pull", &name]);
        outcome.failed_with(1);
        outcome.says(&[expected]);
        let asked = faults.seen();
        let asked = asked.iter().filter(|it| it.contains(part)).count();
        assert_eq!(asked, times, "{outcome:?}");
        assert_none(&rbuild);
        faults.clear();
        rbuild.run(["pull", &name]).succeeded();
        assert_whole(&rbuild);
    }
}

#[test]
fn tokens_that_expire_are_renewed() {
    let (rbuild, (faults, name)) = (at_home(), proxy());
    faults.ask_for_tokens(2);
    faults.add("GET", &origin().blob, 1, Fault::Cut(1_000_000));
    rbuild.run(["pull", &name]).succeeded();
    assert!(faults.tokens_given() > 1, "{:?}", faults.seen());
    assert_whole(&rbuild);
}
