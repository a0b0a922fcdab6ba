//! Passes on what the solver tells of a build's steps, and has what they depend on written down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use solver::{DefinitionKey, Event, Graph, Hit, NodeId};

use super::operation::StepOperation;
use crate::builds::Recorder;
use crate::error::StepError;
use crate::event::Phase;
use crate::progress::{Row, Spending};

/// A listener of the solver's.
pub(super) struct Teller<'a> {
    rows: &'a BTreeMap<NodeId, Row>,
    graph: &'a Graph<StepOperation>,
    recorder: &'a Recorder,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The steps that wait for a free job.
    waiting: BTreeMap<NodeId, Spending>,
    definitions: BTreeMap<NodeId, DefinitionKey>,
    /// The steps whose inputs are being written down.
    remembered: BTreeSet<NodeId>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(
        rows: &'a BTreeMap<NodeId, Row>,
        graph: &'a Graph<StepOperation>,
        recorder: &'a Recorder,
    ) -> Self {
        Self {
            rows,
            graph,
            recorder,
            state: Mutex::default(),
        }
    }

    /// Passes an event on.
    pub(super) fn tell(&self, event: Event<StepError>) {
        let row = |node: &NodeId| &self.rows[node];
        self.note(&event);
        match event {
            Event::Identified(node, definition) => {
                self.recorder.identified(row(&node).id(), &definition);
            }
            Event::Cached(node, hit) => row(&node).cached(hit.into()),
            Event::Missed(node, why) => {
                let why = self.graph.get(node).miss(why);
                row(&node).missed(why);
            }
            Event::Started(node) => row(&node).started(),
            Event::Finished(node) => row(&node).completed(),
            Event::Failed(node, error) => row(&node).failed(crate::error::chain(&*error)),
            Event::Cancelled(node) => row(&node).cancelled(),
        }
    }

    fn note(&self, event: &Event<StepError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Identified(node, definition) => {
                state.definitions.insert(*node, *definition);
            }
            Event::Missed(node, _) => {
                let waiting = self.rows[node].spend(Phase::Waiting);
                state.waiting.insert(*node, waiting);
                self.remember(&mut state, *node);
            }
            Event::Started(node) => {
                state.waiting.remove(node);
            }
            // What a copy reads of other steps is known by then.
            Event::Cached(node, Hit::Content) | Event::Finished(node) | Event::Failed(node, _) => {
                self.remember(&mut state, *node);
            }
            Event::Cached(..) | Event::Cancelled(_) => {}
        }
    }

    /// Has a step's inputs written down, once they are known.
    fn remember(&self, state: &mut State, node: NodeId) {
        if let Some(definition) = state.definitions.get(&node)
            && !state.remembered.contains(&node)
            && let Some(inputs) = self.graph.get(node).inputs()
        {
            self.recorder.remember_inputs(*definition, inputs);
            state.remembered.insert(node);
        }
    }
}
