//! `RUN --service`: images that run beside a command, on a network that only they and the command have.
//!
//! The first service has a network of its own with nothing but a loopback interface; the others and the command join it.
//! Each runs over a directory for its changes, which nobody keeps. All end when this ends, however the command did.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use frontend::plan::{self, Healthcheck, Reuse, Run, Security, Service};
use runtime::{Child, Identity, Process, Stdio, User};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Build;
use super::operation::blocking;
use super::run::{self, Changes};
use crate::error::StepError;
use crate::event::Stream;
use crate::progress::Row;
use crate::rootfs::Rootfs;

/// How much of what a service says is kept, in bytes: the end of it.
const KEPT: usize = 64 << 10;
/// How much is read at once.
const PIECE: usize = 4 << 10;
/// The time between two checks that do not say.
const PAUSE: Duration = Duration::from_secs(1);
/// What Docker takes for checks that do not say.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const RETRIES: u64 = 3;

/// The services of one command.
#[derive(Default)]
pub(super) struct Services<'a> {
    running: Vec<Running<'a>>,
}

struct Running<'a> {
    name: &'a str,
    child: Child,
    identity: Identity,
    user: User,
    said: Arc<Mutex<VecDeque<u8>>>,
    listeners: Vec<JoinHandle<()>>,
    /// Discarded once the child is gone: fields go in their order.
    _changes: Changes<'a>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
    }
}

impl<'a> Services<'a> {
    /// Starts the services of a command, one after the other, and waits until each is ready.
    pub(super) async fn start(
        build: &'a Arc<Build>,
        command: &'a Run,
        inputs: &[Rootfs],
        row: &Row,
        cancelled: &CancellationToken,
    ) -> Result<Self, StepError> {
        let mut services = Self::default();
        for service in &command.services {
            let begun = services.begin(build, command, service, inputs);
            let begun = cancelled.run_until_cancelled(begun).await;
            if let Err(error) = begun.unwrap_or(Err(StepError::Cancelled)) {
                let error = services.explain(error).await;
                services.tell(row).await;
                return Err(error);
            }
        }
        Ok(services)
    }

    /// Starts a service and waits until it is ready.
    async fn begin(
        &mut self,
        build: &'a Arc<Build>,
        command: &'a Run,
        service: &'a Service,
        inputs: &[Rootfs],
    ) -> Result<(), StepError> {
        let running = self.run(build, command, service, inputs).await?;
        self.running.push(running);
        self.ready(build, service).await
    }

    /// What an error comes from: the network that processes join goes with the first service.
    pub(super) async fn explain(&mut self, error: StepError) -> StepError {
        match (error, self.running.first_mut()) {
            (StepError::Sandbox(runtime::Error::Gone), Some(first)) => {
                match first.child.exited().await {
                    Ok(status) => StepError::EndedService {
                        name: first.name.to_owned(),
                        status,
                    },
                    Err(error) => error.into(),
                }
            }
            (error, _) => error,
        }
    }

    /// The network that they are on, if there are any.
    pub(super) fn network(&self) -> Option<runtime::Network> {
        let first = self.running.first()?;
        Some(runtime::Network::Of(first.identity))
    }

    /// Ends them and shows what they said last.
    pub(super) async fn tell(&mut self, row: &Row) {
        for service in &mut self.running {
            service.child.kill().ok();
            service.child.exited().await.ok();
            // Nobody has the other ends any more.
            for listener in service.listeners.drain(..) {
                listener.await.ok();
            }
            let said = service.said.lock().unwrap_or_else(PoisonError::into_inner);
            let (front, back) = said.as_slices();
            let text = String::from_utf8_lossy(&[front, back].concat()).into_owned();
            let mut shown = format!("service `{}` said:\n", service.name);
            for line in text.lines() {
                shown.extend(["    ", line, "\n"]);
            }
            row.log(Stream::Stderr, shown.as_bytes());
        }
    }

    async fn run(
        &self,
        build: &'a Arc<Build>,
        command: &'a Run,
        service: &'a Service,
        inputs: &[Rootfs],
    ) -> Result<Running<'a>, StepError> {
        let base = match &service.from {
            plan::Source::Input(number) => inputs.get(*number).cloned().unwrap_or_default(),
            plan::Source::Context | plan::Source::Named(_) | plan::Source::Empty => {
                Rootfs::default()
            }
        };
        let process = as_run(service, command);
        let mut around = run::surroundings(build, &process, &[]).await?;
        if let Some(network) = self.network() {
            around.network = network;
        }
        let changes = Changes::new(build)?;
        let stack = build.engine().mountable(&base).await?;
        let (looked, name) = (stack.clone(), service.user.clone());
        let user = blocking(move || {
            let view = looked.view()?;
            crate::users::resolve_user(&name, &view)
        });
        let user = user.await??;
        let (spawning, upper) = (Arc::clone(build), changes.upper().clone());
        let spawned = blocking(move || {
            let stdio = Stdio::piped();
            run::spawn(&spawning, &process, &stack, around, &upper, stdio)
        });
        let mut child = spawned.await??;
        let said = Arc::default();
        let pipes = [child.stdout.take(), child.stderr.take()];
        let listeners = pipes.into_iter().flatten().map(|pipe| {
            let said = Arc::clone(&said);
            tokio::spawn(listen(pipe, said))
        });
        Ok(Running {
            name: &service.name,
            identity: child.identity()?,
            user,
            listeners: listeners.collect(),
            said,
            child,
            _changes: changes,
        })
    }

    /// Waits until the service that was started last is healthy: at once where it has no check.
    async fn ready(&mut self, build: &Arc<Build>, service: &Service) -> Result<(), StepError> {
        let Some(args) = check_of(service) else {
            return Ok(());
        };
        let Some(running) = self.running.last_mut() else {
            return Ok(());
        };
        let (identity, user) = (running.identity, running.user.clone());
        let check = || Process {
            env: service.env.clone(),
            cwd: service.cwd.clone().into(),
            user: user.clone(),
            ..Process::new(args.clone())
        };
        let healthy = async {
            let limits = Limits::of(&service.check);
            let begun = Instant::now();
            loop {
                if is_healthy(build, identity, check(), limits.timeout).await {
                    return Ok(());
                }
                if begun.elapsed() >= limits.patience {
                    return Err(StepError::UnhealthyService {
                        name: service.name.clone(),
                        seconds: begun.elapsed().as_secs(),
                    });
                }
                sleep(limits.pause).await;
            }
        };
        tokio::select! {
            status = running.child.exited() => Err(StepError::EndedService {
                name: service.name.clone(),
                status: status?,
            }),
            healthy = healthy => healthy,
        }
    }
}

/// How long is waited for what.
struct Limits {
    pause: Duration,
    timeout: Duration,
    /// After this time Docker, too, would call it unhealthy.
    patience: Duration,
}

impl Limits {
    fn of(check: &Healthcheck) -> Self {
        let or = |value: u64, default| match value {
            0 => default,
            value => Duration::from_nanos(value),
        };
        let retries = match check.retries {
            0 => RETRIES,
            retries => retries,
        };
        let interval = or(check.interval, INTERVAL);
        let rounds = u32::try_from(retries).unwrap_or(u32::MAX);
        Self {
            pause: or(check.start_interval, PAUSE).min(interval),
            timeout: or(check.timeout, TIMEOUT),
            patience: Duration::from_nanos(check.start_period)
                .saturating_add(interval.saturating_mul(rounds)),
        }
    }
}

/// The arguments of a service's check, if it has one.
fn check_of(service: &Service) -> Option<Vec<String>> {
    let (form, args) = service.check.test.split_first()?;
    match form.as_str() {
        "CMD" if !args.is_empty() => Some(args.to_vec()),
        "CMD-SHELL" => Some([&service.shell, args].concat()),
        _ => None,
    }
}

/// Whether a check of a service that runs ends well. One that can't be started does not: the service may have ended.
async fn is_healthy(
    build: &Arc<Build>,
    identity: Identity,
    check: Process,
    limit: Duration,
) -> bool {
    let build = Arc::clone(build);
    let entered = blocking(move || {
        let runtime = build.engine().runtime()?;
        Ok::<_, StepError>(runtime.enter(identity, &check, Stdio::null())?)
    });
    let Ok(Ok(mut child)) = entered.await else {
        return false;
    };
    let ended = timeout(limit, child.exited()).await;
    matches!(ended, Ok(Ok(status)) if status.success())
}

/// A service as a command, beside which are the same services.
fn as_run(service: &Service, command: &Run) -> Run {
    Run {
        args: service.args.clone(),
        scripts: Vec::new(),
        env: service.env.clone(),
        proxy_env: Vec::new(),
        cwd: service.cwd.clone(),
        user: service.user.clone(),
        mounts: Vec::new(),
        network: plan::Network::None,
        security: Security::Sandbox,
        reuse: Reuse::Always,
        services: command.services.clone(),
    }
}

/// Keeps the end of what comes through a pipe.
async fn listen(pipe: OwnedFd, said: Arc<Mutex<VecDeque<u8>>>) {
    let Ok(mut pipe) = tokio::net::unix::pipe::Receiver::from_owned_fd(pipe) else {
        return;
    };
    let mut buffer = vec![0; PIECE];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend(&buffer[..read]);
        let surplus = said.len().saturating_sub(KEPT);
        said.drain(..surplus);
    }
}
