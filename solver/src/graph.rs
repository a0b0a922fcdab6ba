//! A graph that is acyclic by construction: a node can only name inputs that were added before it.

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

/// A node of a [`Graph`]. Ordered by the time of its addition, so an input is always less than its consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The node's position in the order of addition, from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    fn new(index: NodeIndex) -> Self {
        Self(u32::try_from(index.index()).expect("petgraph's default index is 32 bits wide"))
    }

    fn petgraph(self) -> NodeIndex {
        NodeIndex::new(self.index())
    }
}

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A directed acyclic graph. An edge goes from a producer to its consumer and carries the consumer's input number.
#[derive(Debug, Clone)]
pub struct Graph<T> {
    nodes: DiGraph<T, usize>,
}

impl<T> Default for Graph<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Graph<T> {
    /// A graph without nodes.
    pub fn new() -> Self {
        Self {
            nodes: DiGraph::new(),
        }
    }

    /// Adds a node whose input number `n` is `inputs[n]`. The same node may be several inputs.
    ///
    /// # Panics
    /// When an input is not a node of this graph, as it would be with an identifier of another graph.
    pub fn add(&mut self, value: T, inputs: &[NodeId]) -> NodeId {
        assert!(
            inputs.iter().all(|input| input.index() < self.len()),
            "an input was not added to this graph"
        );
        let node = self.nodes.add_node(value);
        for (number, input) in inputs.iter().enumerate() {
            self.nodes.add_edge(input.petgraph(), node, number);
        }
        NodeId::new(node)
    }

    /// The value of a node.
    ///
    /// # Panics
    /// When `id` is of another, larger graph.
    pub fn get(&self, id: NodeId) -> &T {
        &self.nodes[id.petgraph()]
    }

    /// The value of a node, to be changed.
    ///
    /// # Panics
    /// When `id` is of another, larger graph.
    pub fn get_mut(&mut self, id: NodeId) -> &mut T {
        &mut self.nodes[id.petgraph()]
    }

    /// A node's inputs, by their numbers.
    pub fn inputs(&self, id: NodeId) -> Vec<NodeId> {
        let edges = self
            .nodes
            .edges_directed(id.petgraph(), Direction::Incoming);
        let mut inputs: Vec<_> = edges
            .map(|edge| (*edge.weight(), NodeId::new(edge.source())))
            .collect();
        inputs.sort_unstable();
        inputs.into_iter().map(|(_, input)| input).collect()
    }

    /// All nodes in the order of their addition, which is a topological order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + ExactSizeIterator + use<T> {
        self.nodes.node_indices().map(NodeId::new)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.node_count()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A graph of the same shape and identifiers with other values.
    pub fn map<U>(&self, mut value: impl FnMut(NodeId, &T) -> U) -> Graph<U> {
        Graph {
            nodes: self.nodes.map(
                |node, old| value(NodeId::new(node), old),
                |_, number| *number,
            ),
        }
    }

    /// The nodes that `targets` need, the targets themselves included, in topological order.
    pub fn needed_by(&self, targets: &[NodeId]) -> Vec<NodeId> {
        let mut needed = vec![false; self.len()];
        let mut open: Vec<_> = targets.to_vec();
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut needed[id.index()], true) {
                open.extend(
                    self.nodes
                        .neighbors_directed(id.petgraph(), Direction::Incoming)
                        .map(NodeId::new),
                );
            }
        }
        self.ids().filter(|id| needed[id.index()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `base` feeds `left` and `right`, which feed `join`; `alone` feeds nothing.
    fn diamond() -> (Graph<&'static str>, [NodeId; 5]) {
        let mut graph = Graph::new();
        let base = graph.add("base", &[]);
        let left = graph.add("left", &[base]);
        let alone = graph.add("alone", &[base]);
        let right = graph.add("right", &[base, base]);
        let join = graph.add("join", &[right, left, right]);
        (graph, [base, left, alone, right, join])
    }

    #[test]
    fn inputs_come_in_their_order_with_repetitions() {
        let (graph, [base, left, _, right, join]) = diamond();
        assert_eq!(graph.inputs(base), []);
        assert_eq!(graph.inputs(right), [base, base]);
        assert_eq!(graph.inputs(join), [right, left, right]);
    }

    #[test]
    fn needed_nodes_are_the_ancestors_in_topological_order() {
        let (graph, [base, left, alone, right, join]) = diamond();
        assert_eq!(graph.needed_by(&[join]), [base, left, right, join]);
        assert_eq!(graph.needed_by(&[alone]), [base, alone]);
        assert_eq!(graph.needed_by(&[left, alone]), [base, left, alone]);
        assert_eq!(graph.needed_by(&[]), []);
    }

    #[test]
    fn mapping_keeps_shape_and_identifiers() {
        let (graph, [.., join]) = diamond();
        let lengths = graph.map(|id, name| (id, name.len()));
        assert_eq!(lengths.get(join), &(join, 4));
        assert_eq!(lengths.inputs(join), graph.inputs(join));
        assert_eq!(lengths.len(), 5);
    }

    #[test]
    #[should_panic(expected = "not added to this graph")]
    fn an_input_of_another_graph_is_refused() {
        let (_, [.., join]) = diamond();
        Graph::new().add("x", &[join]);
    }
}
