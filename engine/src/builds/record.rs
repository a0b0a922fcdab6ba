//! What is remembered of a build, as it is in the store.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::event::{CacheHit, CacheMiss};

/// A build that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// What people call it by.
    pub id: String,
    /// When it began, in microseconds since 1970.
    began: u64,
    /// How long it took, in microseconds.
    micros: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The build context.
    pub context: String,
    /// The Dockerfile, as messages name it.
    pub dockerfile: String,
    /// The stage that was asked for.
    pub target: Option<String>,
    /// The platform it was built for; several with commas between.
    pub platform: String,
    /// The names that were asked for.
    pub tags: Vec<String>,
    /// The digest of the image's config.
    pub image: Option<String>,
    /// Rows of its progress, in their order.
    pub rows: Vec<RowRecord>,
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The image is there.
    Completed,
    /// Something went wrong: what, on one line.
    Failed(String),
    /// It was stopped.
    Cancelled,
}

/// A row of a build's progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRecord {
    /// Its name: `[build 2/5] RUN make`.
    pub name: String,
    /// What became of it.
    pub end: RowEnd,
    /// When it began, in microseconds after the build did.
    pub(super) began: Option<u64>,
    /// How long it took, in microseconds.
    pub(super) micros: Option<u64>,
    /// What it is in the Dockerfile; `None` for the engine's own work.
    pub step: Option<StepRecord>,
}

/// A step of the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its stage: the name, or `stage-N`.
    pub stage: String,
    /// Its place among the steps of its stage, from 0.
    pub position: usize,
    /// The line of its instruction.
    pub line: Option<usize>,
    /// The rows of the steps that it builds on, by input number; `None` for an empty root.
    pub inputs: Vec<Option<usize>>,
    /// Its definition key, once that was known.
    pub definition: Option<String>,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowEnd {
    /// The build ended before its turn came.
    Unreached,
    /// Found in the cache.
    Cached(CacheHit),
    /// It was done: a step because it was not in the cache.
    Done(Option<CacheMiss>),
    /// It went wrong: what, on one line.
    Failed(String),
    /// It was stopped.
    Cancelled,
}

impl BuildRecord {
    /// A build that begins.
    pub(super) fn new(id: String, began: SystemTime) -> Self {
        Self {
            id,
            began: micros_between(UNIX_EPOCH, began),
            micros: 0,
            outcome: Outcome::Cancelled,
            context: String::new(),
            dockerfile: String::new(),
            target: None,
            platform: String::new(),
            tags: Vec::new(),
            image: None,
            rows: Vec::new(),
        }
    }

    /// Notes the end.
    pub(super) fn ended(&mut self, at: SystemTime) {
        self.micros = micros_between(self.began(), at);
    }

    /// When it began.
    pub fn began(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.began)
    }

    /// How long it took.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.micros)
    }

    /// The steps of the Dockerfile, with the numbers of their rows.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = (usize, &RowRecord, &StepRecord)> {
        let rows = self.rows.iter().enumerate();
        rows.filter_map(|(number, row)| Some((number, row, row.step.as_ref()?)))
    }

    /// How many steps were found in the cache, and how many there are.
    pub fn cached_share(&self) -> (usize, usize) {
        let cached = |row: &RowRecord| matches!(row.end, RowEnd::Cached(_));
        let cached = self.steps().filter(|(_, row, _)| cached(row)).count();
        (cached, self.steps().count())
    }
}

impl RowRecord {
    /// When it began, after the build did.
    pub fn began(&self) -> Option<Duration> {
        self.began.map(Duration::from_micros)
    }

    /// How long it took.
    pub fn duration(&self) -> Option<Duration> {
        self.micros.map(Duration::from_micros)
    }

    /// Its instruction, without the place in front: `RUN make`.
    pub fn instruction(&self) -> &str {
        let rest = self
            .name
            .strip_prefix('[')
            .and_then(|name| name.split_once("] "));
        rest.map_or(&self.name, |(_, instruction)| instruction)
    }

    /// Whether its result was there for later steps.
    pub(super) fn has_result(&self) -> bool {
        matches!(self.end, RowEnd::Cached(_) | RowEnd::Done(_))
    }
}

/// Time between two instants; none when the clock was set back.
pub(super) fn micros_between(from: SystemTime, to: SystemTime) -> u64 {
    to.duration_since(from).unwrap_or_default().as_micros() as u64
}
