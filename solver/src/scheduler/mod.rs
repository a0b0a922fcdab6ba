//! Finds out which nodes must run, and runs them.
//!
//! 1. [`mod@unit`] asks every needed node what it is, and puts nodes that are the same work together.
//! 2. [`demand`] goes from the targets back: a result found by definition ends the search, a miss demands its
//!    inputs.
//! 3. [`dispatch`] runs what is left as inputs become known, [`work`] being the life of one piece of it.
//!
//! All of it is one future that spawns nothing: dropping it leaves no task behind.

mod demand;
mod dispatch;
mod foresee;
#[cfg(test)]
mod tests;
mod unit;
mod work;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::action_cache::ActionCache;
use crate::event::Event;
use crate::graph::{Graph, NodeId};
use crate::operation::Operation;
use dispatch::Dispatcher;
pub use foresee::{Foreseen, foresee};
use unit::Unit;

/// How a solve is to be done.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many operations may run at the same time; 0 counts as 1.
    pub jobs: usize,
    /// How long running operations may take to stop once they are cancelled, before they are dropped.
    pub grace: Duration,
    /// Ends the solve from outside, giving running operations their grace. Dropping the solve's future ends it
    /// at once.
    pub cancel: CancellationToken,
}

impl Default for Options {
    /// As many jobs as the machine has processors, and a second of grace.
    fn default() -> Self {
        Self {
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            grace: Duration::from_secs(1),
            cancel: CancellationToken::new(),
        }
    }
}

/// Why a solve gave no result.
#[derive(Debug, thiserror::Error)]
pub enum SolveError<E: std::error::Error + 'static> {
    /// A node failed: the first one to do so.
    #[error("step {node} failed")]
    Step {
        /// The node; where several nodes are the same work, the first of them.
        node: NodeId,
        /// Its error, which its [`Event::Failed`] carries as well.
        source: Arc<E>,
    },
    /// [`Options::cancel`] was triggered.
    #[error("cancelled")]
    Cancelled,
}

/// The results of a solve.
#[derive(Debug)]
pub struct Solved<T> {
    /// The unit of each node, by the node's index; `None` for nodes that no target needs.
    units: Vec<Option<usize>>,
    /// The output of each unit; `None` for units that were not needed after all.
    outputs: Vec<Option<T>>,
}

impl<T> Solved<T> {
    /// The output of a node: always known for targets, for other nodes only if they were looked at.
    pub fn output(&self, node: NodeId) -> Option<&T> {
        let unit = self.units.get(node.index()).copied().flatten()?;
        self.outputs[unit].as_ref()
    }
}

/// Finds or makes the outputs of `targets`. The first failure cancels the rest and is returned, after the results
/// that were complete by then are recorded. `events` is called in place.
///
/// Must be awaited on a tokio runtime with time enabled. See [`Operation`] for what may not block.
pub async fn solve<O, C>(
    graph: &Graph<O>,
    targets: &[NodeId],
    cache: &C,
    options: Options,
    events: &(dyn Fn(Event<O::Error>) + Send + Sync),
) -> Result<Solved<O::Output>, SolveError<O::Error>>
where
    O: Operation,
    C: ActionCache<O::Output, O::Error> + ?Sized,
{
    let cancelled = options.cancel.child_token();
    let _cancel_on_drop = cancelled.clone().drop_guard();
    let needed = graph.needed_by(targets);
    let operations = unit::identify(graph, &needed, &cancelled, events).await?;
    let grouped = unit::group(graph, &needed, &operations, cache);
    let solve = Solve {
        graph,
        cache,
        units: &grouped.units,
        events,
        slots: Semaphore::new(options.jobs.clamp(1, Semaphore::MAX_PERMITS)),
        cancelled,
    };
    for (number, unit) in solve.units.iter().enumerate() {
        solve.tell(number, |node| Event::Identified(node, unit.definition));
    }
    let wanted = targets
        .iter()
        .filter_map(|target| grouped.unit_of[target.index()]);
    let decisions = demand::decide(solve.units, wanted, cache);
    let outputs = Dispatcher::new(&solve, &options, decisions).run().await?;
    Ok(Solved {
        units: grouped.unit_of,
        outputs,
    })
}

/// What all parts of one solve share.
struct Solve<'a, O: Operation, C: ?Sized> {
    graph: &'a Graph<O>,
    cache: &'a C,
    /// In topological order.
    units: &'a [Unit],
    events: &'a (dyn Fn(Event<O::Error>) + Send + Sync),
    /// One permit for each operation that may run now.
    slots: Semaphore,
    /// Triggered when the solve ends, for whatever reason.
    cancelled: CancellationToken,
}

impl<O: Operation, C: ?Sized> Solve<'_, O, C> {
    /// Tells an event of a unit for each of its nodes.
    fn tell(&self, unit: usize, event: impl Fn(NodeId) -> Event<O::Error>) {
        for &node in &self.units[unit].nodes {
            (self.events)(event(node));
        }
    }

    /// The operation of a unit.
    fn operation(&self, unit: usize) -> &O {
        self.graph.get(self.units[unit].node())
    }
}
