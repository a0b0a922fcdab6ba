//! Progress for machines: one JSON object a line in the form of BuildKit's client (`SolveStatus`: `vertexes`,
//! `statuses`, `logs`, `warnings`).

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::event::{Event, EventKind, Stream, Transfer, VertexId};
use jiff::Timestamp;
use serde::Serialize;

use super::{View, write_batch};

/// The display.
#[derive(Debug)]
pub(super) struct RawJson<W> {
    out: W,
    batch: Vec<u8>,
    vertexes: HashMap<VertexId, Row>,
}

/// What is known of a vertex, told in whole each time that it changes.
#[derive(Debug, Clone, Serialize)]
struct Row {
    digest: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<String>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<Timestamp>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cached: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
    #[serde(skip)]
    transfers: HashMap<String, Timestamp>,
}

/// One line.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status<'a> {
    Vertexes([&'a Row; 1]),
    Statuses([TransferStatus<'a>; 1]),
    Logs([Log<'a>; 1]),
    Warnings([Warning; 1]),
}

#[derive(Debug, Serialize)]
struct TransferStatus<'a> {
    id: &'a str,
    vertex: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    current: u64,
    timestamp: Timestamp,
    started: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Log<'a> {
    vertex: &'a str,
    stream: u8,
    data: String,
    timestamp: Timestamp,
}

#[derive(Debug, Serialize)]
struct Warning {
    level: u8,
    short: String,
    detail: Vec<String>,
}

impl<W: Write + Send> RawJson<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            batch: Vec::new(),
            vertexes: HashMap::new(),
        }
    }

    fn change(&mut self, id: VertexId, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self.vertexes.get_mut(&id) {
            change(row);
            line(&mut self.batch, &Status::Vertexes([row]));
        }
    }

    fn appear(&mut self, vertex: &engine::event::Vertex) {
        let inputs = vertex
            .inputs
            .iter()
            .filter_map(|input| Some(self.vertexes.get(input)?.digest.clone()))
            .collect();
        let row = Row {
            digest: vertex.digest.clone(),
            inputs,
            name: vertex.name.clone(),
            started: None,
            completed: None,
            cached: false,
            error: String::new(),
            transfers: HashMap::new(),
        };
        self.vertexes.insert(vertex.id, row);
        self.change(vertex.id, |_| {});
    }

    fn transfer(&mut self, id: VertexId, transfer: &Transfer, at: Timestamp) {
        let Some(row) = self.vertexes.get_mut(&id) else {
            return;
        };
        let started = *row.transfers.entry(transfer.name.clone()).or_insert(at);
        let status = TransferStatus {
            id: &transfer.name,
            vertex: &row.digest,
            total: transfer.total,
            current: transfer.current,
            timestamp: at,
            started,
            completed: transfer.done.then_some(at),
        };
        line(&mut self.batch, &Status::Statuses([status]));
    }

    fn log(&mut self, id: VertexId, stream: Stream, bytes: &[u8], at: Timestamp) {
        let Some(row) = self.vertexes.get(&id) else {
            return;
        };
        let log = Log {
            vertex: &row.digest,
            stream: match stream {
                Stream::Stdout => 1,
                Stream::Stderr => 2,
            },
            data: STANDARD.encode(bytes),
            timestamp: at,
        };
        line(&mut self.batch, &Status::Logs([log]));
    }

    fn warning(&mut self, rule: &str, message: &str, detail: &str) {
        let short = if rule.is_empty() {
            message.to_owned()
        } else {
            format!("{rule}: {message}")
        };
        let warning = Warning {
            level: 1,
            short: STANDARD.encode(short),
            detail: detail.lines().map(|line| STANDARD.encode(line)).collect(),
        };
        line(&mut self.batch, &Status::Warnings([warning]));
    }
}

impl<W: Write + Send> View for RawJson<W> {
    fn event(&mut self, event: &Event) {
        // A clock outside the years that the format can write is shown as its beginning.
        let at = Timestamp::try_from(event.at).unwrap_or(Timestamp::UNIX_EPOCH);
        match &event.kind {
            EventKind::Vertex(vertex) => self.appear(vertex),
            EventKind::Started(id) => self.change(*id, |row| row.started = Some(at)),
            EventKind::Cached(id, _) => self.change(*id, |row| {
                row.cached = true;
                row.end(at);
            }),
            EventKind::Missed(..) | EventKind::Span(_) => {}
            EventKind::Log(id, stream, bytes) => self.log(*id, *stream, bytes, at),
            EventKind::Transfer(id, transfer) => self.transfer(*id, transfer, at),
            EventKind::Completed(id) => self.change(*id, |row| row.end(at)),
            EventKind::Failed(id, error) => self.change(*id, |row| {
                row.error.clone_from(error);
                row.end(at);
            }),
            EventKind::Cancelled(id) => self.change(*id, |row| {
                // The text by which BuildKit's clients tell a stopped step from a failed one.
                "context canceled".clone_into(&mut row.error);
                row.end(at);
            }),
            EventKind::Warning {
                rule,
                message,
                detail,
            } => self.warning(rule, message, detail),
        }
    }

    fn refresh(&mut self, _now: SystemTime) -> io::Result<()> {
        write_batch(&mut self.out, &mut self.batch)
    }

    fn finish(&mut self, now: SystemTime) -> io::Result<()> {
        let running = |(id, row): (&VertexId, &Row)| {
            (row.started.is_some() && row.completed.is_none()).then_some(*id)
        };
        let mut running: Vec<VertexId> = self.vertexes.iter().filter_map(running).collect();
        running.sort_unstable();
        for id in running {
            let kind = EventKind::Cancelled(id);
            self.event(&Event { at: now, kind });
        }
        self.refresh(now)
    }
}

impl Row {
    fn end(&mut self, at: Timestamp) {
        self.started.get_or_insert(at);
        self.completed = Some(at);
    }
}

fn line(batch: &mut Vec<u8>, status: &Status<'_>) {
    // Writing plain data to memory cannot fail.
    drop(serde_json::to_writer(&mut *batch, status));
    batch.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    #[test]
    fn every_line_is_a_solve_status() {
        let mut view = RawJson::new(Vec::new());
        for event in fixtures::failing_build() {
            view.event(&event);
        }
        view.finish(fixtures::at(9_000)).expect("memory takes it");
        insta::assert_snapshot!(String::from_utf8(view.out).expect("json is text"));
    }
}
