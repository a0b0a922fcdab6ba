//! Pseudo terminals.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Gid, Mode, OFlags, Uid, openat};
use rustix::io::Errno;
use rustix::termios::{Winsize, tcsetwinsize};

use crate::error::Error;
use crate::mount::file_system;
use crate::sys::{MountAttributes, get_peer_terminal};

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl From<TerminalSize> for Winsize {
    fn from(size: TerminalSize) -> Self {
        Self {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        }
    }
}

/// Our end of a sandbox's terminal: what is read from it was written inside, what is written to it was typed. Reading
/// fails with `EIO` when nobody inside has the other end open any more.
#[derive(Debug)]
pub struct Terminal {
    master: OwnedFd,
}

impl Terminal {
    /// Makes the terminal this large; programs inside are told.
    pub fn resize(&self, size: TerminalSize) -> Result<(), Error> {
        tcsetwinsize(&self.master, size.into()).map_err(Error::system("resize the terminal"))
    }

    /// Its descriptor, to read and write by any means.
    pub fn into_fd(self) -> OwnedFd {
        self.master
    }

    pub(super) fn new(master: OwnedFd) -> Self {
        Self { master }
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

/// The group that may write to terminals, on every distribution.
const TTY_GROUP: u32 = 5;

/// A file system of pseudo terminals, detached.
pub(super) fn terminals() -> Result<OwnedFd, Errno> {
    let options = [(c"ptmxmode", c"0666"), (c"mode", c"0620"), (c"gid", c"5")];
    let attributes = MountAttributes::NO_SUID | MountAttributes::NO_EXEC;
    match file_system(c"devpts", &options, attributes) {
        // The user namespace has no such group.
        Err(Errno::INVAL) => file_system(c"devpts", &options[..2], attributes),
        made => made,
    }
}

/// Opens a terminal of that file system for a user: our end, and theirs.
pub(super) fn open(
    terminals: BorrowedFd<'_>,
    size: TerminalSize,
    uid: u32,
) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = openat(terminals, c"ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    let slave = get_peer_terminal(master.as_fd())?;
    tcsetwinsize(&slave, size.into())?;
    let own = |group| rustix::fs::fchown(&slave, Some(Uid::from_raw(uid)), group);
    match own(Some(Gid::from_raw(TTY_GROUP))) {
        // As above.
        Err(Errno::INVAL) => own(None)?,
        owned => owned?,
    }
    Ok((master, slave))
}
