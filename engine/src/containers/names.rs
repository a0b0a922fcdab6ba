//! Names of containers: which there can be, who has which, and new ones.
//!
//! A name is a symbolic link in the store whose target is the id. The names are changed under a lock, so that a link to a
//! container that does not exist was left by a process that died.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use cache::{Bucket, RangeLock, Store};

use super::error::ContainerError;
use super::state::ContainerId;

/// Longer names are no names of files.
const LONGEST: usize = 255;
/// How long others are let finish their change of the names.
const PAUSE: Duration = Duration::from_micros(500);

const ADJECTIVES: [&str; 48] = [
    "able", "airy", "amber", "bold", "brave", "bright", "brisk", "calm", "civil", "clear",
    "clever", "cosy", "crisp", "dapper", "eager", "early", "fair", "fleet", "fond", "frank",
    "gentle", "glad", "golden", "happy", "hardy", "humble", "jolly", "keen", "kind", "lively",
    "loyal", "lucid", "mellow", "merry", "mild", "neat", "nimble", "noble", "patient", "plucky",
    "quick", "quiet", "ready", "serene", "steady", "sunny", "tidy", "witty",
];
const SURNAMES: [&str; 48] = [
    "abel",
    "agnesi",
    "archimedes",
    "babbage",
    "backus",
    "bohr",
    "cantor",
    "cauchy",
    "cray",
    "curie",
    "dijkstra",
    "dirac",
    "engelbart",
    "erdos",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "galileo",
    "galois",
    "gauss",
    "germain",
    "godel",
    "hamming",
    "hilbert",
    "hopper",
    "hypatia",
    "kepler",
    "knuth",
    "kovalevskaya",
    "lamarr",
    "leibniz",
    "liskov",
    "lovelace",
    "maxwell",
    "mendel",
    "napier",
    "neumann",
    "newton",
    "noether",
    "pascal",
    "planck",
    "ritchie",
    "shannon",
    "thompson",
    "turing",
    "volta",
    "wirth",
];

/// A name of the form that Docker takes: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`; a slash before it is left out.
pub(super) fn check(name: &str) -> Result<&str, ContainerError> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    if is_name(bare) {
        Ok(bare)
    } else {
        Err(ContainerError::BadName(name.to_owned()))
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    (2..=LONGEST).contains(&text.len())
        && bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// A name to be given by chance; `attempt` makes later ones less likely to be taken.
pub(super) fn random(attempt: usize) -> Result<String, ContainerError> {
    let mut bytes = [0; 3];
    let flags = rustix::rand::GetRandomFlags::empty();
    rustix::rand::getrandom(&mut bytes, flags)
        .map_err(|error| ContainerError::io("get random bytes from", "the kernel", error.into()))?;
    let pick = |words: [&'static str; 48], byte: u8| words[usize::from(byte) % words.len()];
    let name = format!(
        "{}_{}",
        pick(ADJECTIVES, bytes[0]),
        pick(SURNAMES, bytes[1])
    );
    Ok(if attempt == 0 {
        name
    } else {
        format!("{name}{}", bytes[2])
    })
}

/// The names of a store, which nobody else changes meanwhile.
#[derive(Debug)]
pub(super) struct Names<'a> {
    store: &'a Store,
    _alone: RangeLock,
}

impl<'a> Names<'a> {
    /// Waits until nobody else changes the names, which takes nobody longer than a few system calls.
    pub(super) fn lock(store: &'a Store) -> Result<Self, ContainerError> {
        let key = solver::KeyWriter::new("rbuild container names", 1).finish();
        loop {
            if let Some(alone) = store.try_exclusive(&key)? {
                return Ok(Self {
                    store,
                    _alone: alone,
                });
            }
            thread::sleep(PAUSE);
        }
    }

    /// Gives a container a name that no other has.
    pub(super) fn give(&self, name: &str, id: &ContainerId) -> Result<(), ContainerError> {
        let path = path(self.store, name);
        if let Some(owner) = owner(self.store, name)? {
            if exists(self.store, &owner) {
                return Err(ContainerError::Conflict {
                    name: name.to_owned(),
                    id: owner.to_string(),
                });
            }
            let removed = fs::remove_file(&path);
            removed.map_err(|error| ContainerError::io("remove", path.display(), error))?;
        }
        let link = || symlink(id.as_str(), &path);
        let given = match (link(), path.parent()) {
            (Err(error), Some(parent)) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(parent).and_then(|()| link())
            }
            (given, _) => given,
        };
        given.map_err(|error| ContainerError::io("make", path.display(), error))
    }

    /// Takes a name from a container, if it has it.
    pub(super) fn take(&self, name: &str, id: &ContainerId) -> Result<(), ContainerError> {
        if owner(self.store, name)?.as_ref() != Some(id) {
            return Ok(());
        }
        let path = path(self.store, name);
        fs::remove_file(&path).map_err(|error| ContainerError::io("remove", path.display(), error))
    }
}

/// Whom a name belongs to, or belonged to.
pub(super) fn owner(store: &Store, name: &str) -> Result<Option<ContainerId>, ContainerError> {
    let path = path(store, name);
    match fs::read_link(&path) {
        Ok(target) => Ok(target.to_str().and_then(ContainerId::parse)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ContainerError::io("read", path.display(), error)),
    }
}

/// Whether there is a container.
pub(super) fn exists(store: &Store, id: &ContainerId) -> bool {
    store
        .directory(Bucket::Containers)
        .join(id.as_str())
        .exists()
}

fn path(store: &Store, name: &str) -> PathBuf {
    store.directory(Bucket::Containers).join("names").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_dockers_form() {
        for (name, bare) in [
            ("worker", Some("worker")),
            ("/worker", Some("worker")),
            ("a.b-c_D9", Some("a.b-c_D9")),
            ("9a", Some("9a")),
            ("a", None),
            ("", None),
            ("/", None),
            ("..", None),
            ("-ab", None),
            ("a/b", None),
            ("a b", None),
            ("ä1", None),
            ("a\0b", None),
        ] {
            assert_eq!(check(name).ok(), bare, "{name}");
        }
        assert!(check(&"x".repeat(LONGEST)).is_ok());
        assert!(check(&"x".repeat(LONGEST + 1)).is_err());
    }

    #[test]
    fn random_names_are_names() {
        for attempt in [0, 1, 2] {
            let name = random(attempt).expect("random bytes");
            assert_eq!(check(&name).ok(), Some(&*name));
            assert_eq!(name.split('_').count(), 2, "{name}");
        }
        for words in [ADJECTIVES, SURNAMES] {
            assert!(words.is_sorted_by(|one, other| one < other), "{words:?}");
        }
    }

    #[test]
    fn a_name_belongs_to_one_container() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(directory.path()).expect("a store");
        let [one, other] = [(); 2].map(|()| ContainerId::random().expect("random bytes"));
        let container = |id: &ContainerId| {
            let path = store.directory(Bucket::Containers).join(id.as_str());
            fs::create_dir_all(path).expect("the store can be written");
        };
        let names = Names::lock(&store).expect("nobody else has it");
        names.give("worker", &one).expect("a free name");
        container(&one);
        let refused = names.give("worker", &other);
        assert!(matches!(refused, Err(ContainerError::Conflict { id, .. }) if id == one.as_str()));
        names.take("worker", &other).expect("nothing to do");
        assert_eq!(
            owner(&store, "worker").expect("readable"),
            Some(one.clone())
        );
        names.take("worker", &one).expect("taken away");
        assert_eq!(owner(&store, "worker").expect("readable"), None);
    }

    #[test]
    fn a_name_of_nobody_is_free() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(directory.path()).expect("a store");
        let [dead, new] = [(); 2].map(|()| ContainerId::random().expect("random bytes"));
        let names = Names::lock(&store).expect("nobody else has it");
        names.give("worker", &dead).expect("a free name");
        names
            .give("worker", &new)
            .expect("its owner never came to be");
        assert_eq!(owner(&store, "worker").expect("readable"), Some(new));
    }
}
