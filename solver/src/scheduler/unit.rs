//! Units: pieces of work, each standing for the nodes that are that same work.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::SolveError;
use crate::event::Event;
use crate::graph::{Graph, NodeId};
use crate::key::{DefinitionKey, OperationDigest};
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
    /// A result by definition may be used: neither this unit nor any before it is to be refreshed.
    pub by_definition: bool,
    /// Its operation began to run.
    pub started: AtomicBool,
}

impl Unit {
    /// The node that speaks for all.
    pub(super) fn node(&self) -> NodeId {
        self.nodes[0]
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
pub(super) fn group<O: Operation>(
    graph: &Graph<O>,
    needed: &[NodeId],
    operations: &[OperationDigest],
) -> Grouped {
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
                by_definition: true,
                started: AtomicBool::new(false),
            });
            units.len() - 1
        });
        units[unit].nodes.push(node);
        units[unit].refresh |= graph.get(node).policy() == CachePolicy::Refresh;
        unit_of[node.index()] = Some(unit);
    }
    forbid_stale_definitions(&mut units);
    Grouped { units, unit_of }
}

/// Settles which units may be found by definition.
fn forbid_stale_definitions(units: &mut [Unit]) {
    for unit in 0..units.len() {
        units[unit].by_definition = !units[unit].refresh
            && units[unit]
                .inputs
                .iter()
                .all(|&input| units[input].by_definition);
    }
}
