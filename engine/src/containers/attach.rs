//! Processes that this program is attached to.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use runtime::{Child, ExitStatus, Terminal};
use rustix::io::Errno;
use rustix::process::pidfd_send_signal;
use tokio::sync::{oneshot, watch};

use super::error::ContainerError;
use super::life::{self, Life, Started};
use super::state::TerminalSize;
use crate::engine::Engine;

/// How a process ended, once it has.
type Ended = Option<Result<ExitStatus, Arc<ContainerError>>>;

/// A process and the ends of its streams that are ours: blocking descriptors. With a terminal `stdin` is its other end,
/// `stdout` has all output and there is no `stderr`.
#[derive(Debug)]
pub struct Attached {
    /// The process.
    pub process: ContainerProcess,
    /// What is written here it reads, if it was to read anything.
    pub stdin: Option<OwnedFd>,
    /// What it writes; ends soon after the process.
    pub stdout: Option<OwnedFd>,
    /// What it complains.
    pub stderr: Option<OwnedFd>,
}

/// A process that this program is attached to. Dropping it ends the process, and waits until that is written down.
#[derive(Debug)]
pub struct ContainerProcess {
    process: OwnedFd,
    terminal: Option<Terminal>,
    ended: watch::Receiver<Ended>,
    life: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts a container and attaches this program to it, which supervises it: it ends with this program.
    pub async fn start_attached(&self, name: &str) -> Result<Attached, ContainerError> {
        let id = self.find_container(name)?;
        let engine = self.clone();
        attached(move || life::start(&engine, &id, true)).await
    }
}

/// Starts a process of no container, and attaches this program to it.
pub(crate) async fn attach_child(
    start: impl FnOnce() -> Result<Child, ContainerError> + Send + 'static,
) -> Result<Attached, ContainerError> {
    attached(move || life::follow_entered(start()?, true)).await
}

/// Starts a process on a thread that then sees it to its end.
pub(super) async fn attached(
    start: impl FnOnce() -> Result<Started, ContainerError> + Send + 'static,
) -> Result<Attached, ContainerError> {
    let (ready, started) = oneshot::channel();
    let (end, ended) = watch::channel(None);
    let thread = Builder::new().name("container".to_owned());
    let life = thread.spawn(move || match start() {
        Ok(started) => {
            let (life, attached) = split(started);
            serve(life, ready.send(Ok(attached)).is_ok(), &end);
        }
        // Nobody waits any more for the one who asked.
        Err(error) => drop(ready.send(Err(error))),
    });
    let life = life.map_err(|error| ContainerError::io("start", "a thread", error))?;
    let started = started.await.map_err(|_| ContainerError::Unwatched)??;
    Ok(Attached {
        process: ContainerProcess {
            process: started.process,
            terminal: started.terminal,
            ended,
            life: Some(life),
        },
        stdin: started.stdin,
        stdout: started.stdout,
        stderr: started.stderr,
    })
}

/// What is left of a start without its life.
struct Ends {
    process: OwnedFd,
    terminal: Option<Terminal>,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

fn split(started: Started) -> (Life, Ends) {
    let Started {
        life,
        process,
        terminal,
        stdin,
        stdout,
        stderr,
    } = started;
    let ends = Ends {
        process,
        terminal,
        stdin,
        stdout,
        stderr,
    };
    (life, ends)
}

fn serve(life: Life, is_wanted: bool, end: &watch::Sender<Ended>) {
    let killed = if is_wanted { Ok(()) } else { life.kill() };
    let ended = killed.and_then(|()| life.see_through());
    end.send_replace(Some(ended.map_err(Arc::new)));
}

impl ContainerProcess {
    /// Waits until it has ended and its output has been passed on. May be called again, and be dropped early.
    pub async fn wait(&self) -> Result<ExitStatus, ContainerError> {
        let mut ended = self.ended.clone();
        let ended = ended.wait_for(Option::is_some).await;
        match ended.as_deref() {
            Ok(Some(Ok(status))) => Ok(*status),
            Ok(Some(Err(error))) => Err(ContainerError::Shared(Arc::clone(error))),
            Ok(None) | Err(_) => Err(ContainerError::Unwatched),
        }
    }

    /// Sends it a signal by number. It is no error if it has ended.
    pub fn signal(&self, number: i32) -> Result<(), ContainerError> {
        let signal = runtime::signal(number).ok_or(ContainerError::BadSignal(number))?;
        match pidfd_send_signal(&self.process, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(ContainerError::io("signal", "a process", error.into())),
        }
    }

    /// Makes its terminal, if it has one, this large.
    pub fn resize(&self, size: TerminalSize) -> Result<(), ContainerError> {
        match &self.terminal {
            Some(terminal) => Ok(terminal.resize(size.into())?),
            None => Ok(()),
        }
    }
}

impl Drop for ContainerProcess {
    fn drop(&mut self) {
        if self.ended.borrow().is_none() {
            // One that can't be killed is killed by the kernel when this program ends.
            self.signal(super::signals::KILL).ok();
        }
        if let Some(life) = self.life.take() {
            // Its outcome is known or unwanted.
            life.join().ok();
        }
    }
}
