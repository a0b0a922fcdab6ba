#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const SOON: Duration = Duration::from_millis(40);

fn new() -> (tempfile::TempDir, Store, Store) {
    let directory = tempfile::tempdir().unwrap();
    let [store, other] = [(); 2].map(|()| Store::open(directory.path()).unwrap());
    (directory, store, other)
}

/// A published lease.
async fn lease(store: &Store, id: &str, sharing: Sharing) -> MountLease {
    let lease = store.mounts().lease(id, sharing).await.unwrap();
    lease.publish().unwrap()
}

#[tokio::test]
async fn what_is_in_a_directory_stays() {
    let (_directory, store, other) = new();
    for id in ["/root/.cache", "../../x", "", "a\0b"] {
        let fresh = store.mounts().lease(id, Sharing::Shared).await.unwrap();
        assert!(fresh.is_fresh());
        fs::write(fresh.path().join("first"), "contents").unwrap();
        drop(fresh.publish().unwrap());
        let again = other.mounts().lease(id, Sharing::Locked).await.unwrap();
        assert!(!again.is_fresh());
        assert_eq!(fs::read(again.path().join("first")).unwrap(), b"contents");
    }
    let names: Vec<_> = store
        .mounts()
        .list()
        .unwrap()
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(names, ["", "../../x", "/root/.cache", "a\0b"]);
}

#[tokio::test]
async fn a_fresh_directory_that_is_not_published_leaves_nothing() {
    let (_directory, store, _) = new();
    drop(store.mounts().lease("m", Sharing::Shared).await.unwrap());
    assert_eq!(store.mounts().list().unwrap(), []);
    assert!(
        entries(&store.directory(Bucket::Temporary))
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .mounts()
            .lease("m", Sharing::Shared)
            .await
            .unwrap()
            .is_fresh()
    );
}

#[tokio::test]
async fn a_directory_that_does_not_say_whose_it_is_gives_way() {
    let (_directory, store, other) = new();
    for sharing in [Sharing::Shared, Sharing::Locked, Sharing::Private] {
        let lease = lease(&store, "m", sharing).await;
        fs::write(lease.path().join("old"), "").unwrap();
        fs::write(lease.directory.join("id"), "damaged").unwrap();
        drop(lease);
        assert_eq!(store.mounts().list().unwrap(), []);
        let fresh = other.mounts().lease("m", sharing).await.unwrap();
        assert!(fresh.is_fresh());
        let fresh = fresh.publish().unwrap();
        assert!(entries(&fresh.path()).unwrap().is_empty());
    }
}

#[tokio::test]
async fn sharing_decides_what_a_second_user_gets() {
    use Sharing::{Locked, Private, Shared};
    for (first, second, gets) in [
        (Shared, Shared, "same"),
        (Shared, Locked, "waits"),
        (Locked, Shared, "waits"),
        (Locked, Locked, "waits"),
        (Private, Private, "own"),
        (Private, Locked, "waits"),
        (Shared, Private, "own"),
    ] {
        let (_directory, store, other) = new();
        let held = lease(&store, "m", first).await;
        for user in [&store, &other] {
            let got = tokio::time::timeout(SOON, user.mounts().lease("m", second)).await;
            let got = got.map(|lease| {
                if lease.unwrap().path() == held.path() {
                    "same"
                } else {
                    "own"
                }
            });
            assert_eq!(got.unwrap_or("waits"), gets, "{first:?} then {second:?}");
        }
        let path = held.path();
        drop(held);
        assert_eq!(lease(&other, "m", second).await.path(), path);
    }
}

#[tokio::test]
async fn nobody_uses_a_directory_before_its_first_contents_are_there() {
    let (_directory, store, other) = new();
    let fresh = store.mounts().lease("m", Sharing::Shared).await.unwrap();
    assert!(
        tokio::time::timeout(SOON, other.mounts().lease("m", Sharing::Shared))
            .await
            .is_err()
    );
    let published = fresh.publish().unwrap();
    let second = other.mounts().lease("m", Sharing::Shared).await.unwrap();
    assert_eq!(second.path(), published.path());
}

#[tokio::test]
async fn private_directories_are_used_again_in_order() {
    let (_directory, store, other) = new();
    let leases = [
        lease(&store, "m", Sharing::Private).await,
        lease(&other, "m", Sharing::Private).await,
        lease(&store, "m", Sharing::Private).await,
    ];
    let names: Vec<_> = store
        .mounts()
        .list()
        .unwrap()
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(names, ["m", "m~1", "m~2"]);
    let [_first, second, _third] = leases;
    let path = second.path();
    drop(second);
    assert_eq!(lease(&store, "m", Sharing::Private).await.path(), path);
}

#[tokio::test]
async fn who_uses_a_directory_is_taken_to_have_added_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert!(!store.has_grown());
    for sharing in [Sharing::Locked, Sharing::Shared, Sharing::Private] {
        let lease = store.mounts().lease("id", sharing).await.unwrap();
        drop(lease.publish().unwrap());
        assert!(store.has_grown() && !store.has_grown(), "{sharing:?}");
    }
}

#[tokio::test]
async fn a_directory_in_use_is_not_removed() {
    let (_directory, store, other) = new();
    assert!(!store.mounts().remove("m").unwrap());
    let held = lease(&store, "m", Sharing::Shared).await;
    assert!(!other.mounts().remove("m").unwrap());
    assert!(held.path().exists());
    drop(held);
    assert!(other.mounts().remove("m").unwrap());
    assert_eq!(store.mounts().list().unwrap(), []);
}
