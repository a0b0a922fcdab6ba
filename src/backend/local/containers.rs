//! Containers of the engine in this process.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use engine::Engine;
use engine::containers::{
    Attached as EngineAttached, Container, ContainerError, ContainerProcess, CreateRequest,
};
use engine::event::Listener;
use engine::{ImageError, containers as engine_containers};

use super::super::{
    Attached, ContainerDetail, ContainerNetwork, ContainerState, ContainerSummary, Ended,
    ExecRequest, LogPiece, LogQuery, Process, PullPolicy, RunRequest, Streams, VolumeMount,
};
use crate::error::BackendError;

/// The exit code of a process that was killed by the signal of number 0, if there were one.
const SIGNALED: i32 = 128;

/// A process of a container, or nothing that this program has to do with.
#[derive(Debug)]
pub(crate) struct LocalProcess(Option<ContainerProcess>);

impl Process for LocalProcess {
    async fn wait(&self) -> Result<Ended, BackendError> {
        let Some(process) = &self.0 else {
            return Ok(Ended::Exited(0));
        };
        let status = process.wait().await.map_err(failure)?;
        Ok(ended(status.exit_code()))
    }

    fn signal(&self, signal: i32) -> Result<(), BackendError> {
        match &self.0 {
            Some(process) => process.signal(signal).map_err(failure),
            None => Ok(()),
        }
    }

    fn resize(&self, size: engine_containers::TerminalSize) -> Result<(), BackendError> {
        match &self.0 {
            Some(process) => process.resize(size).map_err(failure),
            None => Ok(()),
        }
    }
}

/// Makes a container.
pub(super) async fn create(
    engine: &Engine,
    request: RunRequest,
    listener: Arc<dyn Listener>,
) -> Result<String, BackendError> {
    let request = create_request(request);
    let id = engine.create_container(&request, listener).await;
    Ok(id.map_err(failure)?.to_string())
}

/// Starts a container in the background.
pub(super) async fn start(engine: &Engine, id: &str) -> Result<(), BackendError> {
    engine.start_container(id).await.map_err(failure)
}

/// Starts a container in the foreground.
pub(super) async fn start_attached(
    engine: &Engine,
    id: &str,
) -> Result<Attached<LocalProcess>, BackendError> {
    engine
        .start_attached(id)
        .await
        .map(attached)
        .map_err(failure)
}

/// Starts a process in a running container.
pub(super) async fn exec(
    engine: &Engine,
    request: ExecRequest,
) -> Result<Attached<LocalProcess>, BackendError> {
    let ExecRequest {
        container,
        args,
        env,
        workdir,
        user,
        tty,
        stdin,
        detach,
    } = request;
    let request = engine_containers::ExecRequest {
        args,
        env,
        working_dir: workdir,
        user,
        terminal: tty,
        interactive: stdin,
    };
    if detach {
        let started = engine.exec_detached(&container, request).await;
        started.map_err(failure)?;
        return Ok(Attached {
            process: LocalProcess(None),
            streams: Streams::default(),
        });
    }
    let started = engine.exec_attached(&container, request).await;
    started.map(attached).map_err(failure)
}

/// Starts a process in a build.
pub(super) async fn enter(
    session: &engine::build::Session,
    args: Vec<String>,
    tty: Option<engine_containers::TerminalSize>,
) -> Result<Attached<LocalProcess>, BackendError> {
    let started = session.start(args, tty).await;
    started.map(attached).map_err(failure)
}

/// Containers, the newest first; those that do not run only with `all`.
pub(super) fn containers(
    engine: &Engine,
    all: bool,
) -> Result<Vec<ContainerSummary>, BackendError> {
    let containers = engine.containers().map_err(failure)?.into_iter();
    let summaries = containers.map(|container| summary(&container));
    let shown = summaries
        .filter(|container| all || matches!(container.state, ContainerState::Running { .. }));
    Ok(shown.collect())
}

/// One container.
pub(super) fn container(engine: &Engine, name: &str) -> Result<ContainerDetail, BackendError> {
    engine.container(name).map(detail).map_err(failure)
}

/// The kept output of a container.
pub(super) async fn logs(
    engine: &Engine,
    query: LogQuery,
    each: &mut dyn FnMut(LogPiece) -> bool,
) -> Result<(), BackendError> {
    let mut each = |line: engine_containers::LogLine| {
        each(LogPiece {
            at: line.time.into(),
            stream: line.stream,
            bytes: line.text.into_bytes(),
        })
    };
    let (follow, tail) = (query.follow, query.tail);
    let given = engine.container_log(&query.container, follow, tail, &mut each);
    given.await.map_err(failure)
}

/// Asks a container to stop, and then kills it.
pub(super) async fn stop(
    engine: &Engine,
    name: &str,
    seconds: Option<u64>,
) -> Result<(), BackendError> {
    let time = seconds.map(Duration::from_secs);
    engine.stop_container(name, time).await.map_err(failure)
}

/// Sends a container a signal.
pub(super) fn kill(engine: &Engine, name: &str, signal: i32) -> Result<(), BackendError> {
    engine.kill_container(name, signal).map_err(failure)
}

/// Removes a container.
pub(super) async fn remove(engine: &Engine, name: &str, force: bool) -> Result<(), BackendError> {
    engine.remove_container(name, force).await.map_err(failure)
}

/// Waits for a container's end.
pub(super) async fn wait(engine: &Engine, name: &str) -> Result<Ended, BackendError> {
    engine
        .wait_container(name)
        .await
        .map(ended)
        .map_err(failure)
}

/// The class of an error, which decides hint and exit code.
fn failure(error: ContainerError) -> BackendError {
    let code = error.exit_code();
    let is_missing = matches!(
        error,
        ContainerError::NotFound(_) | ContainerError::Image(ImageError::NotFound(_))
    );
    let source = Box::new(error);
    match code {
        Some(127) => BackendError::CommandNotFound { source },
        Some(_) => BackendError::CommandNotExecutable { source },
        None if is_missing => BackendError::NotFound { source },
        None => BackendError::Other { source },
    }
}

/// The end that an exit code stands for.
fn ended(code: i32) -> Ended {
    match u8::try_from(code - SIGNALED) {
        Ok(signal) if signal > 0 => Ended::Signaled(signal),
        _ => Ended::Exited(code as u8),
    }
}

fn attached(attached: EngineAttached) -> Attached<LocalProcess> {
    Attached {
        process: LocalProcess(Some(attached.process)),
        streams: Streams {
            stdin: attached.stdin,
            stdout: attached.stdout,
            stderr: attached.stderr,
        },
    }
}

fn create_request(request: RunRequest) -> CreateRequest {
    let volumes = request.volumes.into_iter();
    CreateRequest {
        image: request.image,
        pull: match request.pull {
            PullPolicy::Always => engine_containers::PullPolicy::Always,
            PullPolicy::Missing => engine_containers::PullPolicy::Missing,
            PullPolicy::Never => engine_containers::PullPolicy::Never,
        },
        name: request.name,
        command: request.args,
        entrypoint: request.entrypoint,
        env: request.env,
        working_dir: request.workdir,
        user: request.user,
        hostname: request.hostname,
        hosts: request.hosts,
        network: match request.network {
            ContainerNetwork::Default => engine_containers::ContainerNetwork::Default,
            ContainerNetwork::Host => engine_containers::ContainerNetwork::Host,
            ContainerNetwork::None => engine_containers::ContainerNetwork::None,
        },
        volumes: volumes
            .map(|volume| engine_containers::Volume {
                source: volume.source,
                target: volume.target,
                readonly: volume.read_only,
            })
            .collect(),
        terminal: request.tty,
        interactive: request.stdin,
        readonly: request.read_only,
        auto_remove: request.remove,
        stop_signal: request.stop_signal,
        labels: Vec::new(),
    }
}

fn summary(container: &Container) -> ContainerSummary {
    let config = &container.config;
    ContainerSummary {
        id: config.id.to_string(),
        name: config.name.clone(),
        image: config.image.clone(),
        command: config.args(),
        created: config.created.into(),
        state: state(&container.state),
        network: match config.network {
            engine_containers::ContainerNetwork::Default => ContainerNetwork::Default,
            engine_containers::ContainerNetwork::Host => ContainerNetwork::Host,
            engine_containers::ContainerNetwork::None => ContainerNetwork::None,
        },
    }
}

fn state(state: &engine_containers::ContainerState) -> ContainerState {
    use engine_containers::ContainerState as State;
    match state {
        State::Created => ContainerState::Created,
        State::Running { pid, started, .. } => ContainerState::Running {
            since: (*started).into(),
            pid: *pid,
        },
        State::Exited { finished, code, .. } => ContainerState::Exited {
            code: *code as u8,
            at: (*finished).into(),
        },
    }
}

fn started(state: &engine_containers::ContainerState) -> Option<SystemTime> {
    use engine_containers::ContainerState as State;
    match state {
        State::Created => None,
        State::Running { started, .. } | State::Exited { started, .. } => Some((*started).into()),
    }
}

fn detail(container: Container) -> ContainerDetail {
    let summary = summary(&container);
    let started = started(&container.state);
    let config = container.config;
    let volumes = config.volumes.into_iter();
    ContainerDetail {
        summary,
        image_id: config.image_id.to_string(),
        started,
        env: config.env.iter().map(|text| variable(text)).collect(),
        volumes: volumes
            .map(|volume| VolumeMount {
                source: volume.source,
                target: volume.target,
                read_only: volume.readonly,
            })
            .collect(),
        workdir: config.working_dir,
        user: config.user,
        hostname: config.hostname,
        entrypoint: config.entrypoint,
        args: config.command,
        labels: config.labels.into_iter().collect(),
        tty: config.terminal.is_some(),
        stdin: config.interactive,
        read_only: config.readonly,
        remove: config.auto_remove,
    }
}

fn variable(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_stand_for_ends() {
        for (code, expected) in [
            (0, Ended::Exited(0)),
            (42, Ended::Exited(42)),
            (128, Ended::Exited(128)),
            (137, Ended::Signaled(9)),
        ] {
            assert_eq!(ended(code), expected, "{code}");
            assert_eq!(i32::from(ended(code).code()), code);
        }
        assert_eq!(ended(255).code(), 255);
    }

    #[test]
    fn errors_have_dockers_exit_codes() {
        let background = |code| ContainerError::Background {
            message: "x".to_owned(),
            code,
        };
        for (error, code) in [
            (background(Some(127)), 127),
            (background(Some(126)), 126),
            (background(None), 125),
            (ContainerError::NotFound("x".to_owned()), 125),
        ] {
            let error = crate::error::Error::from(failure(error));
            assert_eq!(error.exit_code("run"), code, "{error:?}");
        }
    }
}
