//! What the engine tells while it works. Every display, the JSON output and the tests are listeners of these events;
//! nothing in the engine prints.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Names a row of the progress of one build or transfer; unique within it, in order of appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VertexId(pub u32);

/// A row of progress: a step of the Dockerfile, or internal work such as reading the context or writing an archive.
#[derive(Debug, Clone)]
pub struct Vertex {
    /// Its number.
    pub id: VertexId,
    /// A digest that names it to machines (`sha256:…`): the same work has the same one.
    pub digest: String,
    /// What people read: `[build 2/5] RUN make`, `[internal] load build context`.
    pub name: String,
    /// Rows that it depends on.
    pub inputs: Vec<VertexId>,
}

/// Which of a command's two streams a log line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a step was found in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheHit {
    /// The operation and all that leads to it are the same.
    Definition,
    /// Something upstream was run again and gave the same content.
    Content,
    /// A step that builds on it was found, so it was not needed.
    NotNeeded,
}

/// Why a step had to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheMiss {
    /// This operation was never recorded.
    New,
    /// The operation is known, but on other inputs.
    InputsChanged,
    /// `--no-cache`.
    Disabled,
    /// `RUN --no-cache`.
    Uncached,
    /// `RUN --cache-ttl`: its result is older.
    Expired,
}

/// Bytes or items moved by part of a vertex: a layer pulled, a context read, an archive written.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// Which part: unique within the vertex (`sha256:…`, `transferring context`).
    pub name: String,
    /// How much is done, in bytes.
    pub current: u64,
    /// How much there is, in bytes, where that is known.
    pub total: Option<u64>,
    /// Whether it is complete.
    pub done: bool,
}

/// What time was spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Reading the Dockerfile and lowering it to a graph.
    Dockerfile,
    /// Finding files of the context: listing and `stat`.
    Context,
    /// Reading files of the context for their digests.
    Hashing,
    /// Cache keys, and looking them up.
    Keys,
    /// Waiting for a free job, for another process that does the same, or for a cache mount.
    Waiting,
    /// Putting a sandbox together, until its process runs.
    Mounts,
    /// Processes of steps.
    Processes,
    /// Writing layers of copies.
    Copying,
    /// Making layers of what steps changed.
    Sealing,
    /// Asking and fetching from registries.
    Network,
    /// Writing and sending what was built.
    Output,
    /// Compressing layers for that, while what is done of them is sent.
    Compressing,
}

/// Time that was spent; the event's own time is its end.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// For which row; `None` for the build as a whole.
    pub vertex: Option<VertexId>,
    /// On what.
    pub phase: Phase,
    /// When it began.
    pub began: SystemTime,
    /// How much: more than from its beginning to its end where several threads spent it together.
    pub time: Duration,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum EventKind {
    /// A row appears. Comes before anything else that names it.
    Vertex(Vertex),
    /// Work on it began.
    Started(VertexId),
    /// It was found in the cache; it is complete.
    Cached(VertexId, CacheHit),
    /// It was not in the cache and will run.
    Missed(VertexId, CacheMiss),
    /// A piece of output of its command: whole or partial lines, any bytes.
    Log(VertexId, Stream, Arc<[u8]>),
    /// Bytes moved.
    Transfer(VertexId, Transfer),
    /// It is complete.
    Completed(VertexId),
    /// It failed; the text is the error without its context.
    Failed(VertexId, String),
    /// It was stopped because something else failed or the user asked.
    Cancelled(VertexId),
    /// Time was spent. Told only to those who want to know, see [`Listener::wants_spans`].
    Span(Span),
    /// A finding, ready to be shown: about the Dockerfile, whose excerpt is `detail`, or about a mirror that failed.
    Warning {
        /// The rule or kind (`LegacyKeyValueFormat`), empty for none.
        rule: String,
        /// One line.
        message: String,
        /// `Dockerfile:3`, the excerpt and its caret.
        detail: String,
    },
}

/// An event and its time.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub at: SystemTime,
    /// What.
    pub kind: EventKind,
}

/// Receives events, in order, from many threads; must return at once.
pub trait Listener: Send + Sync {
    /// Takes one event.
    fn event(&self, event: Event);

    /// Whether it makes use of [`EventKind::Span`].
    fn wants_spans(&self) -> bool {
        false
    }
}
