#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::time::SystemTime;

use layer::Digest;

use super::*;
use crate::testing::{add, new};
use crate::usage::Kept;
use crate::{Comparison, Filter, Image, Limits, Sharing, Tag};

/// An image of layers, and its name if it has one.
fn image(store: &Store, layers: &[DiffId], name: Option<&str>) -> Digest {
    let config = format!("{layers:?}");
    let id = Digest::of(config.as_bytes());
    store.blobs().put(&id, config.as_bytes()).unwrap();
    let image = Image {
        id,
        layers: layers.to_vec(),
        documents: Vec::new(),
        stored: SystemTime::now(),
    };
    store.images().put(&image).unwrap();
    if let Some(name) = name {
        let tag = Tag {
            name: name.to_owned(),
            image: id,
            manifest: None,
            document: None,
            tagged: SystemTime::now(),
        };
        store.images().tag(&tag).unwrap();
    }
    id
}

fn collect(store: &Store, roots: &Roots, prune: &Prune) -> Vec<String> {
    let roots = || Ok(roots.clone());
    let named = |name: &str| !name.starts_with("base ");
    let collected = Collector::new(store, &roots, &named)
        .collect(prune)
        .unwrap();
    let mut ids: Vec<_> = collected.items.into_iter().map(|item| item.id).collect();
    ids.sort_unstable();
    ids
}

fn all(store: &Store) -> Vec<String> {
    collect(store, &Roots::default(), &Prune::default())
}

#[test]
fn what_nothing_needs_goes_with_all_that_leads_to_it() {
    let (_directory, store) = new();
    let layers = ["a", "b"].map(|text| add(&store, text).diff_id);
    let id = image(&store, &layers, None);
    store
        .actions()
        .record_definition(&[1; 32], &layers)
        .unwrap();
    store
        .actions()
        .record_content(&[2; 32], &[3; 32], &layers)
        .unwrap();
    let mut ids = layers.map(|layer| layer.to_string());
    ids.sort_unstable();
    assert_eq!(all(&store), ids);
    assert_eq!(store.images().get(&id).unwrap(), None);
    assert!(!store.blobs().contains(&id));
    for bucket in [
        Bucket::Actions,
        Bucket::Contents,
        Bucket::Equal,
        Bucket::Layers,
    ] {
        let left = walk(&store.directory(bucket));
        assert_eq!(left, 0, "{bucket:?}");
    }
    assert_eq!(all(&store), [""; 0]);
}

/// How many files are below a directory.
fn walk(directory: &std::path::Path) -> usize {
    let paths = crate::store::entries(directory).unwrap();
    let count = |path: &std::path::PathBuf| if path.is_dir() { walk(path) } else { 1 };
    paths.iter().map(count).sum()
}

#[test]
fn images_with_names_containers_and_users_keep_their_layers() {
    let (_directory, store) = new();
    let ids = ["named", "run", "based", "loose"].map(|text| add(&store, text).diff_id);
    let [named, run, based, loose] = ids;
    image(&store, &[named], Some("name"));
    image(&store, &[based], Some("base name"));
    let config = image(&store, &[run], None);
    let roots = Roots {
        containers: vec![("box".to_owned(), config, vec![run])],
    };
    let held = store.layers().get(&loose).unwrap().unwrap();
    let collected = collect(&store, &roots, &Prune::default());
    assert_eq!(collected, [based.to_string()]);
    assert!(store.blobs().contains(&config));
    drop(held);
    assert_eq!(
        collect(&store, &roots, &Prune::default()),
        [loose.to_string()]
    );
    let usage = Collector::new(&store, &|| Ok(roots.clone()), &|_| true)
        .usage()
        .unwrap();
    let kept: Vec<_> = usage.items.into_iter().flat_map(|item| item.kept).collect();
    assert!(kept.contains(&Kept::Image("name".to_owned())));
    assert!(kept.contains(&Kept::Container("box".to_owned())));
}

#[test]
fn a_layer_is_held_from_its_commit_on_also_by_other_processes() {
    let (_directory, store) = new();
    let other = Store::open(store.root()).unwrap();
    let layer = add(&other, "fresh");
    assert_eq!(all(&store), [""; 0]);
    let again = other.layers().get(&layer.diff_id).unwrap().unwrap();
    drop(layer);
    assert_eq!(all(&store), [""; 0]);
    drop(again);
    assert_eq!(all(&store).len(), 1);
}

#[test]
fn limits_are_kept_once_what_was_in_use_is_not_any_more() {
    let (_directory, store) = new();
    let other = Store::open(store.root()).unwrap();
    let held = add(&other, "held");
    let (held_id, loose) = (held.diff_id, add(&store, "loose").diff_id);
    let prune = Prune {
        limits: Limits {
            max_used: 1,
            ..Limits::default()
        },
        ..Prune::default()
    };
    let collected = std::thread::scope(|scope| {
        let collecting = scope.spawn(|| {
            let roots = || Ok(Roots::default());
            let collector = Collector::new(&store, &roots, &|_| true);
            collector.collect_in_turn(&prune).unwrap().items
        });
        while store.layers().contains(&loose) {
            std::thread::yield_now();
        }
        assert!(store.layers().contains(&held_id));
        drop(held);
        collecting.join().unwrap()
    });
    let ids: Vec<_> = collected.into_iter().map(|item| item.id).collect();
    assert_eq!(ids, [loose, held_id].map(|id| id.to_string()));
}

#[test]
fn looking_at_the_usage_disturbs_nobody() {
    let (_directory, store) = new();
    let other = Store::open(store.root()).unwrap();
    let id = add(&store, "looked at").diff_id;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                Usage::take(&other, &Roots::default(), |_| true).unwrap();
            }
        });
        let found = (0..2_000).all(|_| store.layers().get(&id).unwrap().is_some());
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(found);
    });
}

#[tokio::test]
async fn cache_mounts_in_use_or_pinned_stay() {
    let (_directory, store) = new();
    let lease = store.mounts().lease("used", Sharing::Shared).await.unwrap();
    let used = lease.publish().unwrap();
    for id in ["pinned", "loose"] {
        let lease = store.mounts().lease(id, Sharing::Locked).await.unwrap();
        fs::write(lease.path().join("file"), "x").unwrap();
        drop(lease.publish().unwrap());
    }
    store.mounts().pin("pinned").unwrap();
    assert_eq!(all(&store), ["loose"]);
    drop(used);
    assert_eq!(all(&store), ["used"]);
    assert!(store.mounts().unpin("pinned").unwrap());
    let others = Prune {
        filters: vec![Filter::Kind(Comparison::Equal("regular".to_owned()))],
        ..Prune::default()
    };
    assert_eq!(collect(&store, &Roots::default(), &others), [""; 0]);
    assert_eq!(all(&store), ["pinned"]);
}

#[test]
fn a_name_given_while_a_collector_is_at_work_keeps_its_layers() {
    let (_directory, store) = new();
    let layer = add(&store, "late");
    let id = layer.diff_id;
    // Between the collector's choice and its removal, an image is named and its maker ends.
    let roots = || {
        image(&store, &[id], Some("late"));
        Ok(Roots::default())
    };
    drop(layer);
    let collected = Collector::new(&store, &roots, &|_| true).collect(&Prune::default());
    assert_eq!(collected.unwrap().items, []);
    assert!(store.layers().contains(&id));
}

#[test]
fn a_record_that_is_renewed_while_it_is_forgotten_stays() {
    let (_directory, store) = new();
    let (old, new) = (add(&store, "old"), add(&store, "new"));
    store
        .actions()
        .record_definition(&[1; 32], &[old.diff_id])
        .unwrap();
    let id = old.diff_id;
    drop(old);
    assert!(store.layers().remove(&id).unwrap());
    store
        .actions()
        .record_definition(&[1; 32], &[new.diff_id])
        .unwrap();
    store.actions().forget_lost().unwrap();
    let chain = store.actions().by_definition(&[1; 32]).unwrap();
    assert_eq!(chain, Some(vec![new.diff_id]));
}
