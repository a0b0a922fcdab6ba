//! What a person or a machine sees of a build: listeners of the engine's events.
//!
//! Each display is a [`View`]: a plain state machine that takes events and writes to whatever it was given. [`Display`]
//! runs one on a thread of its own behind a bounded queue, so that work is not held up by a slow terminal until the
//! queue is full, and memory stays bounded when it is.

mod plain;
mod rawjson;
mod style;
mod summary;
mod tail;
mod text;
mod tty;

#[cfg(test)]
mod fixtures;

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use engine::event::{Event, Listener};

pub(crate) use style::Colors;
pub(crate) use text::{single_line, truncate, width};

/// Events that may wait for a display before those who send them have to.
const QUEUE: usize = 1024;

/// What `--progress` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Live rows on a terminal, plain text elsewhere
    #[default]
    Auto,
    /// Live rows; standard error must be a terminal
    Tty,
    /// Plain text, as it comes
    Plain,
    /// One JSON object a line, as BuildKit's clients write it
    Rawjson,
    /// Only the image's ID, on standard output
    Quiet,
    /// Nothing at all
    None,
}

/// A display asked for that the surroundings cannot show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DisplayError {
    /// Live rows without a terminal.
    #[error("`--progress=tty` needs a terminal on standard error")]
    NotATerminal,
    /// `BUILDKIT_PROGRESS` names no display.
    #[error(
        "`{0}` in `BUILDKIT_PROGRESS` is not one of `auto`, `tty`, `plain`, `rawjson`, `quiet`, `none`"
    )]
    UnknownMode(String),
}

/// What a display needs to know beside its mode.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// What is being done, for the header of live rows: `Building`, `Pulling`.
    pub phase: &'static str,
    /// Whether warnings are shown with their source excerpts.
    pub debug: bool,
    /// Lines of output that a running step shows; `BUILDKIT_TTY_LOG_LINES`.
    pub log_lines: usize,
    /// The colours of rows.
    pub colors: Colors,
}

impl Mode {
    /// Decides what `auto` stands for, and refuses live rows where there is no terminal.
    pub(crate) fn resolve(self, terminal: bool) -> Result<Self, DisplayError> {
        match (self, terminal) {
            (Self::Auto, true) => Ok(Self::Tty),
            (Self::Auto, false) => Ok(Self::Plain),
            (Self::Tty, false) => Err(DisplayError::NotATerminal),
            (mode, _) => Ok(mode),
        }
    }

    /// Reads the value of `BUILDKIT_PROGRESS`.
    pub(crate) fn from_env(value: &str) -> Result<Self, DisplayError> {
        clap::ValueEnum::from_str(value, false)
            .map_err(|_| DisplayError::UnknownMode(value.to_owned()))
    }
}

/// A state machine that shows events.
trait View: Send {
    /// Takes an event into account.
    fn event(&mut self, event: &Event);

    /// Writes what is due at `now`. Called after each batch of events and at every [`View::interval`].
    fn refresh(&mut self, now: SystemTime) -> io::Result<()>;

    /// Writes all that is left; what still runs was stopped. Called once, last.
    fn finish(&mut self, now: SystemTime) -> io::Result<()>;

    /// The longest time between two refreshes.
    fn interval(&self) -> Duration {
        Duration::from_millis(250)
    }
}

/// A running display.
#[derive(Debug)]
pub(crate) struct Display {
    queue: Mutex<Option<SyncSender<Event>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Display {
    /// Starts the display of a resolved `mode`, writing to standard error. `size` gives the terminal's columns and
    /// rows whenever it is asked.
    pub(crate) fn start(mode: Mode, options: Options, size: fn() -> (usize, usize)) -> Self {
        match mode {
            Mode::Auto | Mode::Plain => Self::spawn(plain::Plain::new(io::stderr(), options.debug)),
            Mode::Tty => Self::spawn(tty::Tty::new(io::stderr(), options, size)),
            Mode::Rawjson => Self::spawn(rawjson::RawJson::new(io::stderr())),
            Mode::Quiet => Self::spawn(plain::Plain::of_failures(io::stderr())),
            Mode::None => Self {
                queue: Mutex::new(None),
                thread: Mutex::new(None),
            },
        }
    }

    fn spawn(view: impl View + 'static) -> Self {
        let (sender, receiver) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("display".to_owned())
            .spawn(move || show(view, &receiver))
            .ok();
        Self {
            // Without a thread the receiver is gone and events go nowhere, as they should.
            queue: Mutex::new(Some(sender)),
            thread: Mutex::new(thread),
        }
    }

    /// Shows what is left and ends the display; later events are dropped.
    pub(crate) fn finish(&self) {
        drop(
            self.queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A panic in the display must not change the outcome of the build.
            drop(thread.join());
        }
    }
}

impl Listener for Display {
    fn event(&self, event: Event) {
        let sender = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .cloned();
        if let Some(sender) = sender {
            // An error says that the display has ended: nobody is left to be told.
            drop(sender.send(event));
        }
    }
}

/// Feeds a view until every sender is gone. A view that cannot write (a closed pipe) is no longer asked to, but its
/// queue is still emptied, so that the build goes on.
fn show(mut view: impl View, events: &Receiver<Event>) {
    let mut writable = true;
    loop {
        match events.recv_timeout(view.interval()) {
            Ok(event) => view.event(&event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let ended = take_waiting(&mut view, events);
        if writable && !ended {
            writable = view.refresh(SystemTime::now()).is_ok();
        }
        if ended {
            break;
        }
    }
    if writable {
        // Nothing can be said about an output that is closed.
        drop(view.finish(SystemTime::now()));
    }
}

/// Takes the events that are already there, at most one queue of them; true when no more will come.
fn take_waiting(view: &mut impl View, events: &Receiver<Event>) -> bool {
    for _ in 0..QUEUE {
        match events.try_recv() {
            Ok(event) => view.event(&event),
            Err(TryRecvError::Empty) => return false,
            Err(TryRecvError::Disconnected) => return true,
        }
    }
    false
}

/// Writes a batch in one call and empties it.
fn write_batch(out: &mut impl Write, batch: &mut Vec<u8>) -> io::Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let written = out.write_all(batch).and_then(|()| out.flush());
    batch.clear();
    written
}
