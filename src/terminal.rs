//! The terminal that the program runs on: its size, and its raw mode while a container has it.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::{Mutex, Once, PoisonError};

use engine::containers::TerminalSize;
use rustix::termios::{self, LocalModes, OptionalActions, Termios};

use crate::error::Error;

/// What is taken for the size of a terminal that does not tell.
const FALLBACK: (u16, u16) = (80, 24);

/// Columns and rows of the terminal on standard error.
pub(crate) fn error_size() -> (usize, usize) {
    let (columns, rows) = size(std::io::stderr()).unwrap_or(FALLBACK);
    (columns.into(), rows.into())
}

/// Whether live rows can be shown: standard error is a terminal, and one that understands control sequences.
pub(crate) fn shows_rows() -> bool {
    std::io::stderr().is_terminal()
}

/// The size of the terminal on standard input, which a container's terminal follows.
pub(crate) fn input_size() -> TerminalSize {
    let (columns, rows) = size(std::io::stdin()).unwrap_or(FALLBACK);
    TerminalSize { columns, rows }
}

/// Whether standard input is a terminal.
pub(crate) fn input_is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

fn size(terminal: impl AsFd) -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// The mode that the terminal had, while it has another. Outside the guard because a panic must restore it too, and with
/// `panic = "abort"` only its hook runs.
static ORIGINAL: Mutex<Option<Termios>> = Mutex::new(None);

/// Standard input's terminal in raw mode, until dropped.
#[derive(Debug)]
pub(crate) struct RawMode(());

impl RawMode {
    /// Makes the terminal on standard input raw: every key goes to the container.
    pub(crate) fn enter() -> Result<Self, Error> {
        change_input(Termios::make_raw)?;
        Ok(Self(()))
    }
}

/// Standard input's terminal without echo, until dropped.
#[derive(Debug)]
pub(crate) struct Hidden(());

impl Hidden {
    /// Stops the terminal on standard input from showing what is typed.
    pub(crate) fn enter() -> Result<Self, Error> {
        change_input(|mode| mode.local_modes.remove(LocalModes::ECHO))?;
        Ok(Self(()))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        restore();
    }
}

/// Changes the mode of the terminal on standard input, which [`restore`] undoes.
fn change_input(change: impl FnOnce(&mut Termios)) -> Result<(), Error> {
    let failed = |source: rustix::io::Errno| Error::Io {
        action: "set the terminal's mode",
        source: source.into(),
    };
    let stdin = std::io::stdin();
    let original = termios::tcgetattr(&stdin).map_err(failed)?;
    let mut changed = original.clone();
    change(&mut changed);
    restore_on_panic();
    *ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner) = Some(original);
    termios::tcsetattr(&stdin, OptionalActions::Drain, &changed).map_err(|error| {
        restore();
        failed(error)
    })
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back as it was, if it was changed.
pub(crate) fn restore() {
    let original = ORIGINAL
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(original) = original {
        // A terminal that is gone needs no mode.
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Drain, &original);
    }
}

fn restore_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            previous(panic);
        }));
    });
}
