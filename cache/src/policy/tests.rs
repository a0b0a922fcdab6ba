#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::filter::Comparison;
use crate::usage::{Kept, Kind};

const DISK: Disk = Disk {
    total: 1_000,
    free: 300,
};

/// A layer of 10 bytes that was used so many hours ago.
fn layer(id: &str, hours: u64) -> Item {
    let used = now() - Duration::from_hours(hours);
    Item {
        kind: Kind::Layer,
        id: format!("sha256:{id}"),
        size: 10,
        created: used,
        used,
        kept: Vec::new(),
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(1_000_000)
}

fn chosen(items: &[Item], prune: &Prune) -> Vec<String> {
    ids(choose(items, prune, DISK, now()).remove)
}

fn ids(items: Vec<&Item>) -> Vec<String> {
    items.into_iter().map(|item| item.id.clone()).collect()
}

fn items() -> Vec<Item> {
    vec![layer("new", 1), layer("old", 30), layer("middle", 5)]
}

#[test]
fn without_limits_all_goes_the_oldest_first() {
    let all = ["sha256:old", "sha256:middle", "sha256:new"];
    assert_eq!(chosen(&items(), &Prune::default()), all);
}

#[test]
fn what_is_kept_stays_whatever_is_asked_for() {
    let reasons = [
        Kept::Image("a".to_owned()),
        Kept::Container("b".to_owned()),
        Kept::InUse,
        Kept::Pinned,
    ];
    for why in reasons {
        let mut items = items();
        items[1].kept.push(why);
        let left = ["sha256:middle", "sha256:new"];
        assert_eq!(chosen(&items, &Prune::default()), left);
    }
}

#[test]
fn age_is_that_of_the_last_use() {
    let prune = Prune {
        unused_for: Duration::from_hours(5),
        ..Prune::default()
    };
    assert_eq!(chosen(&items(), &prune), ["sha256:old", "sha256:middle"]);
}

#[test]
fn limits_are_met_by_as_little_as_possible() {
    for (limits, removed) in [
        // 30 bytes are used and 300 are free.
        ((30, 0, 0), 0),
        ((29, 0, 0), 1),
        ((20, 0, 0), 1),
        ((19, 0, 0), 2),
        ((1, 0, 0), 3),
        ((0, 0, 300), 0),
        ((0, 0, 301), 1),
        ((0, 0, 311), 2),
        ((0, 0, 1_000), 3),
        // What is reserved counts for more than the others.
        ((1, 20, 1_000), 1),
        ((0, 100, 1_000), 0),
    ] {
        let (max_used, reserved, min_free) = limits;
        let prune = Prune {
            limits: Limits {
                max_used,
                reserved,
                min_free,
            },
            ..Prune::default()
        };
        assert_eq!(chosen(&items(), &prune).len(), removed, "{limits:?}");
    }
}

#[test]
fn what_images_need_does_not_count_against_the_limit() {
    let mut items = items();
    items[0].kept.push(Kept::Image("a".to_owned()));
    let prune = Prune {
        limits: Limits {
            max_used: 20,
            ..Limits::default()
        },
        ..Prune::default()
    };
    assert_eq!(chosen(&items, &prune), [""; 0]);
}

#[test]
fn what_is_in_use_counts_against_the_limit_and_is_waited_for_if_nothing_else_helps() {
    let mut items = items();
    items[0].kept.push(Kept::InUse);
    for (max_used, removed, awaited) in [
        (30, vec![], vec![]),
        (20, vec!["sha256:old"], vec![]),
        (10, vec!["sha256:old", "sha256:middle"], vec![]),
        (9, vec!["sha256:old", "sha256:middle"], vec!["sha256:new"]),
    ] {
        let prune = Prune {
            limits: Limits {
                max_used,
                ..Limits::default()
            },
            ..Prune::default()
        };
        let choice = choose(&items, &prune, DISK, now());
        assert_eq!(ids(choice.remove), removed, "{max_used}");
        assert_eq!(ids(choice.awaited), awaited, "{max_used}");
    }
}

#[test]
fn filters_must_all_fit() {
    let mut items = items();
    items[2].kind = Kind::CacheMount;
    items[2].id = "go".to_owned();
    let with = |filters| Prune {
        filters,
        ..Prune::default()
    };
    let id = |id: &str| Filter::Id(Comparison::Equal(id.to_owned()));
    let mounts = || Filter::Kind(Comparison::Equal("exec.cachemount".to_owned()));
    for (filters, left) in [
        (vec![id("sha256:old")], vec!["sha256:old"]),
        (vec![mounts()], vec!["go"]),
        (vec![mounts(), id("go")], vec!["go"]),
        (vec![mounts(), id("sha256:new")], vec![]),
    ] {
        assert_eq!(chosen(&items, &with(filters)), left);
    }
}

#[test]
fn an_old_parent_goes_before_its_young_child() {
    // Layers know no parents: each goes by its own last use.
    let items = [layer("parent", 100), layer("child", 1)];
    let prune = Prune {
        limits: Limits {
            max_used: 10,
            ..Limits::default()
        },
        ..Prune::default()
    };
    assert_eq!(chosen(&items, &prune), ["sha256:parent"]);
}

#[test]
fn default_limits_are_shares_of_the_disk() {
    let gigabytes = |count: u64| count * 1_000_000_000;
    let disk = |total| Disk { total, free: 0 };
    let small = Limits::of(disk(gigabytes(50)));
    assert_eq!(
        (small.max_used, small.reserved, small.min_free),
        (gigabytes(30), gigabytes(5), gigabytes(10))
    );
    let large = Limits::of(disk(gigabytes(1_000)));
    assert_eq!(
        (large.max_used, large.reserved, large.min_free),
        (gigabytes(100), gigabytes(10), gigabytes(200))
    );
}
