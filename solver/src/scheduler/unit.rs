//! Units: pieces of work, each standing for the nodes that are that same work.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::SolveError;
use crate::action_cache::ActionCache;
use crate::event::Event;
use crate::graph::{Graph, NodeId};
use crate::key::{ContentKey, DefinitionKey, OperationDigest};
use crate::operation::{CachePolicy, Operation};

/// Nodes with one definition key.
#[derive(Debug)]
pub(super) struct Unit {
    /// The nodes, at least one, in topological order.
    pub nodes: Vec<NodeId>,
    /// What the work is.
    pub operation: OperationDigest,
    /// What the work is and what leads to it.
    pub definition: DefinitionKey,
    /// The unit of each input, by input number.
    pub inputs: Vec<usize>,
    /// No earlier result may be used.
    pub refresh: bool,
    /// How old a result may be.
    pub within: Option<Duration>,
    /// A result by definition may be used: neither this unit nor any before it is to be refreshed, and no result of one
    /// before it is too old.
    pub by_definition: bool,
    /// Its operation began to run.
    pub started: AtomicBool,
}

impl Unit {
    /// The node that speaks for all.
    pub(super) fn node(&self) -> NodeId {
        self.nodes[0]
    }

    /// Whether a unit that was not found has a result, which is too old.
    pub(super) fn has_expired<T, E, C>(
        &self,
        cache: &C,
        key: Option<ContentKey>,
        inputs: &[T],
    ) -> bool
    where
        C: ActionCache<T, E> + ?Sized,
    {
        let by_definition =
            || self.by_definition && cache.by_definition(&self.definition, None).is_some();
        let by_content = || key.is_some_and(|key| cache.by_content(&key, inputs, None).is_some());
        self.within.is_some() && (by_definition() || by_content())
    }

    /// Takes the policy of one of its nodes into account: the strictest counts.
    fn heed(&mut self, policy: CachePolicy) {
        match policy {
            CachePolicy::Use => {}
            CachePolicy::Refresh => self.refresh = true,
            CachePolicy::Within(limit) => {
                self.within = Some(self.within.map_or(limit, |known| known.min(limit)));
            }
        }
    }
}

/// All units of a solve.
#[derive(Debug)]
pub(super) struct Grouped {
    /// In topological order.
    pub units: Vec<Unit>,
    /// The unit of each node, by the node's index; `None` for nodes that are not needed.
    pub unit_of: Vec<Option<usize>>,
}

/// Asks all `needed` nodes at once what they are. The answers are in the order of `needed`.
pub(super) async fn identify<O: Operation>(
    graph: &Graph<O>,
    needed: &[NodeId],
    cancelled: &CancellationToken,
    events: &(dyn Fn(Event<O::Error>) + Send + Sync),
) -> Result<Vec<OperationDigest>, SolveError<O::Error>> {
    let mut open = FuturesUnordered::new();
    for (position, &node) in needed.iter().enumerate() {
        let identity = graph.get(node).identity();
        open.push(async move { (position, identity.await) });
    }
    let mut operations = vec![None; needed.len()];
    loop {
        match cancelled.run_until_cancelled(open.next()).await {
            None => return Err(SolveError::Cancelled),
            Some(None) => return Ok(operations.into_iter().flatten().collect()),
            Some(Some((position, Ok(operation)))) => operations[position] = Some(operation),
            Some(Some((position, Err(error)))) => {
                let (node, source) = (needed[position], Arc::new(error));
                events(Event::Failed(node, Arc::clone(&source)));
                return Err(SolveError::Step { node, source });
            }
        }
    }
}

/// Computes the definition keys of the `needed` nodes, whose identities are `operations`, and groups the nodes by
/// them.
pub(super) fn group<O, C>(
    graph: &Graph<O>,
    needed: &[NodeId],
    operations: &[OperationDigest],
    cache: &C,
) -> Grouped
where
    O: Operation,
    C: ActionCache<O::Output, O::Error> + ?Sized,
{
    let mut units: Vec<Unit> = Vec::with_capacity(needed.len());
    let mut unit_of = vec![None; graph.len()];
    let mut known = HashMap::with_capacity(needed.len());
    for (&node, &operation) in needed.iter().zip(operations) {
        let inputs: Vec<usize> = graph
            .inputs(node)
            .into_iter()
            .filter_map(|input| unit_of[input.index()])
            .collect();
        let keys: Vec<DefinitionKey> = inputs
            .iter()
            .map(|&input| units[input].definition)
            .collect();
        let definition = DefinitionKey::new(&operation, &keys);
        let unit = *known.entry(definition).or_insert_with(|| {
            units.push(Unit {
                nodes: Vec::with_capacity(1),
                operation,
                definition,
                inputs,
                refresh: false,
                within: None,
                by_definition: true,
                started: AtomicBool::new(false),
            });
            units.len() - 1
        });
        units[unit].nodes.push(node);
        units[unit].heed(graph.get(node).policy());
        unit_of[node.index()] = Some(unit);
    }
    forbid_stale_definitions(&mut units, |unit| {
        let found = cache.by_definition(&unit.definition, unit.within);
        found.is_some()
    });
    Grouped { units, unit_of }
}

/// Settles which units may be found by definition. `is_known` says whether one has a result that is not too old.
fn forbid_stale_definitions(units: &mut [Unit], is_known: impl Fn(&Unit) -> bool) {
    // Whether what builds on a unit may be found by definition.
    let mut vouches: Vec<bool> = Vec::with_capacity(units.len());
    for unit in units {
        unit.by_definition = !unit.refresh && unit.inputs.iter().all(|&input| vouches[input]);
        vouches.push(unit.by_definition && (unit.within.is_none() || is_known(unit)));
    }
}
