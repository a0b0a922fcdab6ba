//! Random operations of several processes on one store, each compared with what a map would say.
//!
//! Each process owns some names of images, so that it knows what they must mean whatever the others do; layers and a
//! counter in a cache mount are everybody's. Collectors remove all they may all the time.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::process::Child;

use layer::{DiffId, Digest};

use super::*;
use crate::testing::{self, add};
use crate::{Collector, Image, Layer, Prune, Roots, Sharing, Tag};

const STORE: &str = "RBUILD_MODEL_STORE";
const SEED: &str = "RBUILD_MODEL_SEED";
/// Operations of a process. `RBUILD_TORTURE` multiplies them.
const OPERATIONS: u64 = 150;
const PROCESSES: u64 = 4;
/// How many layers there are at most.
const LAYERS: u64 = 24;

/// Numbers by chance, the same for a seed (xorshift).
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn text(layer: u64) -> String {
    format!("layer {layer} ").repeat(50)
}

fn diff_id(layer: u64) -> DiffId {
    testing::diff_id(&text(layer))
}

/// A layer that is in the store, or made anew as a build would.
fn layer(store: &Store, number: u64) -> Layer {
    let layers = store.layers();
    if let Some(layer) = layers.get(&diff_id(number)).unwrap() {
        return layer;
    }
    add(store, &text(number))
}

/// Makes an image as builds do.
fn build(store: &Store, name: &str, numbers: &[u64]) {
    let layers: Vec<Layer> = numbers.iter().map(|number| layer(store, *number)).collect();
    let config = format!("{numbers:?}");
    let id = Digest::of(config.as_bytes());
    store.make_durable(&layers).unwrap();
    let _roots = store.share_roots().unwrap();
    store.blobs().put(&id, config.as_bytes()).unwrap();
    let image = Image {
        id,
        layers: layers.iter().map(|layer| layer.diff_id).collect(),
        documents: Vec::new(),
        stored: std::time::SystemTime::now(),
    };
    store.images().put(&image).unwrap();
    let tag = Tag {
        name: name.to_owned(),
        image: id,
        manifest: None,
        document: None,
        tagged: std::time::SystemTime::now(),
    };
    store.images().tag(&tag).unwrap();
}

/// Compares what a name means with the model.
fn compare(store: &Store, name: &str, numbers: Option<&Vec<u64>>) {
    let tag = store.images().named(name).unwrap();
    assert_eq!(tag.is_some(), numbers.is_some(), "{name}");
    let (Some(tag), Some(numbers)) = (tag, numbers) else {
        return;
    };
    let image = store.images().get(&tag.image).unwrap().unwrap();
    let config = store.blobs().get(&image.id).unwrap().unwrap();
    assert_eq!(config, format!("{numbers:?}").into_bytes());
    for number in numbers {
        let layer = store.layers().get(&diff_id(*number)).unwrap().unwrap();
        assert_eq!(fs::read_to_string(layer.tar()).unwrap(), text(*number));
    }
}

async fn count(store: &Store) {
    let lease = store.mounts().lease("counter", Sharing::Locked).await;
    let lease = lease.unwrap().publish().unwrap();
    let path = lease.path().join("count");
    let count: u64 = fs::read_to_string(&path).map_or(0, |text| text.parse().unwrap());
    fs::write(&path, (count + 1).to_string()).unwrap();
}

fn operations() -> u64 {
    let factor = std::env::var("RBUILD_TORTURE").ok();
    OPERATIONS * factor.and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

#[tokio::test]
#[ignore = "a process of its own for the test of the model"]
async fn model_process() {
    let store = Store::open(std::env::var_os(STORE).unwrap()).unwrap();
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let mut chance = Chance::new(seed);
    let mut model: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for _ in 0..operations() {
        let name = format!("{seed}/{}", chance.below(5));
        match chance.below(8) {
            0..=3 => {
                let count = 1 + chance.below(5);
                let numbers: Vec<u64> = (0..count).map(|_| chance.below(LAYERS)).collect();
                build(&store, &name, &numbers);
                model.insert(name.clone(), numbers);
            }
            4 => {
                let known = store.images().untag(&name).unwrap();
                assert_eq!(known.is_some(), model.remove(&name).is_some());
            }
            5 => {
                let collector = Collector::new(&store, &|| Ok(Roots::default()), &|_| true);
                collector.collect(&Prune::default()).unwrap();
            }
            6 => count(&store).await,
            _ => {
                let number = chance.below(LAYERS);
                let held = layer(&store, number);
                std::thread::yield_now();
                assert_eq!(fs::read_to_string(held.tar()).unwrap(), text(number));
            }
        }
        compare(&store, &name, model.get(&name));
    }
    for name in (0..5).map(|number| format!("{seed}/{number}")) {
        compare(&store, &name, model.get(&name));
    }
    // What this process did is known by its seed; the others' counts must not be lost.
    let counted = store.root().join(format!("version.counted-{seed}"));
    let mut again = Chance::new(seed);
    fs::write(counted, counts(&mut again).to_string()).unwrap();
}

/// How often a process with this chance counts.
fn counts(chance: &mut Chance) -> u64 {
    let mut counts = 0;
    for _ in 0..operations() {
        chance.below(5);
        match chance.below(8) {
            0..=3 => {
                for _ in 0..=chance.below(5) {
                    chance.below(LAYERS);
                }
            }
            6 => counts += 1,
            7 => drop(chance.below(LAYERS)),
            _ => {}
        }
    }
    counts
}

#[test]
fn several_processes_agree_with_the_model() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    store.mounts().pin("counter").unwrap();
    let start = |seed: u64| -> Child {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::model::model_process",
                "--ignored",
                "--nocapture",
            ])
            .env(STORE, store.root())
            .env(SEED, seed.to_string())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let children: Vec<Child> = (1..=PROCESSES).map(start).collect();
    // All of them, before the store goes.
    let ends: Vec<_> = children
        .into_iter()
        .map(|mut child| child.wait().unwrap())
        .collect();
    assert!(
        ends.iter().all(std::process::ExitStatus::success),
        "see above"
    );
    let counted = |seed: u64| -> u64 {
        let path = store.root().join(format!("version.counted-{seed}"));
        fs::read_to_string(path).unwrap().parse().unwrap()
    };
    let total: u64 = (1..=PROCESSES).map(counted).sum();
    let mounts = store.mounts().list().unwrap();
    let count = fs::read_to_string(mounts[0].1.join("count")).unwrap();
    assert_eq!(count, total.to_string(), "no count was lost");
    store.sweep().unwrap();
    let left = |bucket| entries(&store.directory(bucket)).unwrap();
    assert!(left(Bucket::Temporary).is_empty() && left(Bucket::Trash).is_empty());
}
