//! Random graphs on caches that earlier, partly different graphs have filled.

use proptest::collection::vec;
use proptest::prelude::*;

use super::fake::{Bench, Content, Fake, Memory, Value};
use crate::{CachePolicy, Graph, NodeId};

/// A node by plain numbers: its name, whether its output depends on its inputs, its inputs, its flags.
#[derive(Debug, Clone)]
struct Sketch {
    name: u8,
    constant: bool,
    inputs: Vec<usize>,
    keyless: bool,
    refresh: bool,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    (
        0..6_u8,
        any::<bool>(),
        vec(any::<usize>(), 0..4),
        any::<bool>(),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(name, constant, inputs, keyless, refresh)| Sketch {
            name,
            constant,
            inputs,
            keyless,
            refresh,
        })
}

/// What is done to a graph before it is solved another time.
#[derive(Debug, Clone)]
struct Change {
    node: usize,
    name: u8,
}

fn draw(bench: &mut Bench, sketches: &[Sketch]) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = Vec::new();
    for sketch in sketches {
        let inputs: Vec<_> = sketch
            .inputs
            .iter()
            .filter(|_| !nodes.is_empty())
            .map(|input| nodes[input % nodes.len()])
            .collect();
        let name = format!(
            "{}{}",
            if sketch.constant { "constant" } else { "step" },
            sketch.name
        );
        nodes.push(bench.add_with(&name, &inputs, |fake| {
            // All constant operations give one of two contents, so that re-runs are often equal.
            fake.gives = sketch
                .constant
                .then(|| format!("constant {}", sketch.name % 2));
            fake.content = if sketch.keyless {
                Content::None
            } else {
                Content::Known
            };
            fake.policy = if sketch.refresh {
                CachePolicy::Refresh
            } else {
                CachePolicy::Use
            };
        }));
    }
    nodes
}

/// What a node gives when simply everything is run.
fn naive(graph: &Graph<Fake>, node: NodeId) -> Value {
    let mut values: Vec<Value> = Vec::new();
    for id in graph.ids() {
        let inputs: Vec<_> = graph
            .inputs(id)
            .iter()
            .map(|input| values[input.index()].clone())
            .collect();
        values.push(graph.get(id).value(&inputs));
    }
    values[node.index()].clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn outputs_are_those_of_running_everything(
        mut sketches in vec(sketch(), 1..14),
        changes in vec((any::<usize>(), 0..6_u8).prop_map(|(node, name)| Change { node, name }), 0..5),
        targets in vec(any::<usize>(), 1..4),
        jobs in 1..4_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let cache = Memory::default();
        for change in std::iter::once(None).chain(changes.iter().map(Some)) {
            if let Some(change) = change {
                let node = change.node % sketches.len();
                sketches[node].name = change.name;
            }
            let mut bench = Bench::on(&cache);
            bench.options.jobs = jobs;
            let nodes = draw(&mut bench, &sketches);
            let targets: Vec<_> = targets.iter().map(|target| nodes[target % nodes.len()]).collect();
            let solved = runtime.block_on(bench.try_solve(&targets)).unwrap();
            for &target in &targets {
                prop_assert_eq!(solved.output(target).unwrap(), &naive(&bench.graph, target));
            }
            // Every needed node is told complete exactly once.
            let complete = bench.events().iter().filter(|told| told.contains("cached") || told.ends_with("finished")).count();
            prop_assert_eq!(complete, bench.graph.needed_by(&targets).len());
        }
    }
}
