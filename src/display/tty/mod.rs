//! Live rows on a terminal: a header, a row per step with its time, and the last output of what is running.
//!
//! Drawing is our own rather than a progress-bar library's: rows are chosen anew for each height, a frame is one write
//! of only the lines that changed, and nothing has to be restored if the program is killed between two frames.

mod layout;
mod rows;
mod screen;

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use engine::event::{Event, EventKind};

use super::plain::elapsed;
use super::summary::{self, Warning};
use super::{Options, View, text, write_batch};
use layout::Frame;
use rows::Rows;
use screen::Screen;

/// Shortest time between two frames: at most 15 a second. A build that is over before the first one shows only its end.
const FRAME: Duration = Duration::from_millis(66);

/// The display. `size` gives columns and rows.
#[derive(Debug)]
pub(super) struct Tty<W, S> {
    out: W,
    batch: Vec<u8>,
    size: S,
    options: Options,
    rows: Rows,
    screen: Screen,
    warnings: Vec<Warning>,
    began: Option<SystemTime>,
    drawn: Option<SystemTime>,
}

impl<W: Write + Send, S: Fn() -> (usize, usize) + Send> Tty<W, S> {
    pub(super) fn new(out: W, options: Options, size: S) -> Self {
        Self {
            out,
            batch: Vec::new(),
            size,
            options,
            rows: Rows::default(),
            screen: Screen::default(),
            warnings: Vec::new(),
            began: None,
            drawn: None,
        }
    }

    fn draw(&mut self, now: SystemTime, last: bool) {
        let (width, height) = (self.size)();
        let frame = Frame {
            rows: &self.rows,
            options: &self.options,
            now,
            elapsed: elapsed(self.began.unwrap_or(now), now),
            width: width.max(1),
            height: (!last).then_some(height.max(3)),
        };
        self.screen
            .draw(frame.lines(), width.max(1), height.max(3), &mut self.batch);
        self.drawn = Some(now);
    }
}

impl<W: Write + Send, S: Fn() -> (usize, usize) + Send> View for Tty<W, S> {
    fn event(&mut self, event: &Event) {
        self.began.get_or_insert(event.at);
        self.drawn.get_or_insert(event.at);
        if let EventKind::Warning {
            rule,
            message,
            detail,
        } = &event.kind
        {
            self.warnings.push(Warning {
                rule: text::single_line(rule),
                message: text::single_line(message),
                detail: detail.clone(),
            });
        } else {
            self.rows.event(event);
        }
    }

    fn refresh(&mut self, now: SystemTime) -> io::Result<()> {
        if self.drawn.is_none_or(|drawn| elapsed(drawn, now) >= FRAME) {
            self.draw(now, false);
        }
        write_batch(&mut self.out, &mut self.batch)
    }

    fn finish(&mut self, now: SystemTime) -> io::Result<()> {
        self.rows.stop(now);
        if self.began.is_some() {
            self.draw(now, true);
        }
        for row in self.rows.failed() {
            let lines: Vec<String> = row.output();
            summary::failure(
                &mut self.batch,
                &row.name,
                lines.iter().map(String::as_bytes),
            );
        }
        summary::warnings(&mut self.batch, &self.warnings, self.options.debug);
        write_batch(&mut self.out, &mut self.batch)
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(100)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
