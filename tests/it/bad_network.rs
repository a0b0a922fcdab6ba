//! A network that is bad at random: whatever happens to a pull or a push, it has the whole image at its end or one error,
//! and the next one over a good network needs nothing but itself.
//!
//! `RBUILD_ROUNDS` says how many rounds there are; each has its number for a seed.

use std::time::Duration;

use testkit::command::Outcome;
use testkit::faults::{Fault, Faults};
use testkit::rbuild::Rbuild;

use crate::at_home;
use crate::registries::{assert_none, assert_same, assert_whole, layers, origin};

/// How many rounds there are unless the environment says otherwise.
const ROUNDS: u64 = 12;

fn rounds() -> u64 {
    std::env::var("RBUILD_ROUNDS").map_or(ROUNDS, |text| {
        text.parse().expect("RBUILD_ROUNDS is a number")
    })
}

/// Numbers that look like chance, and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn one_of<T: Clone>(&mut self, things: &[T]) -> T {
        let at = usize::try_from(self.below(things.len() as u64)).expect("a small number");
        things[at].clone()
    }

    fn fault(&mut self) -> Fault {
        let length = 1 << self.below(22);
        let status = self.one_of(&[404, 408, 416, 429, 500, 502, 503, 504]);
        let header = self.one_of(&["", "retry-after: 0\r\n", "retry-after: 1\r\n"]);
        let other = format!("sha256:{}", "0".repeat(64));
        match self.below(9) {
            0 | 1 => Fault::Cut(length),
            2 | 3 => Fault::Status(status, header.to_owned()),
            4 => Fault::Flip(length),
            5 => Fault::Trickle(50_000, Duration::from_millis(2)),
            6 => Fault::Header("docker-content-digest", other),
            7 => Fault::CutRequest(length),
            _ => Fault::LoseAnswer,
        }
    }

    /// Spoils some exchanges.
    fn spoil(&mut self, faults: &Faults, places: &[(&'static str, &str)]) {
        for _ in 0..=self.below(4) {
            let (method, part) = self.one_of(places);
            let times = self.one_of(&[1, 1, 2, 3, 20]);
            faults.add(method, part, times, self.fault());
        }
        if self.below(4) == 0 {
            faults.ask_for_tokens(4);
        }
    }
}

/// Panics unless a command did its work, or failed with one error.
#[track_caller]
fn assert_clear(outcome: &Outcome, seed: u64) -> bool {
    let errors = outcome.stderr.matches("rbuild: error: ").count();
    let panics = outcome.stderr.contains("panicked");
    let clear = match outcome.code {
        0 => errors == 0,
        1 => errors == 1,
        _ => false,
    };
    assert!(clear && !panics, "round {seed}: {outcome:?}");
    outcome.code == 0
}

fn pull(rbuild: &Rbuild, seed: u64) -> bool {
    let faults = Faults::before(origin().registry.port());
    let places = [
        ("GET", "/manifests/"),
        ("GET", "/blobs/"),
        ("GET", &*origin().blob),
    ];
    Chance(seed).spoil(&faults, &places);
    let outcome = rbuild.run(["pull", &format!("{}/image", faults.host())]);
    assert_clear(&outcome, seed)
}

fn push(rbuild: &Rbuild, seed: u64) -> bool {
    let faults = Faults::before(origin().registry.port());
    let places = [
        ("HEAD", "/blobs/"),
        ("POST", "/blobs/uploads/"),
        ("PUT", "/blobs/uploads/"),
        ("PUT", &*origin().blob),
        ("PATCH", "/blobs/uploads/"),
        ("GET", "/blobs/uploads/"),
        ("PUT", "/manifests/"),
    ];
    Chance(seed).spoil(&faults, &places);
    let name = format!("{}/round-{seed}", faults.host());
    rbuild.run(["tag", &origin().name(), &name]).succeeded();
    let outcome = rbuild.run(["push", &name]);
    assert_clear(&outcome, seed)
}

#[test]
fn whatever_happens_an_image_is_whole_or_not_there() {
    let rounds = rounds();
    let (mut pulls, mut pushes) = (0, 0);
    for seed in 0..rounds {
        let puller = at_home();
        if pull(&puller, seed) {
            pulls += 1;
            assert_whole(&puller);
        } else {
            assert_none(&puller);
        }
        puller.run(["pull", &origin().name()]).succeeded();
        assert_whole(&puller);

        let path = format!("{}/round-{seed}", origin().registry.host());
        if push(&puller, seed) {
            pushes += 1;
        } else {
            puller.run(["tag", &origin().name(), &path]).succeeded();
            puller.run(["push", &path]).succeeded();
        }
        let other = at_home();
        other.run(["pull", &path]).succeeded();
        assert_whole(&other);
    }
    // Chance that always or never spoils proves little.
    assert!(rounds < ROUNDS || (1..rounds).contains(&pulls), "{pulls}");
    assert!(rounds < ROUNDS || (1..rounds).contains(&pushes), "{pushes}");
}

#[test]
fn a_puller_that_is_killed_leaves_nothing_that_is_believed() {
    let faults = Faults::before(origin().registry.port());
    let slow = Fault::Trickle(100_000, Duration::from_millis(5));
    faults.add("GET", "/blobs/", usize::MAX / 2, slow);
    let name = format!("{}/image", faults.host());
    for seed in 0..rounds().div_ceil(2) {
        let (rbuild, mut chance) = (at_home(), Chance(seed));
        for _ in 0..4 {
            let mut child = rbuild.start(["pull", &name]);
            std::thread::sleep(Duration::from_millis(chance.below(150)));
            // It may be done already.
            child.kill().ok();
            child.wait().expect("it was started");
            layers(&rbuild);
        }
        rbuild.run(["pull", &name]).succeeded();
        assert_same(&rbuild);
    }
}
