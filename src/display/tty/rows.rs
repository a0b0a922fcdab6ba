//! What is known of each step while its row is shown.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use engine::event::{CacheMiss, Event, EventKind, Transfer, VertexId};

use super::super::plain::{elapsed, transfer_bytes, transfer_label};
use super::super::tail::Tail;
use super::super::text::{self, Cleaner};
use crate::units;

/// Lines of output kept for the case that the step fails: the live rows that showed them will be gone.
const KEPT_LINES: usize = 500;

/// All steps.
#[derive(Debug, Default)]
pub(super) struct Rows {
    all: Vec<Row>,
    by_id: HashMap<VertexId, usize>,
    /// Rows in the order in which they began.
    shown: Vec<usize>,
}

/// One step.
#[derive(Debug)]
pub(super) struct Row {
    /// One clean line.
    pub name: String,
    /// How far it is.
    pub state: State,
    /// What explains that it runs at all.
    pub note: Option<&'static str>,
    /// Parts of it that move bytes.
    pub transfers: Vec<Moved>,
    started: Option<SystemTime>,
    ended: Option<SystemTime>,
    cleaner: Cleaner,
    lines: Tail<String>,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Running,
    Done,
    Cached,
    Failed,
    Cancelled,
}

/// Part of a step that moves bytes.
#[derive(Debug)]
pub(super) struct Moved {
    /// One clean line.
    pub name: String,
    /// `1.20MB / 5.00MB`.
    pub bytes: Option<String>,
    /// No more will come.
    pub done: bool,
    started: SystemTime,
    updated: SystemTime,
}

impl Rows {
    /// Takes an event into account.
    pub(super) fn event(&mut self, event: &Event) {
        let at = event.at;
        match &event.kind {
            EventKind::Vertex(vertex) => {
                self.by_id.insert(vertex.id, self.all.len());
                self.all.push(Row::new(text::single_line(&vertex.name)));
            }
            EventKind::Started(id) => self.change(*id, |row| row.start(at)),
            EventKind::Cached(id, _) => self.change(*id, |row| row.end(State::Cached, at)),
            EventKind::Missed(id, why) => {
                if let Some(&index) = self.by_id.get(id) {
                    self.all[index].note = match why {
                        CacheMiss::InputsChanged => Some("(inputs changed)"),
                        CacheMiss::Expired => Some("(result too old)"),
                        CacheMiss::New | CacheMiss::Disabled | CacheMiss::Uncached => None,
                    };
                }
            }
            EventKind::Log(id, _, bytes) => self.change(*id, |row| row.log(bytes, at)),
            EventKind::Transfer(id, transfer) => self.change(*id, |row| row.transfer(transfer, at)),
            EventKind::Completed(id) => self.change(*id, |row| row.end(State::Done, at)),
            EventKind::Failed(id, _) => self.change(*id, |row| row.end(State::Failed, at)),
            EventKind::Cancelled(id) => self.change(*id, |row| row.end(State::Cancelled, at)),
            EventKind::Warning { .. } | EventKind::Span(_) => {}
        }
    }

    /// Marks what still runs as stopped: nothing more will be heard of it.
    pub(super) fn stop(&mut self, at: SystemTime) {
        for row in self
            .all
            .iter_mut()
            .filter(|row| row.state == State::Running)
        {
            row.end(State::Cancelled, at);
        }
    }

    /// How many steps there are.
    pub(super) fn total(&self) -> usize {
        self.all.len()
    }

    /// How many of them ended.
    pub(super) fn ended(&self) -> usize {
        self.all.iter().filter(|row| row.ended.is_some()).count()
    }

    /// Those that began, in that order.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Row> {
        self.shown.iter().map(|&index| &self.all[index])
    }

    /// Those that failed.
    pub(super) fn failed(&self) -> impl Iterator<Item = &Row> {
        self.all.iter().filter(|row| row.state == State::Failed)
    }

    fn change(&mut self, id: VertexId, change: impl FnOnce(&mut Row)) {
        let Some(&index) = self.by_id.get(&id) else {
            return;
        };
        let row = &mut self.all[index];
        if row.state == State::Waiting {
            self.shown.push(index);
            row.state = State::Running;
        }
        change(row);
    }
}

impl Row {
    fn new(name: String) -> Self {
        Self {
            name,
            state: State::Waiting,
            note: None,
            transfers: Vec::new(),
            started: None,
            ended: None,
            cleaner: Cleaner::default(),
            lines: Tail::new(KEPT_LINES),
        }
    }

    fn start(&mut self, at: SystemTime) {
        self.started = Some(at);
    }

    fn end(&mut self, state: State, at: SystemTime) {
        self.state = state;
        self.ended = Some(at);
    }

    /// Whether the step is still at work.
    pub(super) fn running(&self) -> bool {
        self.ended.is_none()
    }

    /// How long it has worked, or did.
    pub(super) fn duration(&self, now: SystemTime) -> Duration {
        self.started.map_or(Duration::ZERO, |started| {
            elapsed(started, self.ended.unwrap_or(now))
        })
    }

    fn log(&mut self, bytes: &[u8], at: SystemTime) {
        let time = units::log_time(self.duration(at));
        let lines = &mut self.lines;
        self.cleaner
            .push(bytes, |line| lines.push(format!("{time} {line}")));
    }

    fn transfer(&mut self, transfer: &Transfer, at: SystemTime) {
        let name = transfer_label(&transfer.name);
        let bytes = transfer_bytes(transfer);
        if let Some(moved) = self.transfers.iter_mut().find(|moved| moved.name == name) {
            moved.bytes = bytes;
            moved.done = transfer.done;
            moved.updated = at;
        } else {
            self.transfers.push(Moved {
                name,
                bytes,
                done: transfer.done,
                started: at,
                updated: at,
            });
        }
    }

    /// The last lines of output that have text, at most `limit`, oldest first.
    pub(super) fn last_lines(&self, limit: usize) -> Vec<&str> {
        let complete = self
            .lines
            .lines()
            .rev()
            .map(|line| line.split_once(' ').map_or("", |(_, text)| text));
        let mut lines: Vec<&str> = std::iter::once(self.cleaner.partial())
            .chain(complete)
            .filter(|line| !line.trim().is_empty())
            .take(limit)
            .collect();
        lines.reverse();
        lines
    }

    /// All output that is kept, with times.
    pub(super) fn output(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.lines.lines().cloned().collect();
        if !self.cleaner.partial().is_empty() {
            let time = units::log_time(self.duration(self.ended.unwrap_or(SystemTime::UNIX_EPOCH)));
            lines.push(format!("{time} {}", self.cleaner.partial()));
        }
        lines
    }
}

impl Moved {
    /// How long it has moved, or did.
    pub(super) fn duration(&self, now: SystemTime) -> Duration {
        elapsed(self.started, if self.done { self.updated } else { now })
    }
}
