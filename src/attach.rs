//! Joins the program's streams to those of a container's process, and passes signals and sizes on.
//!
//! Each direction is a thread that copies between two descriptors: nothing waits for anything else, and the descriptors
//! that the program shares with its parent stay blocking. The copying is by `read` and `write`, not by `splice`: where
//! both outputs are one file, only `write` takes the lock of its position, and without it they overwrite each other.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::thread::{Builder, JoinHandle};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::backend::{Attached, Ended, Process, Streams};
use crate::error::{BackendError, Error};
use crate::terminal::{self, RawMode};

/// Bytes copied at a time: what a pipe holds.
const BUFFER: usize = 64 << 10;

/// How a process is joined to the program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// It has a terminal: ours becomes raw, and its size follows ours.
    pub tty: bool,
    /// What comes on standard input goes to it.
    pub stdin: bool,
    /// Signals that would end the program go to it instead. Without this they end the program, and not the process.
    pub forward_signals: bool,
}

/// Starts a process, and serves it until it has ended and all its output is written.
pub(crate) async fn serve<P: Process>(
    start: impl Future<Output = Result<Attached<P>, BackendError>>,
    options: Options,
) -> Result<Ended, Error> {
    // What comes while the process starts is for it already.
    let mut signals = Signals::listen(options)?;
    let Attached { process, streams } = start.await?;
    let raw = if options.tty && options.stdin && terminal::input_is_terminal() {
        Some(RawMode::enter()?)
    } else {
        None
    };
    let outputs = copy(streams, options.stdin)?;
    if options.tty {
        resize(&process);
    }
    let ended = loop {
        tokio::select! {
            ended = process.wait() => break ended?,
            signal = signals.next() => match signal {
                Received::Resized => resize(&process),
                // The process may have ended at this moment; its end is what counts then.
                Received::Signal(number) if options.forward_signals => drop(process.signal(number)),
                Received::Signal(signal) => return Err(Error::Interrupted { signal }),
            },
        }
    };
    let drained = tokio::task::spawn_blocking(move || {
        for output in outputs {
            // A copier that panicked has lost its output; the process's end still counts.
            drop(output.join());
        }
    });
    drop(drained.await);
    drop(raw);
    Ok(ended)
}

fn resize(process: &impl Process) {
    // A process that has ended has no terminal to resize.
    drop(process.resize(terminal::input_size()));
}

/// Starts the copiers, and gives those of output.
fn copy(streams: Streams, stdin: bool) -> Result<Vec<JoinHandle<()>>, Error> {
    let failed = |source| Error::Io {
        action: "join the container's streams",
        source,
    };
    if let Some(to) = streams.stdin.filter(|_| stdin) {
        let from = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        // Nobody waits for it: it may be reading when the process has ended. Its end closes the process's input.
        drop(copier("stdin", from, to).map_err(failed)?);
    }
    let mut outputs = Vec::new();
    if let Some(from) = streams.stdout {
        let to = io::stdout().as_fd().try_clone_to_owned().map_err(failed)?;
        outputs.push(copier("stdout", from, to).map_err(failed)?);
    }
    if let Some(from) = streams.stderr {
        let to = io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
        outputs.push(copier("stderr", from, to).map_err(failed)?);
    }
    Ok(outputs)
}

/// Copies until either side ends, then closes both.
fn copier(name: &str, from: OwnedFd, to: OwnedFd) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(move || {
        let (mut from, mut to) = (File::from(from), File::from(to));
        let mut buffer = vec![0; BUFFER];
        loop {
            // Errors are ends too: a terminal whose other side is closed reads as `EIO`, a closed reader is `EPIPE`.
            match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) if to.write_all(&buffer[..length]).is_ok() => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return,
            }
        }
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Received {
    Signal(i32),
    Resized,
}

/// Signals on their way to the process.
#[derive(Debug)]
struct Signals(mpsc::Receiver<Received>);

impl Signals {
    /// Begins to listen, before anything is started, so that none is missed.
    fn listen(options: Options) -> Result<Self, Error> {
        // As many as may arrive before the first is passed on; what is more would be the same again.
        let (sender, receiver) = mpsc::channel(16);
        for kind in [
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::quit(),
            SignalKind::terminate(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
            SignalKind::alarm(),
        ] {
            pass(kind, Received::Signal(kind.as_raw_value()), sender.clone())?;
        }
        if options.tty {
            pass(SignalKind::window_change(), Received::Resized, sender)?;
        }
        Ok(Self(receiver))
    }

    async fn next(&mut self) -> Received {
        match self.0.recv().await {
            Some(received) => received,
            None => std::future::pending().await,
        }
    }
}

fn pass(kind: SignalKind, as_what: Received, to: mpsc::Sender<Received>) -> Result<(), Error> {
    let mut signals = signal(kind).map_err(|source| Error::Io {
        action: "listen for signals",
        source,
    })?;
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            if to.send(as_what).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> (OwnedFd, OwnedFd) {
        let (reader, writer) = io::pipe().expect("a pipe");
        (reader.into(), writer.into())
    }

    #[test]
    fn everything_is_copied_and_the_end_is_passed_on() {
        let (from, from_end) = pipe();
        let (to_end, to) = pipe();
        let copying = copier("copy", from, to).expect("a thread");
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let expected = sent.clone();
        let writing = std::thread::spawn(move || File::from(from_end).write_all(&sent));
        let mut received = Vec::new();
        File::from(to_end)
            .read_to_end(&mut received)
            .expect("the end of the pipe");
        assert!(received == expected);
        writing.join().expect("no panic").expect("all was written");
        copying.join().expect("no panic");
    }

    #[test]
    fn a_reader_that_goes_ends_the_copying() {
        let (from, from_end) = pipe();
        let (to_end, to) = pipe();
        drop(to_end);
        let copying = copier("copy", from, to).expect("a thread");
        let mut writer = File::from(from_end);
        // The first write is copied into the closed pipe, after which the copier's end is closed as well.
        while writer.write_all(b"more").is_ok() {}
        copying.join().expect("no panic");
    }

    #[test]
    fn a_terminal_whose_other_side_closes_is_at_its_end() {
        use rustix::pty;
        let master =
            pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY).expect("a terminal");
        pty::grantpt(&master).expect("a terminal");
        pty::unlockpt(&master).expect("a terminal");
        let name = pty::ptsname(&master, Vec::new()).expect("a name");
        let slave = rustix::fs::open(
            &name,
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY,
            rustix::fs::Mode::empty(),
        )
        .expect("its other side");
        let (to_end, to) = pipe();
        let copying = copier("copy", master, to).expect("a thread");
        File::from(slave)
            .write_all(b"last words\n")
            .expect("written");
        let mut received = String::new();
        File::from(to_end)
            .read_to_string(&mut received)
            .expect("the end of the pipe");
        assert_eq!(received, "last words\r\n");
        copying.join().expect("no panic");
    }

    #[test]
    fn two_outputs_may_be_one_file() {
        let both = tempfile::tempfile().expect("a file");
        let copying: Vec<_> = (0..2)
            .map(|_| {
                let (from, from_end) = pipe();
                let to = both.try_clone().expect("the same file").into();
                let copying = copier("copy", from, to).expect("a thread");
                let writing = std::thread::spawn(move || {
                    let mut writer = File::from(from_end);
                    for _ in 0..2_000 {
                        writer.write_all(b"0123456789\n").expect("written");
                    }
                });
                (copying, writing)
            })
            .collect();
        for (copying, writing) in copying {
            writing.join().expect("no panic");
            copying.join().expect("no panic");
        }
        assert_eq!(both.metadata().expect("a size").len(), 2 * 2_000 * 11);
    }
}
