//! What is found, and what has to run.

use std::time::Duration;

use super::fake::{Bench, Content, Memory};
use crate::CachePolicy;

#[tokio::test]
async fn a_result_by_definition_needs_no_inputs() {
    let cache = Memory::default();
    for (runs, events) in [
        ("base left right top", vec![]),
        (
            "",
            vec![
                "base cached Ancestor",
                "left cached Ancestor",
                "right cached Ancestor",
                "top cached Definition",
            ],
        ),
    ] {
        let mut bench = Bench::on(&cache);
        let base = bench.add("base", &[]);
        let sides = [bench.add("left", &[base]), bench.add("right", &[base])];
        let top = bench.add("top", &sides);
        assert_eq!(bench.solve(top).await, "top(left(base()),right(base()))");
        assert_eq!(bench.runs(), runs);
        if !events.is_empty() {
            assert_eq!(bench.events(), events);
        }
    }
}

#[tokio::test]
async fn an_ancestor_that_another_miss_needs_is_looked_up() {
    let cache = Memory::default();
    let mut first = Bench::on(&cache);
    let base = first.add("base", &[]);
    let left = first.add("left", &[base]);
    first.solve(left).await;

    let mut second = Bench::on(&cache);
    let base = second.add("base", &[]);
    let left = second.add("left", &[base]);
    let right = second.add("right", &[base]);
    let top = second.add("top", &[left, right]);
    assert_eq!(second.solve(top).await, "top(left(base()),right(base()))");
    assert_eq!(second.runs(), "right top");
    assert_eq!(
        second.events(),
        [
            "base cached Definition",
            "left cached Definition",
            "right missed NoRecord",
            "right started",
            "right finished",
            "top missed NoRecord",
            "top started",
            "top finished",
        ]
    );
}

#[tokio::test]
async fn content_that_stays_the_same_cuts_a_rebuild_short() {
    let cache = Memory::default();
    for (source, runs) in [
        ("source 1", "compile link source 1"),
        ("source 2", "source 2"),
    ] {
        let mut bench = Bench::on(&cache);
        let base = bench.add_with(source, &[], |fake| fake.gives = Some("the same".to_owned()));
        let middle = bench.add("compile", &[base]);
        let top = bench.add("link", &[middle]);
        assert_eq!(bench.solve(top).await, "link(compile(the same))");
        assert_eq!(bench.runs(), runs);
        if source == "source 2" {
            assert!(bench.events().ends_with(&[
                "compile cached Content".to_owned(),
                "link cached Content".to_owned()
            ]));
        }
        // A result found by content is recorded by definition, so the next time nothing is evaluated.
        assert_eq!(bench.solve(top).await, "link(compile(the same))");
        assert_eq!(bench.runs(), runs);
        assert_eq!(bench.events().pop().unwrap(), "link cached Definition");
    }
}

#[tokio::test]
async fn changed_inputs_are_the_reason_of_a_miss_on_a_known_operation() {
    let cache = Memory::default();
    for (source, reason) in [("source 1", "NoRecord"), ("source 2", "InputsChanged")] {
        let mut bench = Bench::on(&cache);
        let base = bench.add(source, &[]);
        let top = bench.add("compile", &[base]);
        assert_eq!(bench.solve(top).await, format!("compile({source}())"));
        assert!(bench.events().contains(&format!("compile missed {reason}")));
    }
}

#[tokio::test]
async fn operations_without_content_key_run_when_their_definition_is_new() {
    let cache = Memory::default();
    for source in ["source 1", "source 2"] {
        let mut bench = Bench::on(&cache);
        let base = bench.add_with(source, &[], |fake| fake.gives = Some("the same".to_owned()));
        let top = bench.add_with("compile", &[base], |fake| fake.content = Content::None);
        bench.solve(top).await;
        assert_eq!(bench.runs(), format!("compile {source}"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_operation_does_not_wait_for_content() {
    let mut bench = Bench::new();
    let base = bench.add("base", &[]);
    let top = bench.add_with("top", &[base], |fake| fake.content = Content::Never);
    // It finishes, and then waits for its own recording, which asks for the content.
    let waited = tokio::time::timeout(std::time::Duration::from_secs(1), bench.solve(top)).await;
    assert!(waited.is_err());
    assert!(bench.events().contains(&"top finished".to_owned()));
}

#[tokio::test]
async fn the_same_work_is_done_once() {
    let mut bench = Bench::new();
    let bases = [bench.add("base", &[]), bench.add("base", &[])];
    let [left, right] = bases.map(|base| bench.add("step", &[base]));
    let top = bench.add("top", &[left, right]);
    assert_eq!(bench.solve(top).await, "top(step(base()),step(base()))");
    assert_eq!(bench.runs(), "base step top");
    // Each of the nodes has its events.
    assert_eq!(
        bench
            .events()
            .iter()
            .filter(|event| *event == "step finished")
            .count(),
        2
    );
}

#[tokio::test]
async fn a_refreshed_node_runs_and_what_follows_is_found_by_content_only() {
    let cache = Memory::default();
    for (round, (gives, runs)) in [
        ("same", "base keyed keyless top"),
        ("same", "base keyless top"),
        ("other", "base keyed keyless top"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut bench = Bench::on(&cache);
        let base = bench.add_with("base", &[], |fake| {
            fake.gives = Some(gives.to_owned());
            fake.policy = if round == 0 {
                CachePolicy::Use
            } else {
                CachePolicy::Refresh
            };
        });
        let keyed = bench.add("keyed", &[base]);
        let keyless = bench.add_with("keyless", &[base], |fake| fake.content = Content::None);
        let top = bench.add_with("top", &[keyed, keyless], |fake| {
            fake.content = Content::None;
        });
        assert_eq!(
            bench.solve(top).await,
            format!("top(keyed({gives}),keyless({gives}))"),
            "round {round}"
        );
        assert_eq!(bench.runs(), runs, "round {round}");
        assert_eq!(
            bench.events().contains(&"base missed Refresh".to_owned()),
            round > 0
        );
    }
    // What the refreshed node gave is what is found from then on.
    let mut bench = Bench::on(&cache);
    let base = bench.add("base", &[]);
    assert_eq!(bench.solve(base).await, "other");
}

const TTL: Duration = Duration::from_secs(10);

/// Solves `base`, of that age at most, and what builds on it, and gives the runs.
async fn runs_within(cache: &Memory, source: &str, ttl: Duration) -> (String, Vec<String>) {
    let mut bench = Bench::on(cache);
    let source = bench.add_with(source, &[], |fake| fake.gives = Some("same".to_owned()));
    let base = bench.add_with("base", &[source], |fake| {
        fake.policy = CachePolicy::Within(ttl);
    });
    let top = bench.add("top", &[base]);
    assert_eq!(bench.solve(top).await, "top(base(same))");
    (bench.runs(), bench.events())
}

#[tokio::test]
async fn a_result_is_used_as_long_as_it_is_young_enough() {
    let cache = Memory::default();
    let runs = async |source: &str| runs_within(&cache, source, TTL).await.0;
    assert_eq!(runs("source").await, "base source top");
    cache.tables().now = Duration::from_secs(9);
    assert_eq!(runs("source").await, "");
    // Found by content under another definition it does not get younger.
    assert_eq!(runs("other").await, "other");
    cache.tables().now = Duration::from_secs(10);
    let (ran, events) = runs_within(&cache, "other", TTL).await;
    assert_eq!(ran, "base");
    assert!(
        events.contains(&"base missed Expired".to_owned()),
        "{events:?}"
    );
    assert!(
        events.contains(&"top cached Content".to_owned()),
        "{events:?}"
    );
    // Now it is new.
    cache.tables().now = Duration::from_secs(19);
    assert_eq!(runs("other").await, "");
    // The first definition's record is old, what it reads is the same.
    assert_eq!(runs("source").await, "");
    cache.tables().now = Duration::from_secs(20);
    assert_eq!(runs_within(&cache, "other", TTL * 2).await.0, "");
}

#[tokio::test]
async fn outputs_are_known_for_targets_and_for_what_they_needed() {
    let mut bench = Bench::new();
    let base = bench.add("base", &[]);
    let [left, right] = ["left", "right"].map(|name| bench.add(name, &[base]));
    let unrelated = bench.add("unrelated", &[base]);
    let solved = bench.try_solve(&[right, left]).await.unwrap();
    assert_eq!(solved.output(left).unwrap(), "left(base())");
    assert_eq!(solved.output(right).unwrap(), "right(base())");
    assert_eq!(solved.output(base).unwrap(), "base()");
    assert_eq!(solved.output(unrelated), None);
    assert_eq!(bench.runs(), "base left right");
    // Found by definition, the targets need nothing.
    let solved = bench.try_solve(&[left]).await.unwrap();
    assert_eq!(solved.output(base), None);
}

#[tokio::test(start_paused = true)]
async fn two_solves_of_one_step_run_it_once() {
    let cache = Memory::default();
    let benches = [(); 2].map(|()| {
        let mut bench = Bench::on(&cache);
        let base = bench.add_with("base", &[], |fake| {
            fake.takes = std::time::Duration::from_secs(1);
        });
        (bench.add("top", &[base]), bench)
    });
    let [(first_top, first), (second_top, second)] = &benches;
    let outputs = tokio::join!(first.solve(*first_top), second.solve(*second_top));
    assert_eq!(
        outputs,
        ("top(base())".to_owned(), "top(base())".to_owned())
    );
    assert_eq!(
        (first.runs(), second.runs()),
        ("base top".to_owned(), String::new())
    );
    let events = second.events();
    assert!(
        events.len() == 2 && events.iter().all(|event| event.contains(" cached ")),
        "{events:?}"
    );
}
