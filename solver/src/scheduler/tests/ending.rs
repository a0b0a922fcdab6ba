//! Failure and cancellation.

use std::error::Error as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fake::{Bench, Made, Memory, Stumble};
use crate::NodeId;
use crate::scheduler::SolveError;

const SECOND: Duration = Duration::from_secs(1);

/// `bad` fails after a second, beside `good`, which takes two, and `late`, which has not begun.
fn failing(bench: &mut Bench) -> (NodeId, NodeId) {
    let base = bench.add("base", &[]);
    let bad = bench.add_with("bad", &[base], |fake| {
        (fake.takes, fake.fails) = (SECOND, Some("exit code 1"));
    });
    let good = bench.add_with("good", &[base], |fake| fake.takes = 2 * SECOND);
    let late = bench.add("late", &[good]);
    (bench.add("top", &[bad, late]), bad)
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_cancels_the_rest_and_is_returned() {
    let mut bench = Bench::new();
    let (top, bad) = failing(&mut bench);
    let start = tokio::time::Instant::now();
    let error = bench.try_solve(&[top]).await.unwrap_err();
    assert_eq!(start.elapsed(), SECOND);
    assert!(matches!(&error, SolveError::Step { node, .. } if *node == bad));
    assert_eq!(error.to_string(), "step #1 failed");
    assert_eq!(error.source().unwrap().to_string(), "exit code 1");
    let events = bench.events();
    assert_eq!(
        events[events.len() - 2..],
        ["bad failed: exit code 1", "good cancelled"]
    );
    assert_eq!(bench.runs(), "bad base good");
    assert_eq!(bench.counters.dropped.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_stop_in_its_grace_is_dropped() {
    let mut bench = Bench::new();
    let bad = bench.add_with("bad", &[], |fake| {
        (fake.takes, fake.fails) = (SECOND, Some("no"));
    });
    let stubborn = bench.add_with("stubborn", &[], |fake| {
        (fake.takes, fake.obeys) = (100 * SECOND, false);
    });
    let top = bench.add("top", &[stubborn, bad]);
    let start = tokio::time::Instant::now();
    bench.try_solve(&[top]).await.unwrap_err();
    assert_eq!(start.elapsed(), SECOND + bench.options.grace);
    assert_eq!(bench.counters.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(bench.events().pop().unwrap(), "stubborn cancelled");
}

#[tokio::test(start_paused = true)]
async fn what_was_complete_before_a_failure_is_recorded() {
    let mut bench = Bench::on(&Memory {
        recording: 10 * SECOND,
        ..Memory::default()
    });
    let (top, _) = failing(&mut bench);
    bench.try_solve(&[top]).await.unwrap_err();
    assert_eq!(bench.cache.tables().definitions.sorted_values(), ["base()"]);
}

#[tokio::test]
async fn failures_are_not_remembered() {
    let mut bench = Bench::new();
    let bad = bench.add_with("bad", &[], |fake| fake.fails = Some("no"));
    for _ in 0..2 {
        bench.try_solve(&[bad]).await.unwrap_err();
    }
    assert_eq!(bench.runs(), "bad*2");
}

#[tokio::test]
async fn identities_contents_and_records_can_fail() {
    let mut bench = Bench::new();
    let base = bench.add("base", &[]);
    let known = bench.add("known", &[base]);
    bench.solve(known).await;
    let other = bench.add("other", &[]);
    for (stumbles, node) in [
        (Stumble::Identity, "new"),
        (Stumble::Content, "known"),
        (Stumble::Content, "new"),
    ] {
        let bad = bench.add_with(node, &[other], |fake| {
            (fake.stumbles, fake.fails) = (stumbles, Some("no"));
        });
        let error = bench.try_solve(&[bad]).await.unwrap_err();
        assert!(
            matches!(error, SolveError::Step { node, .. } if node == bad),
            "{stumbles:?} {node}"
        );
        assert_eq!(
            bench.events().pop().unwrap(),
            format!("{node} failed: no"),
            "{stumbles:?}"
        );
    }

    let mut bench = Bench::on(&Memory {
        fails: Some("disk full"),
        ..Memory::default()
    });
    let base = bench.add("base", &[]);
    let error = bench.try_solve(&[base]).await.unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "disk full");
    assert_eq!(
        bench.events(),
        [
            "base missed NoRecord",
            "base started",
            "base finished",
            "base failed: disk full"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_a_solve_drops_all_that_runs() {
    let mut bench = Bench::new();
    let sides =
        ["left", "right"].map(|name| bench.add_with(name, &[], |fake| fake.takes = 100 * SECOND));
    let top = bench.add("top", &sides);
    let solving = tokio::time::timeout(SECOND, bench.try_solve(&[top])).await;
    assert!(solving.is_err());
    assert_eq!(bench.counters.now.load(Ordering::SeqCst), 0);
    assert_eq!(bench.counters.dropped.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn cancelling_from_outside_gives_grace_to_runs_and_records() {
    for (obeys, recording, seconds_after) in [
        (true, Duration::ZERO, 0.0),
        (false, Duration::ZERO, 0.2),
        (true, 100 * SECOND, 0.2),
    ] {
        let mut bench = Bench::on(&Memory {
            recording,
            ..Memory::default()
        });
        let base = bench.add("base", &[]);
        let slow = bench.add_with("slow", &[base], |fake| {
            (fake.takes, fake.obeys) = (50 * SECOND, obeys);
        });
        let cancel = bench.options.cancel.clone();
        let targets = [slow];
        let start = tokio::time::Instant::now();
        let (solved, ()) = tokio::join!(bench.try_solve(&targets), async {
            tokio::time::sleep(SECOND).await;
            cancel.cancel();
        });
        assert!(matches!(solved, Err(SolveError::Cancelled)));
        assert!(
            (start.elapsed().as_secs_f64() - 1.0 - seconds_after).abs() < 0.01,
            "{:?}",
            start.elapsed()
        );
        assert_eq!(bench.events().pop().unwrap(), "slow cancelled");
    }
}

#[tokio::test(start_paused = true)]
async fn a_solve_that_waits_for_another_can_be_cancelled() {
    let cache = Memory::default();
    let [first, second] = [(); 2].map(|()| {
        let mut bench = Bench::on(&cache);
        bench.add_with("slow", &[], |fake| fake.takes = 10 * SECOND);
        bench
    });
    let targets = [first.graph.ids().next().unwrap()];
    let (done, waited) = tokio::join!(
        first.try_solve(&targets),
        tokio::time::timeout(SECOND, second.try_solve(&targets))
    );
    assert!(done.is_ok() && waited.is_err());
    assert_eq!(second.runs(), "");
}

/// Values in an order that does not vary.
trait Sorted {
    fn sorted_values(&self) -> Vec<String>;
}

impl<K> Sorted for std::collections::HashMap<K, Made> {
    fn sorted_values(&self) -> Vec<String> {
        let mut values: Vec<_> = self.values().map(|(value, _)| value.clone()).collect();
        values.sort_unstable();
        values
    }
}
