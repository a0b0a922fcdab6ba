//! What runs at the same time, and how much it costs.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::fake::{Bench, Memory};
use crate::NodeId;

/// A graph of `count` equal steps between a base and a top.
fn wide(bench: &mut Bench, count: usize, takes: Duration) -> NodeId {
    let base = bench.add("base", &[]);
    let steps: Vec<_> = (0..count)
        .map(|number| {
            bench.add_with(&format!("step {number}"), &[base], |fake| {
                fake.takes = takes;
            })
        })
        .collect();
    bench.add("top", &steps)
}

#[tokio::test(start_paused = true)]
async fn independent_steps_run_at_once_as_far_as_there_are_jobs() {
    for (jobs, most, seconds) in [(1, 1, 8), (3, 3, 3), (8, 8, 1), (100, 8, 1), (0, 1, 8)] {
        let mut bench = Bench::new();
        bench.options.jobs = jobs;
        let top = wide(&mut bench, 8, Duration::from_secs(1));
        let start = tokio::time::Instant::now();
        bench.solve(top).await;
        assert_eq!(start.elapsed().as_secs(), seconds, "{jobs} jobs");
        assert_eq!(
            bench.counters.most.load(Ordering::SeqCst),
            most,
            "{jobs} jobs"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_takes_no_slot_is_not_held_up() {
    let mut bench = Bench::new();
    bench.options.jobs = 1;
    let second = Duration::from_secs(1);
    let mut sources: Vec<_> = (0..3)
        .map(|number| {
            bench.add_with(&format!("pull {number}"), &[], |fake| {
                (fake.takes, fake.slot) = (second, false);
            })
        })
        .collect();
    sources.push(bench.add_with("run", &[], |fake| fake.takes = second));
    let top = bench.add("top", &sources);
    let start = tokio::time::Instant::now();
    bench.solve(top).await;
    assert_eq!(start.elapsed(), second);
}

#[tokio::test(start_paused = true)]
async fn recording_goes_on_beside_later_steps_and_is_waited_for() {
    let mut bench = Bench::on(&Memory {
        recording: Duration::from_secs(3),
        ..Memory::default()
    });
    let base = bench.add_with("base", &[], |fake| fake.takes = Duration::from_secs(1));
    let top = bench.add_with("top", &[base], |fake| fake.takes = Duration::from_secs(1));
    let start = tokio::time::Instant::now();
    bench.solve(top).await;
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(bench.cache.tables().definitions.len(), 2);
}

#[tokio::test]
async fn a_chain_of_5000_and_a_width_of_5000_cost_little() {
    let mut chain = Bench::new();
    let mut node = chain.add("first", &[]);
    for number in 1..5_000 {
        node = chain.add_with(&format!("{number}"), &[node], |fake| {
            fake.gives = Some(number.to_string());
        });
    }
    let mut broad = Bench::new();
    let top = wide(&mut broad, 5_000, Duration::ZERO);
    for (name, bench, target) in [("chain", &chain, node), ("wide", &broad, top)] {
        for round in ["cold", "warm"] {
            let start = Instant::now();
            bench.solve(target).await;
            let elapsed = start.elapsed();
            // Generous for a debug build on a busy machine, but far below what anything quadratic would take.
            assert!(
                elapsed < Duration::from_secs(2),
                "{name} {round}: {elapsed:?}"
            );
        }
        assert!(
            bench
                .counters
                .runs
                .lock()
                .unwrap()
                .values()
                .all(|&count| count == 1)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_solve_can_be_spawned() {
    let solved = tokio::spawn(async move {
        let mut bench = Bench::new();
        let top = wide(&mut bench, 10, Duration::from_millis(1));
        bench.solve(top).await
    });
    assert!(solved.await.unwrap().starts_with("top(step 0(base())"));
}
