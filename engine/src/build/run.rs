//! `RUN`: a command in a sandbox over the layers so far, whose changes become the next layer.

use std::mem;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use cache::{MountLease, Upper};
use frontend::plan::{self, MountKind, Run, SecretMount, Security};
use runtime::{
    Capabilities, Child, ExitStatus, Isolation, Mount, Network, Process, Root, Source, Spec, Stdio,
};
use solver::RunContext;

use super::debug::Failed;
use super::operation::blocking;
use super::secrets::{Masker, SecretValue};
use super::services::Services;
use super::ssh::AgentSocket;
use super::state::MountedFiles;
use super::{Build, Seals};
use crate::error::StepError;
use crate::event::{Phase, Stream};
use crate::progress::Row;
use crate::rootfs::{Layer, Rootfs};
use crate::sandbox::{Stubs, imitate_root, name_files};

/// Where scripts from here-documents are.
const SCRIPTS: &str = "/dev/pipes";
/// Mode of such a script.
const SCRIPT_MODE: u32 = 0o755;
/// How much output is read at once, in bytes.
const PIECE: usize = 32 << 10;

/// Everything that a step needs from outside, held until the step is over.
pub(super) struct Surroundings {
    mounts: Vec<Mount>,
    env: Vec<(String, String)>,
    secrets: Vec<SecretValue>,
    /// What the command asks for, if services have none.
    pub(super) network: Network,
    pub(super) held: Held,
}

/// What must stay as long as the mounts of a step are in use.
#[derive(Debug, Default)]
pub(super) struct Held {
    leases: Vec<MountLease>,
    agents: Vec<AgentSocket>,
}

/// Runs a command and gives the root file system with its changes on top.
pub(super) async fn run(
    build: &Arc<Build>,
    command: &Run,
    inputs: Vec<Rootfs>,
    row: &Row,
    context: RunContext,
) -> Result<Rootfs, StepError> {
    let base = inputs.first().cloned().unwrap_or_default();
    let waiting = row.spend(Phase::Waiting);
    let mut around = surroundings(build, command, &inputs).await?;
    let mut services = Services::start(build, command, &inputs, row, &context.cancelled).await?;
    if let Some(network) = services.network() {
        around.network = network;
    }
    drop(waiting);
    let secrets = mem::take(&mut around.secrets);
    let held = mem::take(&mut around.held);
    let changes = Changes::new(build)?;
    let mounting = row.spend(Phase::Mounts);
    let stack = build.engine().mountable(&base).await?;
    let child = {
        let (build, command) = (Arc::clone(build), command.clone());
        let upper = changes.upper.clone();
        blocking(move || spawn(&build, &command, &stack, around, &upper, Stdio::piped())).await?
    };
    drop(mounting);
    let processing = row.spend(Phase::Processes);
    let result = match child {
        Ok(child) => follow(child, &secrets, row, &context).await,
        Err(error) => Err(services.explain(error).await),
    };
    let is_fine = match &result {
        Ok(status) => status.success(),
        Err(error) => matches!(error, StepError::Cancelled),
    };
    if !is_fine {
        services.tell(row).await;
    }
    drop((processing, held, services));
    let status = result?;
    if !status.success() && build.keeps_failures() {
        build.keep_failed(Failed {
            command: command.clone(),
            inputs,
            upper: changes.keep(),
        });
        return check(command, status).map(|()| base);
    }
    check(command, status)?;
    Ok(base.with(build.sealing(changes.keep(), row)))
}

/// The directories for what a step changes. What a step that failed or was stopped has changed is of no use.
pub(super) struct Changes<'a> {
    build: &'a Build,
    upper: Upper,
    kept: bool,
}

impl<'a> Changes<'a> {
    pub(super) fn new(build: &'a Build) -> Result<Self, StepError> {
        Ok(Self {
            upper: build.engine().store().layers().new_upper()?,
            build,
            kept: false,
        })
    }

    pub(super) fn upper(&self) -> &Upper {
        &self.upper
    }

    fn keep(mut self) -> Upper {
        self.kept = true;
        self.upper.clone()
    }
}

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // What stays is swept when the process has ended.
            self.build
                .engine()
                .store()
                .discard(&self.upper.directory)
                .ok();
        }
    }
}

fn check(command: &Run, status: ExitStatus) -> Result<(), StepError> {
    if status.success() {
        return Ok(());
    }
    Err(StepError::Process {
        command: command.args.join(" "),
        status,
    })
}

/// Gets what the command's mounts and variables need.
pub(super) async fn surroundings(
    build: &Arc<Build>,
    command: &Run,
    inputs: &[Rootfs],
) -> Result<Surroundings, StepError> {
    let mut hosts = build.hosts_on(command.network)?;
    let services = command.services.iter();
    hosts.extend(services.map(|service| format!("{}\t{}", Ipv4Addr::LOCALHOST, service.name)));
    let mut all = Surroundings {
        mounts: name_files(build.settings().host_name, &hosts)?,
        env: Vec::new(),
        secrets: Vec::new(),
        network: match command.network {
            plan::Network::None => Network::None,
            plan::Network::Default => Network::Own,
            plan::Network::Host => Network::Host,
        },
        held: Held::default(),
    };
    for script in &command.scripts {
        let content = script.content.clone().into_bytes();
        let target = format!("{SCRIPTS}/{}", script.name);
        all.mounts.push(file(target, content, (SCRIPT_MODE, 0, 0)));
    }
    // One below another comes after it, whichever is written first, as with BuildKit's `PrepareMounts`.
    let mut mounts: Vec<_> = command.mounts.iter().collect();
    mounts.sort_by(|left, right| left.target.cmp(&right.target));
    for mount in mounts {
        add(&mut all, build, mount, inputs).await?;
    }
    Ok(all)
}

async fn add(
    all: &mut Surroundings,
    build: &Arc<Build>,
    mount: &plan::Mount,
    inputs: &[Rootfs],
) -> Result<(), StepError> {
    let (source, read_only) = match &mount.kind {
        MountKind::Bind {
            from,
            source,
            writable,
        } => {
            let files = build.mounted_files(from, source, inputs).await?;
            (view(build, &files)?, !writable)
        }
        MountKind::Tmpfs { size } => (
            Source::Tmpfs {
                size: *size,
                mode: 0o1777,
            },
            false,
        ),
        MountKind::Cache(cache) => {
            let lease = build.cache_mount(cache, inputs).await?;
            let path = lease.path();
            all.held.leases.push(lease);
            (
                Source::Bind {
                    path,
                    recursive: false,
                },
                cache.readonly,
            )
        }
        MountKind::Ssh(ssh) => {
            let Some(agent) = build.request().ssh.get(&ssh.id) else {
                if ssh.required {
                    return Err(StepError::MissingAgent { id: ssh.id.clone() });
                }
                return Ok(());
            };
            let socket = AgentSocket::new(build.engine().store(), agent, ssh)?;
            let path = socket.path();
            all.held.agents.push(socket);
            (
                Source::Bind {
                    path,
                    recursive: false,
                },
                false,
            )
        }
        MountKind::Secret(secret) => return add_secret(all, build, secret, &mount.target),
    };
    all.mounts.push(Mount {
        target: PathBuf::from(&mount.target),
        source,
        read_only,
    });
    Ok(())
}

fn view(build: &Build, files: &MountedFiles) -> Result<Source, StepError> {
    Ok(Source::View {
        lowers: build.engine().lowers(&files.rootfs)?,
        path: PathBuf::from(&files.path),
        directory: files.directory,
    })
}

fn add_secret(
    all: &mut Surroundings,
    build: &Build,
    secret: &SecretMount,
    target: &str,
) -> Result<(), StepError> {
    let Some(value) = build.request().secrets.read(&secret.id)? else {
        if secret.required {
            return Err(StepError::MissingSecret {
                id: secret.id.clone(),
            });
        }
        return Ok(());
    };
    if let Some(name) = &secret.env {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.env.push((name.clone(), text));
    }
    if secret.file {
        let owner = (secret.mode, secret.uid, secret.gid);
        let content = value.as_bytes().to_vec();
        all.mounts.push(file(target.to_owned(), content, owner));
    }
    all.secrets.push(value);
    Ok(())
}

fn file(target: String, content: Vec<u8>, (mode, uid, gid): (u32, u32, u32)) -> Mount {
    Mount {
        target: target.into(),
        source: Source::File {
            content,
            mode,
            uid,
            gid,
        },
        read_only: true,
    }
}

/// The directory of places for mounts that a root file system lacks.
pub(super) fn stubs_of(upper: &Upper) -> PathBuf {
    upper.directory.join("stubs")
}

/// Starts the command.
pub(super) fn spawn(
    build: &Build,
    command: &Run,
    base: &Rootfs,
    around: Surroundings,
    upper: &Upper,
    stdio: Stdio,
) -> Result<Child, StepError> {
    let view = base.view()?;
    let user = crate::users::resolve_user(&command.user, &view)?;
    let stubs = Stubs::find(&view, &around.mounts)?;
    let stubs = stubs.make(&view, stubs_of(upper))?;
    imitate_root(&view, &upper.upper)?;
    let mut env = command.env.clone();
    env.extend(command.proxy_env.iter().cloned());
    env.extend(around.env);
    if !env.iter().any(|(name, _)| name == "HOME") {
        env.push(("HOME".to_owned(), user.home.to_string_lossy().into_owned()));
    }
    let process = Process {
        env,
        cwd: PathBuf::from(&command.cwd),
        user,
        limits: build.request().limits.clone(),
        ..Process::new(command.args.clone())
    };
    let (process, isolation) = match command.security {
        Security::Sandbox => (process, Isolation::Full),
        Security::Insecure => {
            let process = Process {
                capabilities: Capabilities::ALL,
                filter_calls: false,
                ..process
            };
            (process, Isolation::Open)
        }
    };
    let spec = Spec {
        root: Root {
            lowers: build.engine().lowers(base)?,
            stubs,
            upper: Some(runtime::Upper {
                directory: upper.upper.clone(),
                work: upper.work.clone(),
                durable: false,
            }),
        },
        process,
        stdio,
        host_name: build.settings().host_name.to_owned(),
        network: around.network,
        isolation,
        shared_memory: build.request().shared_memory,
        mounts: around.mounts,
    };
    Ok(build.engine().runtime()?.spawn(spec)?)
}

/// Shows a command's output until it ends. When the step is cancelled the command is killed.
async fn follow(
    mut child: Child,
    secrets: &[SecretValue],
    row: &Row,
    context: &RunContext,
) -> Result<ExitStatus, StepError> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let shown = async {
        tokio::join!(
            show(stdout, Stream::Stdout, Masker::new(secrets), row),
            show(stderr, Stream::Stderr, Masker::new(secrets), row),
        )
    };
    let ended = async {
        let ((), status) = tokio::join!(async { drop(shown.await) }, child.exited());
        status
    };
    tokio::select! {
        status = ended => Ok(status?),
        () = context.cancelled.cancelled() => Err(StepError::Cancelled),
    }
}

async fn show(
    pipe: Option<std::os::fd::OwnedFd>,
    stream: Stream,
    mut masker: Masker,
    row: &Row,
) -> std::io::Result<()> {
    use tokio::io::AsyncReadExt;
    let Some(pipe) = pipe else { return Ok(()) };
    let mut pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(pipe)?;
    let mut buffer = vec![0; PIECE];
    loop {
        let read = pipe.read(&mut buffer).await?;
        let piece = match read {
            0 => masker.finish(),
            read => masker.push(&buffer[..read]),
        };
        if !piece.is_empty() {
            row.log(stream, &piece);
        }
        if read == 0 {
            return Ok(());
        }
    }
}

impl Build {
    /// The layer that a step's changes become: of use at once, sealed behind the build's back.
    fn sealing(self: &Arc<Self>, upper: Upper, row: &Row) -> Layer {
        let (engine, epoch) = (self.engine().clone(), self.epoch());
        let reuse = self.seals() == Seals::Any;
        let directory = upper.upper.clone();
        let row = row.clone();
        let work = tokio::task::spawn_blocking(move || {
            let _spending = row.spend(Phase::Sealing);
            engine.seal(&directory, epoch, reuse)
        });
        let sealing = crate::rootfs::sealing(async move {
            match work.await {
                Ok(sealed) => sealed.map_err(Arc::new),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => Err(Arc::new(StepError::Cancelled)),
            }
        });
        let layer = Layer::fresh(upper, sealing);
        self.keep(layer.clone());
        layer
    }
}
