#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Instant;

use super::*;
use crate::testing::new;

/// A file that last changed in 2001.
fn stat() -> Stat {
    let mut stat = rustix::fs::stat("/").unwrap();
    (stat.st_dev, stat.st_ino, stat.st_size) = (1, 2, 3);
    (stat.st_mtime, stat.st_mtime_nsec) = (1_000_000_000, 5);
    (stat.st_ctime, stat.st_ctime_nsec) = (1_000_000_001, 6);
    stat
}

fn digest(name: &str) -> ContentDigest {
    ContentDigest::of(name.as_bytes())
}

fn file(name: &str) -> (FileStamp, ContentDigest) {
    (FileStamp::new(name.as_bytes(), &stat()), digest(name))
}

/// Walks a context of these files; whether it wrote something.
fn walk(store: &Store, files: &[(FileStamp, ContentDigest)]) -> bool {
    let memory = ContextMemory::load(store, "c");
    for (stamp, digest) in files {
        if memory.get(stamp) != Some(*digest) {
            memory.learn(*stamp, *digest);
        }
    }
    memory.save().unwrap()
}

#[test]
fn a_file_is_known_until_anything_about_its_bytes_changes() {
    let (_directory, store) = new();
    assert!(walk(&store, &[file("a"), file("b")]));
    let memory = ContextMemory::load(&store, "c");
    assert_eq!(memory.len(), 2);
    assert_eq!(memory.get(&file("a").0), Some(digest("a")));
    assert_eq!(memory.get(&file("b").0), Some(digest("b")));
    assert_eq!(memory.get(&file("c").0), None);
    assert!(ContextMemory::load(&store, "another").is_empty());
    let changes: [fn(&mut Stat); 7] = [
        |stat| stat.st_dev += 1,
        |stat| stat.st_ino += 1,
        |stat| stat.st_size += 1,
        |stat| stat.st_mtime += 1,
        |stat| stat.st_mtime_nsec += 1,
        |stat| stat.st_ctime += 1,
        |stat| stat.st_ctime_nsec += 1,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut other = stat();
        change(&mut other);
        assert_eq!(
            memory.get(&FileStamp::new(b"a", &other)),
            None,
            "change {number}"
        );
    }
    let mut same = stat();
    (same.st_mode, same.st_uid, same.st_nlink, same.st_atime) = (0, 7, 9, 11);
    assert_eq!(memory.get(&FileStamp::new(b"a", &same)), Some(digest("a")));
}

#[test]
fn files_that_just_changed_are_not_trusted() {
    let (directory, store) = new();
    let path = directory.path().join("file");
    std::fs::write(&path, "one").unwrap();
    let stamp = |path: &Path| FileStamp::new(b"file", &rustix::fs::stat(path).unwrap());
    assert!(!walk(&store, &[(stamp(&path), digest("one"))]));
    assert!(ContextMemory::load(&store, "c").is_empty());
    std::thread::sleep(Duration::from_millis(50));
    assert!(walk(&store, &[(stamp(&path), digest("one"))]));
    assert_eq!(
        ContextMemory::load(&store, "c").get(&stamp(&path)),
        Some(digest("one"))
    );
    // An entry that is known and has changed just now is forgotten.
    std::fs::write(&path, "two").unwrap();
    assert!(walk(&store, &[(stamp(&path), digest("two"))]));
    assert!(ContextMemory::load(&store, "c").is_empty());
}

#[test]
fn times_decide_by_their_grain() {
    let walk = UNIX_EPOCH + Duration::from_secs(1_000_000_100);
    let at = |seconds: i64, nanoseconds: i64| {
        let mut stat = stat();
        (stat.st_ctime, stat.st_ctime_nsec) = (seconds, nanoseconds.try_into().unwrap());
        FileStamp::new(b"a", &stat).is_settled(walk)
    };
    assert!(at(1_000_000_099, 970_000_000));
    assert!(!at(1_000_000_099, 990_000_000));
    assert!(!at(1_000_000_099, 0) && !at(1_000_000_097, 0));
    assert!(at(1_000_000_096, 0));
    assert!(!at(1_000_000_200, 5) && !at(i64::MAX, 5));
    assert!(at(-5, 5));
    let mut future = stat();
    future.st_mtime = 1_000_000_200;
    assert!(!FileStamp::new(b"a", &future).is_settled(walk));
}

#[test]
fn nothing_is_written_when_nothing_is_new() {
    let (_directory, store) = new();
    let save = |files: &[_]| walk(&store, files);
    let names = || {
        ["a", "b", "c"].into_iter().filter(|name| {
            ContextMemory::load(&store, "c")
                .get(&file(name).0)
                .is_some()
        })
    };
    assert!(save(&[file("a"), file("b")]));
    assert!(!save(&[file("a"), file("b")]));
    assert!(!save(&[file("b")]));
    assert_eq!(names().collect::<String>(), "ab");
    // What other walks of the same context saw is kept, unless it is the greater part.
    assert!(save(&[file("b"), file("c")]));
    assert_eq!(names().collect::<String>(), "abc");
    assert!(save(&[(file("c").0, digest("another"))]));
    assert_eq!(names().collect::<String>(), "c");
}

#[test]
fn what_was_met_as_it_is_known_stays_beside_what_is_new() {
    let (_directory, store) = new();
    let files = ["a", "b", "c", "d", "e"].map(file);
    assert!(walk(&store, &files));
    assert!(walk(&store, &[file("a"), file("new")]));
    let memory = ContextMemory::load(&store, "c");
    assert_eq!(memory.get(&file("a").0), Some(digest("a")));
    assert_eq!(memory.get(&file("new").0), Some(digest("new")));
    assert_eq!(memory.len(), 2);
}

#[test]
fn a_damaged_file_is_an_empty_one() {
    let (_directory, store) = new();
    walk(&store, &[file("a"), file("b")]);
    let path = store.directory(Bucket::Contexts).join(names::hashed("c"));
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(
            ContextMemory::load(&store, "c").is_empty(),
            "cut at {length}"
        );
        let mut changed = whole.clone();
        changed[length] ^= 0x80;
        fs::write(&path, &changed).unwrap();
        assert!(
            ContextMemory::load(&store, "c").is_empty(),
            "changed at {length}"
        );
    }
    fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
    assert!(ContextMemory::load(&store, "c").is_empty());
}

#[test]
fn fifty_thousand_files_are_looked_up_quickly() {
    let (_directory, store) = new();
    let files: Vec<_> = (0..50_000)
        .map(|number| file(&format!("some/directory/{number}.c")))
        .collect();
    walk(&store, &files);
    let start = Instant::now();
    let memory = ContextMemory::load(&store, "c");
    assert!(
        files
            .iter()
            .all(|(stamp, digest)| memory.get(stamp) == Some(*digest))
    );
    assert!(!memory.save().unwrap());
    // Generous for a debug build on a busy machine; an optimised one takes some milliseconds.
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}
