//! What `rbuild build --dry-run` says.

use std::time::Duration;

use engine::build::{Fate, ForeseenStep};
use engine::event::{CacheHit, CacheMiss};

use super::builds::seconds;
use crate::display::single_line;
use crate::table;

/// A line for each step, and one for the whole.
pub(super) fn table(steps: &[ForeseenStep]) -> String {
    let row = |step: &ForeseenStep| {
        [
            fate(step.fate).to_owned(),
            step.last.map_or_else(|| "unknown".to_owned(), seconds),
            single_line(&step.name),
        ]
    };
    let rows: Vec<_> = steps.iter().map(row).collect();
    let will_run: Vec<_> = steps.iter().filter(|step| may_run(step)).collect();
    let known: Duration = will_run.iter().filter_map(|step| step.last).sum();
    let unknown = will_run.iter().filter(|step| step.last.is_none()).count();
    let unknown = match unknown {
        0 => String::new(),
        count => format!(", and {count} of unknown length"),
    };
    format!(
        "{}{} of {} steps would run: {} of work when they last did{unknown}\n",
        table::layout(["WOULD", "LAST TIME", "STEP"], &rows),
        will_run.len(),
        steps.len(),
        seconds(known),
    )
}

fn may_run(step: &ForeseenStep) -> bool {
    !matches!(step.fate, Fate::Cached(_))
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Cached(CacheHit::Definition) => "be cached",
        Fate::Cached(CacheHit::Content) => "be cached: it reads the same files",
        Fate::Cached(CacheHit::NotNeeded) => "not be needed",
        Fate::Run(CacheMiss::New) => "run: it is new",
        Fate::Run(CacheMiss::InputsChanged) => "run: what it reads changed",
        Fate::Run(CacheMiss::Disabled) => "run: without cache",
        Fate::Run(CacheMiss::Uncached) => "run: it runs in every build",
        Fate::Run(CacheMiss::Expired) => "run: its result is too old",
        Fate::Open => "run, unless it reads the same files",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_run_is_summed_up() {
        let step = |fate, last: Option<u64>| ForeseenStep {
            name: "[1/1] RUN make".to_owned(),
            fate,
            last: last.map(Duration::from_millis),
        };
        let text = table(&[
            step(Fate::Cached(CacheHit::Definition), Some(5_000)),
            step(Fate::Run(CacheMiss::New), None),
            step(Fate::Open, Some(1_500)),
        ]);
        let last = text.lines().last();
        assert_eq!(
            last,
            Some(
                "2 of 3 steps would run: 1.5s of work when they last did, and 1 of unknown length"
            )
        );
    }
}
