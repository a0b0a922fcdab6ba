use std::sync::Arc;

use super::super::configure::CreateRequest;
use super::super::configure::tests::configured;
use super::super::names::Names;
use super::*;
use crate::engine::{LayerForm, Settings};

fn engine(store: &tempfile::TempDir) -> Engine {
    Engine::open(Settings {
        store: store.path().to_owned(),
        layers: LayerForm::Auto,
        credentials: Vec::new(),
        registries: Vec::new(),
        powerless: None,
        proxies: image::registry::Proxies::default(),
        retention: crate::retention::Retention::default(),
    })
    .expect("a store")
}

/// A container that was made and never started.
fn made(engine: &Engine, name: &str, auto_remove: bool) -> ContainerId {
    let request = CreateRequest {
        image: "box".to_owned(),
        command: vec!["true".to_owned()],
        auto_remove,
        ..CreateRequest::default()
    };
    let mut config =
        configured(&request, image::config::ContainerConfig::default()).expect("a configuration");
    name.clone_into(&mut config.name);
    let names = Names::lock(engine.store()).expect("nobody else changes names");
    names.give(name, &config.id).expect("a free name");
    let dir = engine.container_dir(&config.id);
    dir.create(&config).expect("the store can be written");
    config.id
}

fn running(engine: &Engine, id: &ContainerId) {
    let state = ContainerState::Running {
        pid: std::process::id(),
        ticks: 0,
        started: Timestamp::UNIX_EPOCH,
    };
    let dir = engine.container_dir(id);
    dir.set_state(&state).expect("the store can be written");
}

#[test]
fn containers_are_found_by_name_id_and_its_beginning() {
    let store = tempfile::tempdir().expect("a temporary directory");
    let engine = engine(&store);
    assert!(engine.containers().expect("an empty store").is_empty());
    let [one, other] = ["one", "other"].map(|name| made(&engine, name, false));
    for (text, id) in [
        ("one", &one),
        ("/one", &one),
        ("other", &other),
        (one.as_str(), &one),
        (other.short(), &other),
    ] {
        assert_eq!(&engine.find_container(text).expect(text), id, "{text}");
    }
    for text in ["", "on", "xyz", "../names", &"0".repeat(64)] {
        let found = engine.find_container(text);
        assert!(matches!(found, Err(ContainerError::NotFound(_))), "{text}");
    }
    let names: Vec<_> = engine
        .containers()
        .expect("a list")
        .into_iter()
        .map(|container| container.config.name)
        .collect();
    assert_eq!(names, ["other", "one"], "the newest is first");
}

#[test]
fn a_beginning_that_fits_two_is_refused() {
    let store = tempfile::tempdir().expect("a temporary directory");
    let engine = engine(&store);
    // With more containers than digits two ids begin alike.
    let ids: Vec<_> = (0..17)
        .map(|n| made(&engine, &format!("c{n}"), false))
        .collect();
    let shared = ids.iter().find_map(|id| {
        let first = &id.as_str()[..1];
        let count = ids
            .iter()
            .filter(|id| id.as_str().starts_with(first))
            .count();
        (count > 1).then_some(first)
    });
    let found = engine.find_container(shared.expect("two of 17 share one of 16 digits"));
    assert!(matches!(found, Err(ContainerError::Ambiguous(_))));
}

#[test]
fn a_container_without_supervisor_is_lost() {
    let store = tempfile::tempdir().expect("a temporary directory");
    let engine = engine(&store);
    let [kept, removed] = [("kept", false), ("removed", true)]
        .map(|(name, auto_remove)| made(&engine, name, auto_remove));
    for id in [&kept, &removed] {
        running(&engine, id);
    }
    let supervising = [&kept, &removed].map(|id| {
        let lock = engine
            .store()
            .try_exclusive(&id.key())
            .expect("a lock file");
        lock.expect("nobody runs it")
    });
    // Another program sees the lock, and so does this one.
    let other = self::engine(&store);
    for engine in [&engine, &other] {
        for container in engine.containers().expect("a list") {
            assert!(matches!(container.state, ContainerState::Running { .. }));
        }
    }
    drop(supervising);
    let container = other.container("kept").expect("it is there");
    let ContainerState::Exited { code, error, .. } = &container.state else {
        panic!("{:?}", container.state);
    };
    assert_eq!((*code, error.as_str()), (LOST, ""));
    let again = engine.container("kept").expect("it is there");
    assert_eq!(again.state, container.state, "it is noted once");
    let gone = engine.container("removed").expect("seen for the last time");
    assert!(matches!(
        gone.state,
        ContainerState::Exited { code: LOST, .. }
    ));
    assert!(engine.container("removed").is_err());
    made(&engine, "removed", false);
}

#[test]
fn a_held_container_is_read_after_its_removal() {
    let store = tempfile::tempdir().expect("a temporary directory");
    let engine = engine(&store);
    let id = made(&engine, "brief", true);
    let held = engine.hold_container("brief").expect("it is there");
    let config = held.dir.config().expect("it is there");
    engine.erase_container(&config).expect("it can be removed");
    assert!(engine.find_container("brief").is_err());
    assert_eq!(held.dir.config().expect("still readable").id, id);
    engine.store().sweep().expect("the trash can be emptied");
    let observed = engine.observe(&id, &held.dir);
    assert!(matches!(observed, Err(ContainerError::NotFound(_))));
}

#[test]
fn damaged_containers_do_not_hide_others() {
    let store = tempfile::tempdir().expect("a temporary directory");
    let engine = engine(&store);
    let [good, bad] = ["good", "bad"].map(|name| made(&engine, name, false));
    let config = engine.container_dir(&bad).path().join("config");
    fs::write(config, "{").expect("the store can be written");
    let listed = engine.containers().expect("a list");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].config.id, good);
}

#[tokio::test]
async fn removing_follows_the_state() {
    let store = tempfile::tempdir().expect("a temporary directory");
    let engine = engine(&store);
    let id = made(&engine, "one", false);
    running(&engine, &id);
    let lock = engine
        .store()
        .try_exclusive(&id.key())
        .expect("a lock file");
    let refused = engine.remove_container("one", false).await;
    assert!(matches!(refused, Err(ContainerError::StillRunning(name)) if name == "one"));
    drop(lock);
    engine
        .remove_container("one", false)
        .await
        .expect("it was lost");
    let again = engine.remove_container("one", true).await;
    assert!(matches!(again, Err(ContainerError::NotFound(_))));
}

#[tokio::test]
async fn any_number_may_wait() {
    let store = tempfile::tempdir().expect("a temporary directory");
    let engine = Arc::new(engine(&store));
    let id = made(&engine, "one", false);
    assert_eq!(engine.wait_container("one").await.expect("never ran"), 0);
    let mut child = std::process::Command::new("sleep")
        .arg("0.2")
        .spawn()
        .expect("a process");
    let process = runtime::Identity::of(child.id()).expect("it is ours");
    let dir = engine.container_dir(&id);
    let started = Timestamp::UNIX_EPOCH;
    dir.set_state(&ContainerState::Running {
        pid: process.pid,
        ticks: process.start_time,
        started,
    })
    .expect("the store can be written");
    let lock = engine
        .store()
        .try_exclusive(&id.key())
        .expect("a lock file");
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move { engine.wait_container("one").await })
        })
        .collect();
    let ended = tokio::task::spawn_blocking(move || child.wait());
    ended.await.expect("no panic").expect("it is ours");
    dir.set_state(&ContainerState::Exited {
        started,
        finished: Timestamp::now(),
        code: 7,
        error: String::new(),
    })
    .expect("the store can be written");
    drop(lock);
    for waiter in waiting {
        assert_eq!(waiter.await.expect("no panic").expect("it ended"), 7);
    }
}
