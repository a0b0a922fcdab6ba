//! Ctrl-C and SIGTERM: the first one stops the work in good order, the second one ends the program at once.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;
use crate::terminal;

/// Runs `work` until it is done or a signal comes; then it is dropped, which stops it.
pub(crate) async fn interruptible<T>(
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut listener = Listener::new()?;
    let signal = tokio::select! {
        done = work => return done,
        signal = listener.next() => signal,
    };
    // Stopping may take a moment. Whoever asks again means it.
    tokio::spawn(async move {
        let signal = listener.next().await;
        terminal::restore();
        abort(signal);
    });
    Err(Error::Interrupted { signal })
}

#[expect(
    clippy::exit,
    reason = "the user asked twice: nothing is waited for any more"
)]
fn abort(signal: i32) {
    std::process::exit(128 + signal);
}

struct Listener {
    interrupt: Signal,
    terminate: Signal,
}

impl Listener {
    fn new() -> Result<Self, Error> {
        let listen = |kind| {
            signal(kind).map_err(|source| Error::Io {
                action: "listen for signals",
                source,
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
        }
    }
}
