//! What a solve would do, as far as that can be told without running anything.

use tokio_util::sync::CancellationToken;

use super::SolveError;
use super::demand::{Decision, decide};
use super::unit::{Unit, group, identify};
use crate::action_cache::ActionCache;
use crate::event::{Hit, MissReason};
use crate::graph::{Graph, NodeId};
use crate::key::{ContentKey, DefinitionKey};
use crate::operation::Operation;

/// What would become of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreseen {
    /// It would be found.
    Cached(Hit),
    /// It would run.
    Run(MissReason),
    /// Its operation is known: whether it would run depends on what the nodes before it give.
    Open,
}

/// Looks up what `targets` need, and runs nothing. The answers are in topological order.
pub async fn foresee<O, C>(
    graph: &Graph<O>,
    targets: &[NodeId],
    cache: &C,
) -> Result<Vec<(NodeId, DefinitionKey, Foreseen)>, SolveError<O::Error>>
where
    O: Operation,
    C: ActionCache<O::Output, O::Error> + ?Sized,
{
    let needed = graph.needed_by(targets);
    let operations = identify(graph, &needed, &CancellationToken::new(), &|_| ()).await?;
    let grouped = group(graph, &needed, &operations, cache);
    let wanted = targets
        .iter()
        .filter_map(|target| grouped.unit_of[target.index()]);
    let decisions = decide(&grouped.units, wanted, cache);
    let mut outputs: Vec<Option<O::Output>> = Vec::with_capacity(decisions.len());
    let mut foreseen = Vec::with_capacity(needed.len());
    for (unit, decision) in grouped.units.iter().zip(decisions) {
        let (fate, output) = match decision {
            Decision::Found(output) => (Foreseen::Cached(Hit::Definition), Some(output)),
            Decision::Unneeded => (Foreseen::Cached(Hit::Ancestor), None),
            Decision::Work => work(graph, unit, cache, &outputs).await?,
        };
        outputs.push(output);
        foreseen.extend(unit.nodes.iter().map(|node| (*node, unit.definition, fate)));
    }
    foreseen.sort_unstable_by_key(|(node, ..)| *node);
    Ok(foreseen)
}

/// What would become of a unit that is not found by its definition.
async fn work<O, C>(
    graph: &Graph<O>,
    unit: &Unit,
    cache: &C,
    outputs: &[Option<O::Output>],
) -> Result<(Foreseen, Option<O::Output>), SolveError<O::Error>>
where
    O: Operation,
    C: ActionCache<O::Output, O::Error> + ?Sized,
{
    if unit.refresh {
        return Ok((Foreseen::Run(MissReason::Refresh), None));
    }
    if !cache.knows_operation(&unit.operation) {
        return Ok((Foreseen::Run(MissReason::NoRecord), None));
    }
    let inputs = unit.inputs.iter().map(|&input| outputs[input].clone());
    let Some(inputs) = inputs.collect::<Option<Vec<_>>>() else {
        return Ok((Foreseen::Open, None));
    };
    let content = graph.get(unit.node()).content(&inputs).await;
    let content = content.map_err(|error| SolveError::Step {
        node: unit.node(),
        source: std::sync::Arc::new(error),
    })?;
    let key = content.map(|content| ContentKey::new(&unit.operation, &content));
    match key.and_then(|key| cache.by_content(&key, &inputs, unit.within)) {
        Some(output) => Ok((Foreseen::Cached(Hit::Content), Some(output))),
        None if unit.has_expired(cache, key, &inputs) => {
            Ok((Foreseen::Run(MissReason::Expired), None))
        }
        None => Ok((Foreseen::Run(MissReason::InputsChanged), None)),
    }
}
