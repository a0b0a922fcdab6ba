#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::process::{Child, Command};
use std::time::Duration;

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::testing::{add, diff_id};
use crate::{Form, Swept};

/// Says to a test that it is a process of its own, and on which store it works.
const STORE: &str = "RBUILD_TEST_STORE";

fn new() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("store")).unwrap();
    (directory, store)
}

/// Starts one of the ignored tests below as a process.
fn process(test: &str, root: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("store::tests::{test}"),
            "--ignored",
            "--quiet",
        ])
        .env(STORE, root)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until something is so.
fn wait(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..12_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("waited in vain for {what}");
}

fn is_empty(store: &Store, bucket: Bucket) -> bool {
    entries(&store.directory(bucket)).unwrap().is_empty()
}

#[test]
fn a_store_is_made_once_and_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("a/b");
    fs::create_dir_all(directory.path().join("volume/lost+found")).unwrap();
    Store::open(directory.path().join("volume")).unwrap();
    for _ in 0..2 {
        let store = Store::open(&root).unwrap();
        assert_eq!(store.root(), root);
    }
    let names: BTreeSet<_> = entries(&root).unwrap().into_iter().collect();
    assert_eq!(
        names,
        ["lock", "version"].map(|name| root.join(name)).into()
    );
    assert_eq!(
        fs::metadata(&root).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn a_store_that_was_removed_is_not_made_again_by_those_who_used_it() {
    let (_directory, store) = new();
    fs::remove_dir_all(store.root()).unwrap();
    assert!(
        store.temporary_directory().is_err()
            && store.write(&store.root().join("pins-v1/x"), b"").is_err()
    );
    assert!(!store.root().exists());
    Store::open(store.root()).unwrap();
    store
        .write(&store.root().join("blobs/sha256/x"), b"")
        .unwrap();
}

#[test]
fn what_is_made_is_there_although_its_bucket_is_taken_away_meanwhile() {
    let (_directory, store) = new();
    let bucket = store.directory(Bucket::Origins);
    let path = store.sharded(Bucket::Origins, "abcd");
    let removals = std::cell::Cell::new(3);
    let make = || {
        if bucket.exists() && removals.get() > 0 {
            removals.set(removals.get() - 1);
            store.discard(&bucket).unwrap();
        }
        fs::write(&path, "made")
    };
    store.with_parents(&path, make).unwrap();
    assert_eq!(removals.get(), 0);
    assert_eq!(fs::read(&path).unwrap(), b"made");
}

#[test]
fn a_version_that_a_power_failure_emptied_is_written_again() {
    let (_directory, store) = new();
    fs::write(store.version_file(), "").unwrap();
    fs::create_dir(store.root().join("blobs")).unwrap();
    Store::open(store.root()).unwrap();
    assert_eq!(fs::read(store.version_file()).unwrap(), VERSION_TEXT);
}

#[test]
fn another_version_and_another_directory_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("version"), "rbuild store 7\n").unwrap();
    let error = Store::open(directory.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("has layout version `7`, this program reads version `1`"),
        "{error}"
    );
    fs::rename(
        directory.path().join("version"),
        directory.path().join("photo"),
    )
    .unwrap();
    let error = Store::open(directory.path()).unwrap_err().to_string();
    assert!(error.ends_with("is not empty and not a store"), "{error}");
    assert!(Store::open(directory.path().join("photo")).is_err());
}

#[test]
fn many_may_open_a_new_store_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    std::thread::scope(|scope| {
        let opening: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| Store::open(&root).map(drop)))
            .collect();
        for thread in opening {
            thread.join().unwrap().unwrap();
        }
    });
}

#[test]
fn readers_see_whole_files_only() {
    let (_directory, store) = new();
    let path = store.root().join("tags-v1/file");
    let texts = ["a".repeat(10_000), "b".repeat(20_000)];
    store.write(&path, texts[0].as_bytes()).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..200 {
                store.write(&path, texts[round % 2].as_bytes()).unwrap();
            }
        });
        while !writer.is_finished() {
            let text = fs::read_to_string(&path).unwrap();
            assert!(texts.contains(&text), "{} bytes", text.len());
        }
    });
    assert!(is_empty(&store, Bucket::Temporary));
}

#[test]
fn what_is_discarded_is_gone_at_once_and_deleted_by_the_sweep() {
    let (_directory, store) = new();
    let upper = store.layers().new_upper().unwrap();
    fs::create_dir_all(upper.upper.join("deep/er")).unwrap();
    std::os::unix::fs::symlink("/etc", upper.upper.join("link")).unwrap();
    store.discard(&upper.directory).unwrap();
    assert!(!upper.directory.exists());
    store.discard(&upper.directory).unwrap();
    assert_eq!(
        store.sweep().unwrap(),
        Swept {
            deleted: 1,
            left: 0
        }
    );
    assert!(is_empty(&store, Bucket::Trash));
    assert!(Path::new("/etc/passwd").exists());
}

#[test]
fn the_sweep_spares_the_living_and_takes_what_the_dead_left() {
    let (_directory, store) = new();
    let other = Store::open(store.root()).unwrap();
    let upper = other.layers().new_upper().unwrap();
    let draft = other.layers().begin().unwrap();
    let foreign = store.directory(Bucket::Temporary).join("no owner");
    fs::write(&foreign, "").unwrap();
    store.sweep().unwrap();
    assert!(upper.work.exists() && draft.tar().parent().unwrap().exists() && !foreign.exists());
    // An owner that is gone without a word, as a killed process is.
    drop(draft);
    drop(other);
    store.sweep().unwrap();
    assert!(!upper.directory.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_one_holders_at_a_time_within_and_between_stores() {
    let (_directory, store) = new();
    let other = Store::open(store.root()).unwrap();
    let (inside, total) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20_u64 {
        let store = if number % 2 == 0 {
            store.clone()
        } else {
            other.clone()
        };
        let (inside, total) = (Arc::clone(&inside), Arc::clone(&total));
        tasks.spawn(async move {
            let _lock = store.exclusive(&[7; 32]).await.unwrap();
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
            tokio::time::sleep(Duration::from_millis(1)).await;
            inside.fetch_sub(1, Ordering::SeqCst);
            total.fetch_add(1, Ordering::SeqCst);
        });
    }
    tasks.join_all().await;
    assert_eq!(total.load(Ordering::SeqCst), 20);
}

#[test]
fn who_removes_and_who_writes_what_keeps_layers_exclude_each_other() {
    let (_directory, store) = new();
    let other = Store::open(store.root()).unwrap();
    let writers = (store.share_roots().unwrap(), other.share_roots().unwrap());
    let taken = |store: &Store, mode| store.try_lock(Range::ROOTS, mode).unwrap().is_none();
    assert!(taken(&store, Mode::Exclusive) && taken(&other, Mode::Exclusive));
    drop(writers);
    let _remover = store.reserve_roots().unwrap();
    assert!(taken(&store, Mode::Shared) && taken(&other, Mode::Shared));
}

#[test]
#[ignore = "a process of its own for the tests that kill it"]
fn writing_process() {
    let store = Store::open(std::env::var_os(STORE).unwrap()).unwrap();
    let base = add(&store, "base").diff_id;
    for number in 0_u64.. {
        let id = add(&store, &format!("layer {number}")).diff_id;
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        store
            .actions()
            .record_definition(&key, &[base, id])
            .unwrap();
        store.actions().record_content(&key, &key, &[id]).unwrap();
        let upper = store.layers().new_upper().unwrap();
        fs::write(upper.upper.join("file"), "x").unwrap();
        if number % 2 == 0 {
            store
                .layers()
                .attach(&id, Form::Upper, &upper.upper)
                .unwrap();
        }
        if number % 3 == 0 {
            store.discard(&upper.directory).unwrap();
        }
    }
}

#[test]
fn a_killed_process_leaves_a_whole_store() {
    let (_directory, store) = new();
    for round in 0..6_u64 {
        let mut writers = [(); 2].map(|()| process("writing_process", store.root()));
        let some = |number: u64| {
            store
                .layers()
                .contains(&diff_id(&format!("layer {number}")))
        };
        wait("the first layers", || some(3 + 5 * round));
        std::thread::sleep(Duration::from_millis(round));
        for writer in &mut writers {
            writer.kill().unwrap();
            writer.wait().unwrap();
        }
        let reopened = Store::open(store.root()).unwrap();
        reopened.sweep().unwrap();
        for bucket in [Bucket::Temporary, Bucket::Uppers, Bucket::Trash] {
            assert!(is_empty(&store, bucket), "{bucket:?}");
        }
        for number in (0_u64..).take_while(|number| some(*number)) {
            let layer = reopened
                .layers()
                .get(&diff_id(&format!("layer {number}")))
                .unwrap()
                .unwrap();
            assert_eq!(
                fs::read_to_string(layer.tar()).unwrap(),
                format!("layer {number}")
            );
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            let chain = reopened.actions().by_definition(&key).unwrap();
            assert!(chain.is_none_or(|chain| chain[1] == layer.diff_id));
        }
    }
}

#[test]
#[ignore = "a process of its own for the test that kills it"]
fn holding_process() {
    let store = Store::open(std::env::var_os(STORE).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let _lock = store.exclusive(&[1; 32]).await.unwrap();
        let _lease = store
            .mounts()
            .lease("m", crate::Sharing::Locked)
            .await
            .unwrap()
            .publish()
            .unwrap();
        fs::write(store.root().join("held"), "").unwrap();
        std::future::pending::<()>().await;
    });
}

#[tokio::test]
async fn locks_and_leases_end_with_their_process() {
    let (_directory, store) = new();
    let mut holder = process("holding_process", store.root());
    wait("the locks", || store.root().join("held").exists());
    let soon = Duration::from_millis(50);
    assert!(
        tokio::time::timeout(soon, store.exclusive(&[1; 32]))
            .await
            .is_err()
    );
    assert!(
        tokio::time::timeout(soon, store.mounts().lease("m", crate::Sharing::Shared))
            .await
            .is_err()
    );
    holder.kill().unwrap();
    holder.wait().unwrap();
    store.exclusive(&[1; 32]).await.unwrap();
    assert!(
        !store
            .mounts()
            .lease("m", crate::Sharing::Shared)
            .await
            .unwrap()
            .is_fresh()
    );
}
