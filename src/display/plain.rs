//! Progress as plain text, in the form of BuildKit's `--progress=plain`: one block per step, each line with the step's
//! number; steps that run at the same time take turns.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use engine::event::{Event, EventKind, Transfer, VertexId};

use super::summary::{self, Warning};
use super::tail::Tail;
use super::{View, text, write_batch};
use crate::units;

/// A block stays for this long before a step that waits may take over.
const HOLD: Duration = Duration::from_secs(5);
/// A step with this much unseen output takes over at once.
const MAX_HIDDEN: usize = 256 * 1024;
/// Lines repeated when a step fails.
const FAILURE_LINES: usize = 10;
/// Longest line that is repeated.
const MAX_FAILURE_LINE: usize = 4096;
/// Progress of a transfer is told in steps of this share of the whole…
const TRANSFER_SHARE: f64 = 0.05;
/// …or after this time.
const TRANSFER_TIME: Duration = Duration::from_secs(5);

/// The display.
#[derive(Debug)]
pub(super) struct Plain<W> {
    out: W,
    batch: Vec<u8>,
    rows: Vec<Row>,
    by_id: HashMap<VertexId, usize>,
    /// The row whose block is open, and since when.
    current: Option<(usize, SystemTime)>,
    /// Rows that ended and are not yet printed, in the order of their ends.
    ended: Vec<usize>,
    any_block: bool,
    warnings: Vec<Warning>,
    debug: bool,
    /// Nothing is shown but the last output of what failed.
    only_failures: bool,
}

#[derive(Debug)]
struct Row {
    number: usize,
    name: String,
    started: Option<SystemTime>,
    /// Lines that are not yet written, with their prefixes.
    pending: Vec<u8>,
    /// Since when something waits to be written.
    waiting: Option<SystemTime>,
    /// The last line written or pending has no end yet.
    open_line: bool,
    transfers: Vec<Moved>,
    last_lines: Tail<Vec<u8>>,
    running: bool,
    failed: bool,
}

#[derive(Debug)]
struct Moved {
    name: String,
    started: SystemTime,
    told: SystemTime,
    told_bytes: u64,
    done: bool,
}

impl<W: Write + Send> Plain<W> {
    pub(super) fn new(out: W, debug: bool) -> Self {
        Self {
            out,
            batch: Vec::new(),
            rows: Vec::new(),
            by_id: HashMap::new(),
            current: None,
            ended: Vec::new(),
            any_block: false,
            warnings: Vec::new(),
            debug,
            only_failures: false,
        }
    }

    /// A display that shows the last output of what failed, and nothing else.
    pub(super) fn of_failures(out: W) -> Self {
        Self {
            only_failures: true,
            ..Self::new(out, false)
        }
    }

    fn with_row(&mut self, id: VertexId, change: impl FnOnce(&mut Row)) {
        if let Some(&index) = self.by_id.get(&id) {
            change(&mut self.rows[index]);
        }
    }

    fn end(&mut self, id: VertexId, at: SystemTime, verdict: impl FnOnce(&mut Row) -> String) {
        if let Some(&index) = self.by_id.get(&id) {
            self.end_row(index, at, verdict);
        }
    }

    fn end_row(&mut self, index: usize, at: SystemTime, verdict: impl FnOnce(&mut Row) -> String) {
        let row = &mut self.rows[index];
        let verdict = verdict(row);
        row.line(&verdict, at);
        row.running = false;
        self.ended.push(index);
    }

    /// Writes the block of a row, or more of it.
    fn show(&mut self, index: usize, now: SystemTime) {
        if self.current.is_none_or(|(current, _)| current != index) {
            self.leave();
            if self.any_block {
                self.batch.push(b'\n');
            }
            self.any_block = true;
            let row = &self.rows[index];
            self.batch
                .extend_from_slice(format!("#{} {}\n", row.number, row.name).as_bytes());
            self.current = Some((index, now));
        }
        let row = &mut self.rows[index];
        self.batch.append(&mut row.pending);
        row.waiting = None;
        if !row.running {
            self.current = None;
        }
    }

    /// Closes the block of the row whose turn ends.
    fn leave(&mut self) {
        let Some((index, _)) = self.current.take() else {
            return;
        };
        let row = &mut self.rows[index];
        if std::mem::take(&mut row.open_line) {
            self.batch.push(b'\n');
        }
        self.batch
            .extend_from_slice(format!("#{} ...\n", row.number).as_bytes());
    }

    fn show_ended(&mut self, now: SystemTime) {
        let mut ended = std::mem::take(&mut self.ended);
        if let Some((current, _)) = self.current {
            // The open block first, so that it is closed rather than interrupted.
            ended.sort_by_key(|&index| index != current);
        }
        for index in ended {
            self.show(index, now);
        }
    }

    fn show_running(&mut self, now: SystemTime) {
        let next = match self.current {
            None => self
                .hidden()
                .min_by_key(|&index| Reverse(self.rows[index].pending.len())),
            Some((current, since)) => {
                if self.rows[current].waiting.is_some() {
                    self.show(current, now);
                }
                let held = elapsed(since, now) >= HOLD;
                self.hidden()
                    .filter(|&index| {
                        let row = &self.rows[index];
                        let waited = row.waiting.is_some_and(|since| elapsed(since, now) >= HOLD);
                        (held && waited) || row.pending.len() > MAX_HIDDEN
                    })
                    .min_by_key(|&index| self.rows[index].waiting)
            }
        };
        if let Some(index) = next {
            self.show(index, now);
        }
    }

    /// Running rows that have something to say and are not the current one.
    fn hidden(&self) -> impl Iterator<Item = usize> {
        let current = self.current.map(|(index, _)| index);
        self.rows
            .iter()
            .enumerate()
            .filter(move |&(index, row)| row.waiting.is_some() && Some(index) != current)
            .map(|(index, _)| index)
    }
}

impl<W: Write + Send> View for Plain<W> {
    fn event(&mut self, event: &Event) {
        let at = event.at;
        match &event.kind {
            EventKind::Vertex(vertex) => {
                let number = self.rows.len() + 1;
                self.by_id.insert(vertex.id, self.rows.len());
                self.rows
                    .push(Row::new(number, text::single_line(&vertex.name)));
            }
            EventKind::Started(id) => self.with_row(*id, |row| row.start(at)),
            EventKind::Cached(id, _) => self.end(*id, at, |_| "CACHED".to_owned()),
            EventKind::Missed(..) | EventKind::Span(_) => {}
            EventKind::Log(id, _, bytes) => self.with_row(*id, |row| row.log(bytes, at)),
            EventKind::Transfer(id, transfer) => {
                self.with_row(*id, |row| row.transfer(transfer, at));
            }
            EventKind::Completed(id) => self.end(*id, at, |row| {
                row.started.map_or_else(
                    || "DONE".to_owned(),
                    |started| format!("DONE {:.1}s", elapsed(started, at).as_secs_f64()),
                )
            }),
            EventKind::Failed(id, error) => self.end(*id, at, |row| {
                row.failed = true;
                format!("ERROR: {error}")
            }),
            EventKind::Cancelled(id) => self.end(*id, at, |_| "CANCELED".to_owned()),
            EventKind::Warning {
                rule,
                message,
                detail,
            } => self.warnings.push(Warning {
                rule: rule.clone(),
                message: message.clone(),
                detail: detail.clone(),
            }),
        }
    }

    fn refresh(&mut self, now: SystemTime) -> io::Result<()> {
        self.show_ended(now);
        self.show_running(now);
        if self.only_failures {
            self.batch.clear();
        }
        write_batch(&mut self.out, &mut self.batch)
    }

    fn finish(&mut self, now: SystemTime) -> io::Result<()> {
        for index in 0..self.rows.len() {
            if self.rows[index].running {
                self.end_row(index, now, |_| "CANCELED".to_owned());
            }
        }
        self.show_ended(now);
        if self.only_failures {
            self.batch.clear();
            self.warnings.clear();
        }
        for row in self.rows.iter().filter(|row| row.failed) {
            summary::failure(
                &mut self.batch,
                &row.name,
                row.last_lines.lines().map(Vec::as_slice),
            );
        }
        summary::warnings(&mut self.batch, &self.warnings, self.debug);
        write_batch(&mut self.out, &mut self.batch)
    }
}

impl Row {
    fn new(number: usize, name: String) -> Self {
        Self {
            number,
            name,
            started: None,
            pending: Vec::new(),
            waiting: None,
            open_line: false,
            transfers: Vec::new(),
            last_lines: Tail::new(FAILURE_LINES),
            running: false,
            failed: false,
        }
    }

    fn start(&mut self, at: SystemTime) {
        self.started = Some(at);
        self.running = true;
        self.waiting.get_or_insert(at);
    }

    /// Adds a line of ours.
    fn line(&mut self, line: &str, at: SystemTime) {
        if std::mem::take(&mut self.open_line) {
            self.pending.push(b'\n');
        }
        self.pending
            .extend_from_slice(format!("#{} {line}\n", self.number).as_bytes());
        self.waiting.get_or_insert(at);
    }

    /// Adds output of the command, as it is.
    fn log(&mut self, bytes: &[u8], at: SystemTime) {
        let time = units::log_time(elapsed(self.started.unwrap_or(at), at));
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let line = piece.strip_suffix(b"\n");
            if !self.open_line {
                self.pending
                    .extend_from_slice(format!("#{} {time} ", self.number).as_bytes());
                self.last_lines.push(format!("{time} ").into_bytes());
            }
            self.last_lines
                .extend_last(line.unwrap_or(piece), MAX_FAILURE_LINE);
            self.pending.extend_from_slice(piece);
            self.open_line = line.is_none();
        }
        self.waiting.get_or_insert(at);
    }

    fn transfer(&mut self, transfer: &Transfer, at: SystemTime) {
        let name = transfer_label(&transfer.name);
        let known = self.transfers.iter_mut().find(|moved| moved.name == name);
        let moved = match known {
            Some(moved) => {
                if moved.done || !(transfer.done || moved.is_due(transfer, at)) {
                    return;
                }
                moved
            }
            None => self.transfers.push_mut(Moved {
                name,
                started: at,
                told: at,
                told_bytes: 0,
                done: false,
            }),
        };
        moved.told = at;
        moved.told_bytes = transfer.current;
        moved.done = transfer.done;
        let line = moved.describe(transfer, at);
        self.line(&line, at);
    }
}

impl Moved {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of one twentieth needs no more"
    )]
    fn is_due(&self, transfer: &Transfer, at: SystemTime) -> bool {
        let share = transfer
            .total
            .filter(|&total| total > 0)
            .map_or(0.0, |total| {
                transfer.current.saturating_sub(self.told_bytes) as f64 / total as f64
            });
        share >= TRANSFER_SHARE || elapsed(self.told, at) >= TRANSFER_TIME
    }

    fn describe(&self, transfer: &Transfer, at: SystemTime) -> String {
        let mut line = self.name.clone();
        line += &transfer_bytes(transfer).map_or_else(String::new, |bytes| format!(" {bytes}"));
        let seconds = elapsed(self.started, at).as_secs_f64();
        if seconds > 0.01 {
            line += format!(" {seconds:.1}s").as_str();
        }
        if transfer.done {
            line += " done";
        }
        line
    }
}

/// The name of a transfer as a row shows it: BuildKit sets a colon after those that a size follows.
pub(super) fn transfer_label(name: &str) -> String {
    let name = text::single_line(name);
    if name.starts_with("transferring ") && !name.ends_with(':') {
        name + ":"
    } else {
        name
    }
}

/// `1.20MB / 5.00MB`, `2B`, or nothing.
pub(super) fn transfer_bytes(transfer: &Transfer) -> Option<String> {
    match (transfer.current, transfer.total) {
        (current, Some(total)) if total > 0 => Some(format!(
            "{} / {}",
            units::bytes(current),
            units::bytes(total)
        )),
        (0, _) => None,
        (current, _) => Some(units::bytes(current)),
    }
}

/// Time between two events; none when the clock was set back.
pub(super) fn elapsed(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
