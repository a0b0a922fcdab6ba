//! Which lines make up a frame, and how each is laid out in the columns that there are.

use std::time::{Duration, SystemTime};

use super::super::Options;
use super::super::text::{truncate, width};
use super::rows::{Moved, Row, Rows, State};
use super::screen::{Line, Span};

/// Columns below which a row has no time beside its name.
const NARROW: usize = 24;

/// Everything that a frame shows.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub rows: &'a Rows,
    pub options: &'a Options,
    pub now: SystemTime,
    pub elapsed: Duration,
    pub width: usize,
    /// Lines of the terminal; `None` for the last frame, which shows all and may scroll.
    pub height: Option<usize>,
}

/// How much of a row is shown.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    row: bool,
    transfers: usize,
    log_lines: usize,
}

impl Frame<'_> {
    /// The lines from top to bottom.
    pub(super) fn lines(&self) -> Vec<Line> {
        let rows: Vec<&Row> = self.rows.shown().collect();
        let shares = match self.height {
            None => rows.iter().map(|row| Share::whole(row)).collect(),
            // One line for the header, one for the cursor.
            Some(height) => self.share_out(&rows, height.saturating_sub(2)),
        };
        let mut lines = vec![self.header()];
        for (row, share) in rows.iter().zip(shares) {
            self.row_lines(row, share, &mut lines);
        }
        lines
    }

    fn header(&self) -> Line {
        let (ended, total) = (self.rows.ended(), self.rows.total());
        let finished = if self.height.is_none() && total > 0 && ended == total {
            " FINISHED"
        } else {
            ""
        };
        let text = format!(
            "[+] {} {:.1}s ({ended}/{total}){finished}",
            self.options.phase,
            self.elapsed.as_secs_f64()
        );
        Line::from(Span::new(truncate(&text, self.width), None))
    }

    /// Divides the lines that there are: running rows first, what they move, their output, then what is complete, the
    /// newest first.
    fn share_out(&self, rows: &[&Row], mut free: usize) -> Vec<Share> {
        let mut shares = vec![Share::default(); rows.len()];
        let mut take = |wanted: usize| {
            let given = wanted.min(free);
            free -= given;
            given
        };
        let newest_first = || rows.iter().enumerate().rev();
        for (index, _) in newest_first().filter(|(_, row)| row.running()) {
            shares[index].row = take(1) == 1;
        }
        for (index, row) in newest_first().filter(|(_, row)| row.running()) {
            shares[index].transfers = take(row.transfers.len());
        }
        for (index, row) in newest_first().filter(|(_, row)| row.running()) {
            shares[index].log_lines = take(row.last_lines(self.options.log_lines).len());
        }
        for (index, _) in newest_first().filter(|(_, row)| !row.running()) {
            shares[index].row = take(1) == 1;
        }
        for (index, row) in newest_first().filter(|(_, row)| !row.running()) {
            shares[index].transfers = take(row.transfers.len());
        }
        shares
    }

    fn row_lines(&self, row: &Row, share: Share, lines: &mut Vec<Line>) {
        if !share.row {
            return;
        }
        lines.push(self.row_line(row));
        let mut transfers: Vec<&Moved> = row.transfers.iter().collect();
        if share.transfers < transfers.len() {
            // What still moves is worth more than what is done.
            transfers.sort_by_key(|moved| moved.done);
            transfers.truncate(share.transfers);
        }
        for moved in transfers {
            let color = if moved.done || !row.running() {
                self.options.colors.run.as_deref()
            } else {
                None
            };
            lines.push(self.timed(
                &format!(" => => {}", moved.name),
                moved.bytes.as_deref(),
                moved.duration(self.now),
                color,
            ));
        }
        for line in row.last_lines(share.log_lines) {
            let text = format!(" => => # {line}");
            lines.push(Line::from(Span::new(
                truncate(&text, self.width),
                self.options.colors.faint.as_deref(),
            )));
        }
    }

    fn row_line(&self, row: &Row) -> Line {
        let colors = &self.options.colors;
        let (mark, color) = match row.state {
            State::Waiting | State::Running => ("", None),
            State::Done => ("", colors.run.as_deref()),
            State::Cached => ("CACHED ", colors.run.as_deref()),
            State::Failed => ("ERROR ", colors.error.as_deref()),
            State::Cancelled => ("CANCELED ", colors.cancel.as_deref()),
        };
        let left = format!(" => {mark}{}", row.name);
        self.timed(&left, row.note, row.duration(self.now), color)
    }

    /// A row with its time at the right edge, and beside its name what fits of `detail`.
    fn timed(
        &self,
        left: &str,
        detail: Option<&str>,
        duration: Duration,
        color: Option<&str>,
    ) -> Line {
        let seconds = duration.as_secs_f64();
        // Shorter than what one frame can tell from nothing.
        let seconds = if seconds < 0.05 { 0.0 } else { seconds };
        let timer = format!(" {seconds:.1}s");
        if self.width < NARROW || self.width <= timer.len() {
            return Line::from(Span::new(truncate(left, self.width), color));
        }
        let room = self.width - timer.len();
        let detail = detail.filter(|detail| width(detail) + NARROW <= room);
        let left = truncate(left, room - detail.map_or(0, |detail| width(detail) + 1));
        let used = width(left) + detail.map_or(0, |detail| width(detail) + 1);
        let mut line = Line::from(Span::new(left, color));
        if let Some(detail) = detail {
            let note = detail.starts_with('(');
            let color = if note {
                self.options.colors.faint.as_deref()
            } else {
                color
            };
            line.push(Span::new(&format!(" {detail}"), color));
        }
        line.push(Span::new(
            &format!("{:pad$}{timer}", "", pad = room - used),
            color,
        ));
        line
    }
}

impl Share {
    /// All of a row but the output of its command.
    fn whole(row: &Row) -> Self {
        Self {
            row: true,
            transfers: row.transfers.len(),
            log_lines: 0,
        }
    }
}
