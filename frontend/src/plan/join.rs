//! Plans of one Dockerfile for several platforms as one plan, which has a step once that is the same for all.

use std::collections::HashMap;

use solver::NodeId;

use super::{Plan, Step};
use crate::span::Span;

/// Where a step can have its like: at the same instruction, with the same inputs.
type Place = (Option<Span>, Vec<NodeId>);

impl Plan {
    /// Adds the images of another plan of the same Dockerfile. What is found wrong for one platform is found for the
    /// next, so the findings of the first plan stand for all.
    pub fn join(&mut self, other: Self) {
        let mut places: HashMap<Place, Vec<NodeId>> = HashMap::new();
        for node in self.graph.ids() {
            let place = (self.graph.get(node).span, self.graph.inputs(node));
            places.entry(place).or_default().push(node);
        }
        let mut nodes: Vec<NodeId> = Vec::with_capacity(other.graph.len());
        for node in other.graph.ids() {
            let step: &Step = other.graph.get(node);
            let inputs = other.graph.inputs(node).into_iter();
            let inputs: Vec<_> = inputs.map(|input| nodes[input.index()]).collect();
            let alike = places.entry((step.span, inputs.clone())).or_default();
            let same = alike
                .iter()
                .find(|known| is_same(self.graph.get(**known), step));
            let joined = same.copied().unwrap_or_else(|| {
                let added = self.graph.add(step.clone(), &inputs);
                alike.push(added);
                added
            });
            nodes.push(joined);
        }
        for mut image in other.images {
            let joined = |node: NodeId| nodes[node.index()];
            image.target = image.target.map(joined);
            for entry in &mut image.spec.history {
                entry.step = entry.step.map(joined);
            }
            self.images.push(image);
        }
    }

    /// The steps that the images are the results of, each once.
    pub fn targets(&self) -> Vec<NodeId> {
        let mut targets: Vec<_> = self
            .images
            .iter()
            .filter_map(|image| image.target)
            .collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}

/// Whether steps at the same place do the same on the same platform. The name may tell of another target.
fn is_same(one: &Step, other: &Step) -> bool {
    (&one.stage, &one.platform, &one.kind) == (&other.stage, &other.platform, &other.kind)
}
