//! The life of a process of a container, from its start to its end.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use cache::RangeLock;
use jiff::Timestamp;
use runtime::{Child, ExitStatus, Stdio, Terminal};
use rustix::pipe::{PipeFlags, pipe_with};

use super::error::ContainerError;
use super::log::LogWriter;
use super::prepare;
use super::pump::{Pump, duplicate};
use super::state::{ContainerConfig, ContainerDir, ContainerId, ContainerState, TerminalSize};
use crate::engine::Engine;
use crate::error::chain;
use crate::event::Stream;

/// The exit code that Docker notes for a container that could not be started for a reason of its own.
const NOT_STARTED: i32 = 128;

/// A process that runs, and the ends of its streams for whoever is attached.
#[derive(Debug)]
pub(super) struct Started {
    /// Sees it to its end.
    pub(super) life: Life,
    /// The process (`pidfd_open(2)`).
    pub(super) process: OwnedFd,
    /// Its terminal, if it has one.
    pub(super) terminal: Option<Terminal>,
    /// What is written here it reads.
    pub(super) stdin: Option<OwnedFd>,
    /// What it writes.
    pub(super) stdout: Option<OwnedFd>,
    /// What it complains.
    pub(super) stderr: Option<OwnedFd>,
}

/// A process and all that depends on it. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Life {
    child: Child,
    pumps: Vec<JoinHandle<()>>,
    /// What is to be written down at its end, for the first process of a container.
    record: Option<Record>,
}

/// A container that runs.
#[derive(Debug)]
struct Record {
    engine: Engine,
    config: ContainerConfig,
    dir: ContainerDir,
    log: Arc<LogWriter>,
    started: Timestamp,
    /// Says that the container is supervised.
    _supervising: RangeLock,
}

/// Starts a container. With `attach` its output is for whoever is attached, beside the log.
pub(super) fn start(
    engine: &Engine,
    id: &ContainerId,
    attach: bool,
) -> Result<Started, ContainerError> {
    let running = || ContainerError::AlreadyRunning(id.short().to_owned());
    let supervising = engine.store().try_exclusive(&id.key())?;
    let supervising = supervising.ok_or_else(running)?;
    let dir = engine.container_dir(id);
    let (config, state) = match (dir.config(), dir.state()) {
        (Ok(config), Ok(state)) => (config, state),
        (Err(error), _) | (_, Err(error)) if error.is_absence() => {
            return Err(ContainerError::NotFound(id.to_string()));
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let is_new = state == ContainerState::Created;
    let begun = Timestamp::now();
    begin(engine, &config, &dir, is_new, supervising, attach).inspect_err(|error| {
        note_failure(engine, &config, &dir, begun, error);
    })
}

/// Writes down why a container could not be started. A failure to do so is not worth hiding the first one.
fn note_failure(
    engine: &Engine,
    config: &ContainerConfig,
    dir: &ContainerDir,
    begun: Timestamp,
    error: &ContainerError,
) {
    drop(dir.set_state(&ContainerState::Exited {
        started: begun,
        finished: Timestamp::now(),
        code: error.exit_code().map_or(NOT_STARTED, i32::from),
        error: chain(error),
    }));
    if config.auto_remove {
        drop(engine.erase_container(config));
    }
}

fn begin(
    engine: &Engine,
    config: &ContainerConfig,
    dir: &ContainerDir,
    is_new: bool,
    supervising: RangeLock,
    attach: bool,
) -> Result<Started, ContainerError> {
    let stdio = stdio(config.terminal, config.interactive);
    let spec = prepare::spec(engine, config, dir, is_new, stdio)?;
    let log = Arc::new(LogWriter::create(&dir.log())?);
    let child = engine.runtime()?.spawn(spec)?;
    let identity = child.identity()?;
    let started = Timestamp::now();
    dir.set_state(&ContainerState::Running {
        pid: identity.pid,
        ticks: identity.start_time,
        started,
    })?;
    let record = Record {
        engine: engine.clone(),
        config: config.clone(),
        dir: dir.clone(),
        log: Arc::clone(&log),
        started,
        _supervising: supervising,
    };
    follow(child, attach, Some(&log), Some(record))
}

/// Where the streams of a process go. Without somebody to type, it reads nothing.
pub(crate) fn stdio(terminal: Option<TerminalSize>, interactive: bool) -> Stdio {
    if let Some(size) = terminal {
        return Stdio::Terminal(size.into());
    }
    Stdio::Streams {
        stdin: if interactive {
            runtime::Stream::Pipe
        } else {
            runtime::Stream::Null
        },
        stdout: runtime::Stream::Pipe,
        stderr: runtime::Stream::Pipe,
    }
}

/// Follows a process of whose start nothing is to be written down.
pub(super) fn follow_entered(child: Child, attach: bool) -> Result<Started, ContainerError> {
    follow(child, attach, None, None)
}

fn follow(
    mut child: Child,
    attach: bool,
    log: Option<&Arc<LogWriter>>,
    record: Option<Record>,
) -> Result<Started, ContainerError> {
    let failed = |error| ContainerError::io("follow", "a process", error);
    let terminal = child.terminal.take();
    let stdin = match &terminal {
        Some(terminal) => Some(duplicate(terminal).map_err(failed)?),
        None => child.stdin.take(),
    };
    let output = match &terminal {
        Some(terminal) => Some(duplicate(terminal).map_err(failed)?),
        None => child.stdout.take(),
    };
    let process = duplicate(&child).map_err(failed)?;
    let mut pumps = Vec::with_capacity(2);
    let mut pump = |from: Option<OwnedFd>, stream, name| {
        let Some(from) = from else { return Ok(None) };
        let (ours, theirs) = attached_pipe(attach)?;
        let pump = Pump {
            from,
            process: duplicate(&process)?,
            to: ours,
            log: log.map(|log| (Arc::clone(log), stream)),
        };
        pumps.push(pump.start(name)?);
        std::io::Result::Ok(theirs)
    };
    let stdout = pump(output, Stream::Stdout, "output").map_err(failed)?;
    let stderr = pump(child.stderr.take(), Stream::Stderr, "complaints").map_err(failed)?;
    Ok(Started {
        life: Life {
            child,
            pumps,
            record,
        },
        process,
        terminal,
        stdin,
        stdout,
        stderr,
    })
}

/// A pipe to whoever is attached: our end and theirs.
fn attached_pipe(attach: bool) -> std::io::Result<(Option<File>, Option<OwnedFd>)> {
    if !attach {
        return Ok((None, None));
    }
    let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((Some(ours.into()), Some(theirs)))
}

impl Life {
    /// Waits for the process's end, carries on the last of its output, and writes down what has to be.
    pub(super) fn see_through(mut self) -> Result<ExitStatus, ContainerError> {
        let status = self.child.wait()?;
        for pump in self.pumps {
            // A pump that panicked has lost its output; the end still counts.
            drop(pump.join());
        }
        if let Some(record) = self.record {
            record.end(status)?;
        }
        Ok(status)
    }

    /// Ends the process.
    pub(super) fn kill(&self) -> Result<(), ContainerError> {
        Ok(self.child.kill()?)
    }
}

impl Record {
    fn end(self, status: ExitStatus) -> Result<(), ContainerError> {
        // A log that can't be written any more, say on a full disk, says so to nobody; the end has to be noted.
        drop(self.log.finish());
        self.dir.set_state(&ContainerState::Exited {
            started: self.started,
            finished: Timestamp::now(),
            code: status.exit_code(),
            error: String::new(),
        })?;
        if self.config.auto_remove {
            self.engine.erase_container(&self.config)?;
        }
        Ok(())
    }
}
