//! Which units have to be worked on: one pass from the targets back to the sources.

use super::unit::Unit;
use crate::action_cache::ActionCache;

/// What is to become of a unit.
#[derive(Debug)]
pub(super) enum Decision<T> {
    /// Found by definition: nothing to do, and no inputs needed for it.
    Found(T),
    /// Not found: it needs all its inputs.
    Work,
    /// Nothing that has to be worked on needs it.
    Unneeded,
}

/// Decides about all units, given in topological order. Since a look-up by definition is immediate, visiting them
/// in reverse settles all consumers of a unit before the unit itself.
pub(super) fn decide<T, E, C>(
    units: &[Unit],
    targets: impl Iterator<Item = usize>,
    cache: &C,
) -> Vec<Decision<T>>
where
    C: ActionCache<T, E> + ?Sized,
{
    let mut demanded = vec![false; units.len()];
    for target in targets {
        demanded[target] = true;
    }
    let mut decisions: Vec<_> = units.iter().map(|_| Decision::Unneeded).collect();
    for (number, unit) in units.iter().enumerate().rev() {
        if !demanded[number] {
            continue;
        }
        let found = if unit.by_definition {
            cache.by_definition(&unit.definition, unit.within)
        } else {
            None
        };
        decisions[number] = found.map_or(Decision::Work, Decision::Found);
        if matches!(decisions[number], Decision::Work) {
            for &input in &unit.inputs {
                demanded[input] = true;
            }
        }
    }
    decisions
}
