//! Starts units as their inputs become known, records what they give, and winds down after a failure.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::demand::Decision;
use super::work::{Interrupted, Outcome, Worked};
use super::{Options, Solve, SolveError};
use crate::action_cache::ActionCache;
use crate::event::{Event, Hit};
use crate::operation::Operation;

/// A unit and how its work ended, with the inputs for its recording.
type WorkEnd<O, G> = (
    usize,
    Vec<<O as Operation>::Output>,
    Outcome<<O as Operation>::Output, G, <O as Operation>::Error>,
);
/// A unit and how its recording ended.
type RecordEnd<E> = (usize, Result<(), E>);

/// Owns the state of a solve; units only work and report to it.
pub(super) struct Dispatcher<'a, O: Operation, C: ActionCache<O::Output, O::Error> + ?Sized> {
    solve: &'a Solve<'a, O, C>,
    /// The output of each unit, once it is known.
    outputs: Vec<Option<O::Output>>,
    /// How many inputs of each unit are not known yet.
    missing: Vec<usize>,
    /// The units that wait for each unit, once for each input that it is.
    consumers: Vec<Vec<usize>>,
    working: FuturesUnordered<BoxFuture<'a, WorkEnd<O, C::Guard>>>,
    recording: FuturesUnordered<BoxFuture<'a, RecordEnd<O::Error>>>,
    ending: Ending<O::Error>,
}

/// How a solve comes to its end before its time.
struct Ending<E: std::error::Error + 'static> {
    /// Why; `None` while all is well.
    reason: Option<SolveError<E>>,
    /// The end was asked for from outside, so that not even recordings may go on for long.
    from_outside: bool,
    /// When what still runs is dropped.
    deadline: Option<Instant>,
    grace: Duration,
    cancel: CancellationToken,
}

impl<'a, O, C> Dispatcher<'a, O, C>
where
    O: Operation,
    C: ActionCache<O::Output, O::Error> + ?Sized,
{
    /// Begins with what has been decided about the solve's units, and tells what was found.
    pub(super) fn new(
        solve: &'a Solve<'a, O, C>,
        options: &Options,
        decisions: Vec<Decision<O::Output>>,
    ) -> Self {
        let count = solve.units.len();
        let mut dispatcher = Self {
            solve,
            outputs: Vec::with_capacity(count),
            missing: vec![0; count],
            consumers: vec![Vec::new(); count],
            working: FuturesUnordered::new(),
            recording: FuturesUnordered::new(),
            ending: Ending {
                reason: None,
                from_outside: false,
                deadline: None,
                grace: options.grace,
                cancel: options.cancel.clone(),
            },
        };
        for (unit, decision) in decisions.into_iter().enumerate() {
            dispatcher.enter(unit, decision);
        }
        dispatcher
    }

    /// Takes up one unit; those before it have been.
    fn enter(&mut self, unit: usize, decision: Decision<O::Output>) {
        let output = match decision {
            Decision::Found(output) => {
                self.solve
                    .tell(unit, |node| Event::Cached(node, Hit::Definition));
                Some(output)
            }
            Decision::Unneeded => {
                self.solve
                    .tell(unit, |node| Event::Cached(node, Hit::Ancestor));
                None
            }
            Decision::Work => {
                for &input in &self.solve.units[unit].inputs {
                    if self.outputs[input].is_none() {
                        self.consumers[input].push(unit);
                        self.missing[unit] += 1;
                    }
                }
                if self.missing[unit] == 0 {
                    self.start(unit);
                }
                None
            }
        };
        self.outputs.push(output);
    }

    /// Works until everything is done and recorded, or given up.
    pub(super) async fn run(mut self) -> Result<Vec<Option<O::Output>>, SolveError<O::Error>> {
        while !(self.working.is_empty() && self.recording.is_empty()) {
            let may_expire = self.ending.from_outside || !self.working.is_empty();
            tokio::select! {
                Some(end) = self.working.next() => self.worked(end),
                Some((unit, result)) = self.recording.next() => {
                    if let Err(error) = result {
                        self.fail(unit, error);
                    }
                }
                () = self.ending.cancel.cancelled(), if !self.ending.from_outside => {
                    self.ending.from_outside = true;
                    self.end(SolveError::Cancelled);
                }
                () = expiry(self.ending.deadline), if may_expire => self.give_up(),
            }
        }
        self.ending.reason.map_or(Ok(self.outputs), Err)
    }

    /// Starts a unit whose inputs are all known.
    fn start(&mut self, unit: usize) {
        let solve = self.solve;
        let inputs: Vec<O::Output> = solve.units[unit]
            .inputs
            .iter()
            .map(|&input| {
                self.outputs[input]
                    .clone()
                    .expect("a unit starts when its inputs are known")
            })
            .collect();
        self.working.push(Box::pin(async move {
            let outcome = solve.work(unit, &inputs).await;
            (unit, inputs, outcome)
        }));
    }

    /// Takes in the end of a unit's work.
    fn worked(&mut self, (unit, inputs, outcome): WorkEnd<O, C::Guard>) {
        match outcome {
            Ok(worked) => {
                self.complete(unit, worked.output.clone());
                self.record(unit, inputs, worked);
            }
            Err(Interrupted::Failed(error)) => self.fail(unit, error),
            Err(Interrupted::Cancelled) => {
                self.tell_cancelled(unit);
                // It may notice a cancellation from outside before the dispatcher does.
                self.end(SolveError::Cancelled);
            }
        }
    }

    /// Makes a unit's output known to those that wait for it.
    fn complete(&mut self, unit: usize, output: O::Output) {
        if self.solve.units[unit]
            .started
            .swap(false, Ordering::Relaxed)
        {
            self.solve.tell(unit, Event::Finished);
        }
        self.outputs[unit] = Some(output);
        for consumer in std::mem::take(&mut self.consumers[unit]) {
            self.missing[consumer] -= 1;
            if self.missing[consumer] == 0 && self.ending.reason.is_none() {
                self.start(consumer);
            }
        }
    }

    /// Starts the recording of a unit's output.
    fn record(&mut self, unit: usize, inputs: Vec<O::Output>, worked: Worked<O::Output, C::Guard>) {
        let solve = self.solve;
        self.recording.push(Box::pin(async move {
            (unit, solve.record(unit, &inputs, worked).await)
        }));
    }

    /// Takes in the failure of a unit. Later ones are told, but only the first is the solve's.
    fn fail(&mut self, unit: usize, error: O::Error) {
        let (node, source) = (self.solve.units[unit].node(), Arc::new(error));
        self.solve.units[unit]
            .started
            .store(false, Ordering::Relaxed);
        self.solve
            .tell(unit, |node| Event::Failed(node, Arc::clone(&source)));
        self.end(SolveError::Step { node, source });
    }

    /// Starts nothing more and asks what runs to stop.
    fn end(&mut self, reason: SolveError<O::Error>) {
        self.ending.reason.get_or_insert(reason);
        self.ending
            .deadline
            .get_or_insert_with(|| Instant::now() + self.ending.grace);
        self.solve.cancelled.cancel();
    }

    /// Drops what did not stop in time.
    fn give_up(&mut self) {
        self.working.clear();
        for unit in 0..self.solve.units.len() {
            self.tell_cancelled(unit);
        }
        if self.ending.from_outside {
            self.recording.clear();
        }
    }

    /// Tells that a unit was cancelled, if it had begun to run.
    fn tell_cancelled(&self, unit: usize) {
        if self.solve.units[unit]
            .started
            .swap(false, Ordering::Relaxed)
        {
            self.solve.tell(unit, Event::Cancelled);
        }
    }
}

/// Waits for the deadline, forever if there is none.
async fn expiry(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
