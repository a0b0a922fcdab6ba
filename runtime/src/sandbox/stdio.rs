//! A process's standard streams: their ends, and ours.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, Uid, openat};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::child::Ends;
use super::spec::{Stdio, Stream};
use super::terminal::{self, Terminal, TerminalSize};
use crate::error::Error;

/// The ends that the process gets.
#[derive(Debug)]
pub(super) struct Theirs {
    /// Input, output and errors; none of them is numbered below 3.
    pub(super) files: [OwnedFd; 3],
    /// Whether they are a terminal.
    pub(super) terminal: bool,
}

/// Opens the standard streams for a user. A terminal is opened in `terminals`.
pub(super) fn open(
    stdio: Stdio,
    terminals: Option<&OwnedFd>,
    uid: u32,
) -> Result<(Theirs, Ends), Error> {
    match (stdio, terminals) {
        (
            Stdio::Streams {
                stdin,
                stdout,
                stderr,
            },
            _,
        ) => {
            let (input, our_input) = stream(stdin, false, uid)?;
            let (output, our_output) = stream(stdout, true, uid)?;
            let (errors, our_errors) = stream(stderr, true, uid)?;
            let theirs = Theirs {
                files: [input, output, errors],
                terminal: false,
            };
            let ours = Ends {
                stdin: our_input,
                stdout: our_output,
                stderr: our_errors,
                terminal: None,
            };
            Ok((theirs, ours))
        }
        (Stdio::Terminal(size), Some(terminals)) => open_terminal(size, terminals, uid),
        (Stdio::Terminal(_), None) => Err(Error::system("open a terminal")(Errno::NODEV)),
    }
}

fn open_terminal(
    size: TerminalSize,
    terminals: &OwnedFd,
    uid: u32,
) -> Result<(Theirs, Ends), Error> {
    let failed = || Error::system("open a terminal");
    let (master, slave) = terminal::open(terminals.as_fd(), size, uid).map_err(failed())?;
    let slave = above_streams(slave)?;
    let copy = || rustix::io::fcntl_dupfd_cloexec(&slave, 3);
    let (output, errors) = (copy().map_err(failed())?, copy().map_err(failed())?);
    let theirs = Theirs {
        files: [slave, output, errors],
        terminal: true,
    };
    let ours = Ends {
        terminal: Some(Terminal::new(master)),
        ..Ends::default()
    };
    Ok((theirs, ours))
}

/// Their end of one stream, and ours if it is a pipe. A pipe belongs to the user, who may open it again by name.
fn stream(stream: Stream, output: bool, uid: u32) -> Result<(OwnedFd, Option<OwnedFd>), Error> {
    let failed = || Error::system("open a standard stream");
    let (theirs, ours) = match stream {
        Stream::Null => {
            let flags = OFlags::RDWR | OFlags::CLOEXEC;
            let null = openat(CWD, "/dev/null", flags, Mode::empty()).map_err(failed())?;
            (null, None)
        }
        Stream::Open(file) => (file, None),
        Stream::Pipe => {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(failed())?;
            let (theirs, ours) = if output { (write, read) } else { (read, write) };
            if uid != 0 {
                rustix::fs::fchown(&theirs, Some(Uid::from_raw(uid)), None).map_err(failed())?;
            }
            (theirs, Some(ours))
        }
    };
    Ok((above_streams(theirs)?, ours))
}

/// The same file under a number that the standard streams do not take.
pub(super) fn above_streams(fd: OwnedFd) -> Result<OwnedFd, Error> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    rustix::io::fcntl_dupfd_cloexec(&fd, 3).map_err(Error::system("copy a descriptor"))
}
