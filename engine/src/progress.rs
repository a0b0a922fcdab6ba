//! Turns what the engine does into [`Event`]s with numbered rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::event::{
    CacheHit, CacheMiss, Event, EventKind, Listener, Phase, Span, Stream, Transfer, Vertex,
    VertexId,
};

/// Numbers the rows of one command and passes their events on.
#[derive(Clone)]
pub(crate) struct Progress {
    listener: Arc<dyn Listener>,
    next: Arc<AtomicU32>,
    wants_spans: bool,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

impl Progress {
    /// Progress that tells `listener`.
    pub(crate) fn new(listener: Arc<dyn Listener>) -> Self {
        Self {
            wants_spans: listener.wants_spans(),
            listener,
            next: Arc::new(AtomicU32::new(0)),
        }
    }

    /// Progress that nobody is told of.
    pub(crate) fn silent() -> Self {
        struct Nobody;
        impl Listener for Nobody {
            fn event(&self, _: Event) {}
        }
        Self::new(Arc::new(Nobody))
    }

    /// Adds a row. `identity` names the work to machines: the same bytes give the same digest.
    pub(crate) fn row(
        &self,
        name: impl Into<String>,
        identity: &[u8],
        inputs: Vec<VertexId>,
    ) -> Row {
        let id = VertexId(self.next.fetch_add(1, Ordering::Relaxed));
        self.send(EventKind::Vertex(Vertex {
            id,
            digest: layer::Digest::of(identity).to_string(),
            name: name.into(),
            inputs,
        }));
        Row {
            progress: self.clone(),
            id,
        }
    }

    /// Adds a row that depends on nothing and starts it.
    pub(crate) fn start(&self, name: impl Into<String>) -> Row {
        let name = name.into();
        let row = self.row(name.clone(), name.as_bytes(), Vec::new());
        row.started();
        row
    }

    /// Tells of a finding.
    pub(crate) fn warn(&self, rule: String, message: String, detail: String) {
        self.send(EventKind::Warning {
            rule,
            message,
            detail,
        });
    }

    /// Begins to spend time for the build as a whole.
    pub(crate) fn spend(&self, phase: Phase) -> Spending {
        Spending::begin(self, None, phase)
    }

    fn send(&self, kind: EventKind) {
        self.listener.event(Event {
            at: SystemTime::now(),
            kind,
        });
    }
}

/// One row: tells what happens to it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    progress: Progress,
    id: VertexId,
}

impl Row {
    /// Its number.
    pub(crate) fn id(&self) -> VertexId {
        self.id
    }

    /// Begins to spend time.
    pub(crate) fn spend(&self, phase: Phase) -> Spending {
        Spending::begin(&self.progress, Some(self.id), phase)
    }

    /// Work begins.
    pub(crate) fn started(&self) {
        self.progress.send(EventKind::Started(self.id));
    }

    /// Found in the cache.
    pub(crate) fn cached(&self, how: CacheHit) {
        self.progress.send(EventKind::Cached(self.id, how));
    }

    /// Not in the cache.
    pub(crate) fn missed(&self, why: CacheMiss) {
        self.progress.send(EventKind::Missed(self.id, why));
    }

    /// A piece of output.
    pub(crate) fn log(&self, stream: Stream, bytes: &[u8]) {
        self.progress
            .send(EventKind::Log(self.id, stream, bytes.into()));
    }

    /// Tells of a finding that stands in no file.
    pub(crate) fn warn(&self, message: String) {
        self.progress.warn(String::new(), message, String::new());
    }

    /// Bytes moved.
    pub(crate) fn transfer(
        &self,
        name: impl Into<String>,
        current: u64,
        total: Option<u64>,
        done: bool,
    ) {
        self.progress.send(EventKind::Transfer(
            self.id,
            Transfer {
                name: name.into(),
                current,
                total,
                done,
            },
        ));
    }

    /// Complete.
    pub(crate) fn completed(&self) {
        self.progress.send(EventKind::Completed(self.id));
    }

    /// Failed with this error.
    pub(crate) fn failed(&self, error: impl std::fmt::Display) {
        self.progress
            .send(EventKind::Failed(self.id, error.to_string()));
    }

    /// Stopped from outside.
    pub(crate) fn cancelled(&self) {
        self.progress.send(EventKind::Cancelled(self.id));
    }

    /// Ends the row as `result` says and hands it on.
    pub(crate) fn finish<T, E: std::fmt::Display>(&self, result: Result<T, E>) -> Result<T, E> {
        match &result {
            Ok(_) => self.completed(),
            Err(error) => self.failed(error),
        }
        result
    }
}

/// Time being spent, until it is dropped.
#[derive(Debug)]
pub(crate) struct Spending(Option<Begun>);

#[derive(Debug)]
struct Begun {
    progress: Progress,
    vertex: Option<VertexId>,
    phase: Phase,
    began: SystemTime,
    clock: Instant,
}

impl Spending {
    fn begin(progress: &Progress, vertex: Option<VertexId>, phase: Phase) -> Self {
        Self(progress.wants_spans.then(|| Begun {
            progress: progress.clone(),
            vertex,
            phase,
            began: SystemTime::now(),
            clock: Instant::now(),
        }))
    }

    /// It was for nothing worth telling.
    pub(crate) fn forget(mut self) {
        self.0 = None;
    }

    /// Part of what is being spent is for another phase: as much as several threads together spent on it.
    pub(crate) fn of_which(&self, phase: Phase, time: Duration) {
        if let Some(begun) = &self.0
            && !time.is_zero()
        {
            begun.tell(phase, time);
        }
    }
}

impl Begun {
    fn tell(&self, phase: Phase, time: Duration) {
        self.progress.send(EventKind::Span(Span {
            vertex: self.vertex,
            phase,
            began: self.began,
            time,
        }));
    }
}

impl Drop for Spending {
    fn drop(&mut self) {
        if let Some(begun) = self.0.take() {
            begun.tell(begun.phase, begun.clock.elapsed());
        }
    }
}
