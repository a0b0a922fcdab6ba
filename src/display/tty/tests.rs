//! Live rows, read back through a terminal model.

use engine::event::CacheMiss;

use super::super::fixtures::{self, at, cached, completed, log, missed, started, vertex};
use super::*;
use crate::display::Colors;

/// Tells columns and rows.
type Size = Box<dyn Fn() -> (usize, usize) + Send>;

/// A terminal of a size that tests can change.
struct Terminal {
    view: Tty<Vec<u8>, Size>,
    model: vt100::Parser,
    read: usize,
}

impl Terminal {
    fn new(columns: u16, rows: u16) -> Self {
        let options = Options {
            phase: "Building",
            log_lines: 6,
            ..Options::default()
        };
        Self {
            view: Tty::new(Vec::new(), options, size(columns, rows)),
            model: vt100::Parser::new(rows, columns, 1000),
            read: 0,
        }
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.view.size = size(columns, rows);
        self.model.screen_mut().set_size(rows, columns);
    }

    fn play(&mut self, events: &[Event]) {
        for event in events {
            self.view.event(event);
            self.view.refresh(event.at).expect("memory takes it");
        }
    }

    /// Draws at a time and gives what the terminal shows.
    fn at(&mut self, millis: u64) -> String {
        self.view.refresh(at(millis)).expect("memory takes it");
        self.contents()
    }

    fn finish(&mut self, millis: u64) -> String {
        self.view.finish(at(millis)).expect("memory takes it");
        self.contents()
    }

    fn contents(&mut self) -> String {
        // A terminal's line discipline sends a carriage return with each line feed.
        let written = String::from_utf8_lossy(&self.view.out[self.read..]).replace('\n', "\r\n");
        self.model.process(written.as_bytes());
        self.read = self.view.out.len();
        let columns = self.model.screen().size().1;
        let lines: Vec<String> = self.model.screen().rows(0, columns).collect();
        lines.join("\n").trim_end().to_owned()
    }
}

fn size(columns: u16, rows: u16) -> Size {
    Box::new(move || (columns.into(), rows.into()))
}

#[test]
fn running_rows_at_several_widths() {
    for (columns, rows) in [(100, 30), (60, 30), (30, 30), (18, 30)] {
        let mut terminal = Terminal::new(columns, rows);
        terminal.play(&fixtures::running_build());
        let shown = terminal.at(1_800);
        assert!(
            shown
                .lines()
                .all(|line| text::width(line) <= usize::from(columns))
        );
        insta::assert_snapshot!(format!("running_{columns}"), shown);
    }
}

#[test]
fn a_good_build_ends_with_all_rows() {
    let mut terminal = Terminal::new(80, 30);
    terminal.play(&fixtures::good_build());
    insta::assert_snapshot!(terminal.finish(2_400));
}

#[test]
fn a_failing_build_repeats_the_output() {
    let mut terminal = Terminal::new(80, 30);
    terminal.play(&fixtures::failing_build());
    insta::assert_snapshot!(terminal.finish(2_400));
}

#[test]
fn frames_replace_each_other() {
    let mut terminal = Terminal::new(80, 30);
    terminal.play(&fixtures::running_build());
    for millis in [1_600, 1_700, 1_800, 2_500] {
        let shown = terminal.at(millis);
        assert_eq!(shown.matches("[+] Building").count(), 1, "{shown}");
        assert_eq!(shown.matches("RUN make").count(), 1, "{shown}");
    }
    terminal.play(&fixtures::good_build()[fixtures::running_build().len()..]);
    let shown = terminal.finish(2_600);
    assert!(!shown.contains(" => => # "), "{shown}");
}

#[test]
fn an_unchanged_frame_is_not_written() {
    let mut terminal = Terminal::new(80, 30);
    terminal.play(&[vertex(0, 0, "a"), started(0, 0)]);
    terminal.at(110);
    let before = terminal.view.out.len();
    terminal.at(120);
    assert_eq!(terminal.view.out.len(), before);
    terminal.at(300);
    let frame = String::from_utf8_lossy(&terminal.view.out[before..]).into_owned();
    assert!(frame.starts_with("\x1b[?2026h\x1b[?25l") && frame.ends_with("\x1b[?25h\x1b[?2026l"));
}

#[test]
fn a_short_build_is_drawn_once() {
    let mut terminal = Terminal::new(80, 30);
    terminal.play(&[
        vertex(0, 0, "a"),
        cached(5, 0),
        vertex(5, 1, "b"),
        cached(9, 1),
    ]);
    assert!(terminal.view.out.is_empty());
    assert_eq!(terminal.finish(10).lines().count(), 3);
}

#[test]
fn a_low_terminal_keeps_what_runs() {
    let mut terminal = Terminal::new(60, 8);
    let mut events = Vec::new();
    for id in 0..20 {
        events.extend([
            vertex(u64::from(id), id, &format!("[{id}/20] RUN step")),
            started(u64::from(id), id),
        ]);
    }
    events.extend(
        (0..20)
            .filter(|id| id % 7 != 0)
            .map(|id| completed(100 + u64::from(id), id)),
    );
    terminal.play(&events);
    let shown = terminal.at(1_000);
    assert_eq!(shown.lines().count(), 7, "{shown}");
    for running in ["[0/20]", "[7/20]", "[14/20]", "[19/20]"] {
        assert!(shown.contains(running), "{shown}");
    }
    assert_eq!(terminal.model.screen().cursor_position(), (7, 0));
    let all = terminal.finish(1_100);
    assert!(all.contains("[19/20]"), "{all}");
}

#[test]
fn a_resized_terminal_is_drawn_anew() {
    let mut terminal = Terminal::new(100, 30);
    terminal.play(&fixtures::running_build());
    terminal.at(1_800);
    for (millis, columns, rows) in [(2_000, 50, 30), (2_100, 50, 9), (2_200, 120, 40)] {
        terminal.resize(columns, rows);
        let shown = terminal.at(millis);
        assert!(shown.lines().count() < usize::from(rows), "{shown}");
        assert!(shown.contains("RUN make"), "{shown}");
    }
}

#[test]
fn hostile_names_and_output_cannot_move_the_cursor() {
    let mut terminal = Terminal::new(60, 20);
    terminal.play(&[
        vertex(0, 0, "[1/1] RUN \x1b[2J\x1b[31mevil\r\nname"),
        started(0, 0),
        log(10, 0, "\x1b[10A\x1b]0;owned\x07text\x1b[?25l\n漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字\n"),
    ]);
    let shown = terminal.at(500);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 4, "{shown}");
    assert!(
        lines[1].starts_with(" => [1/1] RUN [2J[31mevil name "),
        "{shown}"
    );
    assert_eq!(lines[2], " => => # text");
    assert!(!terminal.model.screen().hide_cursor());
}

#[test]
fn colours_follow_the_state() {
    let mut terminal = Terminal::new(60, 20);
    terminal.view.options.colors = Colors::choose(None, None);
    terminal.play(&[
        vertex(0, 0, "done"),
        started(0, 0),
        completed(10, 0),
        vertex(10, 1, "running"),
        missed(10, 1, CacheMiss::InputsChanged),
        started(10, 1),
    ]);
    terminal.at(200);
    let text = String::from_utf8_lossy(&terminal.view.out).into_owned();
    assert!(text.contains("\x1b[34m => done\x1b[0m"), "{text:?}");
    assert!(
        text.contains(" => running\x1b[2m (inputs changed)\x1b[0m"),
        "{text:?}"
    );
}
