//! Writes down a build while it goes: a listener in front of the build's own.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use cache::{BuildName, Store};
use frontend::SourceText;
use frontend::plan::{Step, StepKind};
use layer::Digest;
use solver::{DefinitionKey, Graph, NodeId};
use tokio::task::JoinHandle;

use super::log::LogWriter;
use super::record::{BuildRecord, Outcome, RowEnd, RowRecord, StepRecord, micros_between};
use crate::build::{BuildRequest, ContextSource};
use crate::engine::Engine;
use crate::error::BuildError;
use crate::event::{CacheMiss, Event, EventKind, Listener, VertexId};

/// A build being written down. When it is dropped unfinished, the build was cancelled.
#[derive(Debug)]
pub(crate) struct Recording(Arc<Recorder>);

/// Notes what happens, and passes it on.
pub(crate) struct Recorder {
    store: Store,
    /// `None`: nothing is written down.
    name: Option<BuildName>,
    listener: Arc<dyn Listener>,
    state: Mutex<State>,
}

struct State {
    record: BuildRecord,
    rows: HashMap<VertexId, Noted>,
    log: Option<LogWriter>,
    /// What is being written of steps' inputs.
    writing: Vec<JoinHandle<()>>,
}

/// A row by its number, and what came of looking for it in the cache.
#[derive(Clone, Copy)]
struct Noted {
    row: usize,
    missed: Option<CacheMiss>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl Recording {
    /// Begins to write down a build whose events are for `listener`.
    pub(crate) fn begin(
        engine: &Engine,
        request: &BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Self {
        let began = SystemTime::now();
        // Without a name there is no record, and the build is as good.
        let name = BuildName::new(began).ok();
        let id = name.as_ref().map(BuildName::id).unwrap_or_default();
        let mut record = BuildRecord::new(id.to_owned(), began);
        record.context = match &request.context {
            ContextSource::Directory(path) => {
                let absolute = std::path::absolute(path);
                absolute.as_ref().unwrap_or(path).display().to_string()
            }
            other => other.to_string(),
        };
        record.target.clone_from(&request.target);
        record.tags = request.tags.iter().map(ToString::to_string).collect();
        let platforms = request.all_platforms();
        let platforms: Vec<_> = platforms.iter().map(ToString::to_string).collect();
        record.platform = platforms.join(",");
        let store = engine.store().clone();
        let state = State {
            record,
            rows: HashMap::new(),
            log: Some(LogWriter::new(store.clone())),
            writing: Vec::new(),
        };
        Self(Arc::new(Recorder {
            store,
            name,
            listener,
            state: Mutex::new(state),
        }))
    }

    /// The listener.
    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        &self.0
    }

    /// Writes down the end of the build.
    pub(crate) async fn finish(self, result: Result<Option<Digest>, &BuildError>) {
        let writing = std::mem::take(&mut self.0.state().writing);
        for writing in writing {
            // What was not written is not explained.
            writing.await.ok();
        }
        let outcome = match result {
            Ok(_) => Outcome::Completed,
            Err(BuildError::Cancelled) => Outcome::Cancelled,
            Err(error) => Outcome::Failed(crate::error::chain(error)),
        };
        let image = result.ok().flatten().map(|id| id.to_string());
        self.0.finish(outcome, image);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.0.finish(Outcome::Cancelled, None);
    }
}

impl Recorder {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The build begins again: what was noted of its rows is of no use.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        state.rows.clear();
        state.record.rows.clear();
        state.log = Some(LogWriter::new(self.store.clone()));
    }

    /// Notes the Dockerfile's name.
    pub(crate) fn reads(&self, dockerfile: &str) {
        dockerfile.clone_into(&mut self.state().record.dockerfile);
    }

    /// Notes which rows are steps of the Dockerfile.
    pub(crate) fn plan(
        &self,
        graph: &Graph<Step>,
        rows: &BTreeMap<NodeId, VertexId>,
        text: &SourceText,
    ) {
        let mut state = self.state();
        let mut positions: HashMap<&str, usize> = HashMap::new();
        for node in graph.ids() {
            let step = graph.get(node);
            if matches!(step.kind, StepKind::Scratch) {
                continue;
            }
            let position = positions.entry(&step.stage).or_default();
            let row_of = |node: NodeId| {
                let noted = rows.get(&node).and_then(|id| state.rows.get(id));
                noted.map(|noted| noted.row)
            };
            let record = StepRecord {
                stage: step.stage.clone(),
                position: *position,
                line: step.span.map(|span| text.position(span.start).line),
                inputs: graph.inputs(node).into_iter().map(row_of).collect(),
                definition: None,
            };
            *position += 1;
            if let Some(row) = row_of(node) {
                state.record.rows[row].step = Some(record);
            }
        }
    }

    /// Notes the definition key of a step.
    pub(crate) fn identified(&self, id: VertexId, definition: &DefinitionKey) {
        let mut state = self.state();
        if let Some(&Noted { row, .. }) = state.rows.get(&id)
            && let Some(step) = &mut state.record.rows[row].step
        {
            step.definition = Some(definition.to_string());
        }
    }

    /// Writes down what a step depends on, on a thread that only the end of the build waits for.
    pub(crate) fn remember_inputs(
        &self,
        definition: DefinitionKey,
        inputs: impl FnOnce() -> Vec<u8> + Send + 'static,
    ) {
        let store = self.store.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let builds = store.builds();
            // What was not written is not explained.
            builds.record_inputs(definition.as_bytes(), &inputs()).ok();
        });
        self.state().writing.push(writing);
    }

    /// Writes the record, once. A build is as good without.
    fn finish(&self, outcome: Outcome, image: Option<String>) {
        let mut state = self.state();
        let Some(log) = state.log.take() else { return };
        let mut record = state.record.clone();
        drop(state);
        record.outcome = outcome;
        record.image = image;
        record.ended(SystemTime::now());
        if let Some(name) = &self.name {
            self.store.builds().add(name, record, log.finish()).ok();
        }
    }
}

impl Listener for Recorder {
    fn event(&self, event: Event) {
        self.state().note(&event);
        self.listener.event(event);
    }

    fn wants_spans(&self) -> bool {
        self.listener.wants_spans()
    }
}

impl State {
    fn note(&mut self, event: &Event) {
        let at = micros_between(self.record.began(), event.at);
        match &event.kind {
            EventKind::Vertex(vertex) => {
                let noted = Noted {
                    row: self.record.rows.len(),
                    missed: None,
                };
                self.rows.insert(vertex.id, noted);
                self.record.rows.push(RowRecord {
                    name: vertex.name.clone(),
                    end: RowEnd::Unreached,
                    began: None,
                    micros: None,
                    step: None,
                });
            }
            EventKind::Started(id) => self.row(*id, |row, _| row.began = Some(at)),
            EventKind::Missed(id, why) => {
                if let Some(noted) = self.rows.get_mut(id) {
                    noted.missed = Some(*why);
                }
            }
            EventKind::Cached(id, how) => self.end(*id, at, |_| RowEnd::Cached(*how)),
            EventKind::Completed(id) => self.end(*id, at, RowEnd::Done),
            EventKind::Failed(id, error) => {
                self.end(*id, at, |_| RowEnd::Failed(error.clone()));
            }
            EventKind::Cancelled(id) => self.end(*id, at, |_| RowEnd::Cancelled),
            EventKind::Log(id, stream, bytes) => {
                if let (Some(noted), Some(log)) = (self.rows.get(id), &mut self.log) {
                    log.add(noted.row, *stream, at, bytes);
                }
            }
            EventKind::Transfer(..) | EventKind::Span(_) | EventKind::Warning { .. } => {}
        }
    }

    fn row(&mut self, id: VertexId, change: impl FnOnce(&mut RowRecord, Option<CacheMiss>)) {
        if let Some(&Noted { row, missed }) = self.rows.get(&id) {
            change(&mut self.record.rows[row], missed);
        }
    }

    fn end(&mut self, id: VertexId, at: u64, end: impl FnOnce(Option<CacheMiss>) -> RowEnd) {
        self.row(id, |row, missed| {
            row.micros = row.began.map(|began| at.saturating_sub(began));
            row.end = end(missed);
        });
    }
}
