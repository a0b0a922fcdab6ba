//! What lowering produces: a graph of steps, and the image that its last step becomes.
//!
//! A plan is plain data. It names contexts, images and secrets but never reads them; the engine gives each
//! [`Step`] its meaning.

mod join;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::chmod::Chmod;
use crate::remote::RemoteSource;
use crate::span::Span;

/// A build, ready to be solved.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Steps as nodes. An edge goes from a producer to its consumer and carries the consumer's input number:
    /// input 0 of a step that extends a root file system is the step it extends, [`StepKind::Scratch`] if need be.
    pub graph: solver::Graph<Step>,
    /// The images that are built, one for each platform.
    pub images: Vec<PlannedImage>,
    /// `SOURCE_DATE_EPOCH` in seconds: the time of everything that the build makes.
    pub epoch: Option<i64>,
    /// `BUILDKIT_SANDBOX_HOSTNAME`: the host name that steps see; `None` for the builder's own choice.
    pub host_name: Option<String>,
    /// Findings that do not stop the build.
    pub warnings: Vec<crate::diagnostic::Diagnostic>,
}

impl Plan {
    /// The named contexts that are directories of the caller's and that steps read, by their full names.
    pub fn named_contexts(&self) -> BTreeSet<&str> {
        let steps = self.graph.ids().map(|id| self.graph.get(id));
        steps.flat_map(Step::named_contexts).collect()
    }
}

/// An image that a plan gives.
#[derive(Debug, Clone)]
pub struct PlannedImage {
    /// The platform that it is asked for. What it says of itself may differ, as its base decides that.
    pub platform: Platform,
    /// The step whose root file system it has; `None` for an image without any layer. A plan can have steps that the
    /// target does not need: those of stages whose files nothing takes.
    pub target: Option<solver::NodeId>,
    /// What it says of itself.
    pub spec: ImageSpec,
}

/// One node of the graph.
#[derive(Debug, Clone)]
pub struct Step {
    /// What is to be done.
    pub kind: StepKind,
    /// The name shown to people, as BuildKit writes it: `[build 2/5] RUN make`.
    pub name: String,
    /// Where the instruction stands; `None` for steps that no instruction names.
    pub span: Option<Span>,
    /// The stage that the step belongs to: its name, or `stage-N`.
    pub stage: String,
    /// The platform of that stage; empty for a step of no stage.
    pub platform: Platform,
}

impl Step {
    fn named_contexts(&self) -> Vec<&str> {
        match &self.kind {
            StepKind::Context(name) => vec![name],
            StepKind::Copy(copy) => copy.from.named().into_iter().collect(),
            StepKind::Run(run) => {
                let files = run.mounts.iter().filter_map(Mount::files);
                files.filter_map(|(from, _)| from.named()).collect()
            }
            StepKind::Scratch
            | StepKind::Image(_)
            | StepKind::Remote(_)
            | StepKind::MakeDirectory(_) => Vec::new(),
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepKind {
    /// The empty root file system that steps of a `FROM scratch` extend. No inputs, no work, nothing to show.
    Scratch,
    /// The root file system of a base image. No inputs.
    Image(ImageSource),
    /// Files from the network. No inputs.
    Remote(RemoteSource),
    /// All files of a named context that is a directory of the caller's, by its full name: what a stage begins with. No
    /// inputs.
    Context(String),
    /// Runs a command in the root file system of input 0.
    Run(Box<Run>),
    /// Adds files to the root file system of input 0 (`COPY`, `ADD`).
    Copy(Copy),
    /// Makes sure that a directory exists in the root file system of input 0 (`WORKDIR`).
    MakeDirectory(MakeDirectory),
}

/// An image that a plan reads: resolved, so that its identity is fixed before anything runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// The name as written, normalised (`docker.io/library/busybox:latest`).
    pub reference: String,
    /// What the resolver found: opaque to the frontend, the key of the resolved image (its config digest).
    pub id: String,
}

/// A `RUN` instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The argument vector, with the shell in front for the shell form.
    pub args: Vec<String>,
    /// Files put beside the command: here-documents that carry their own interpreter line, at
    /// `/dev/pipes/NAME`, mode 0755, gone when the step ends.
    pub scripts: Vec<Script>,
    /// The environment, in the order in which it was declared: `ENV` values and declared `ARG`s, `PATH` among them.
    pub env: Vec<(String, String)>,
    /// Proxy variables: part of the command's environment, never of its cache key.
    pub proxy_env: Vec<(String, String)>,
    /// `WORKDIR`, absolute.
    pub cwd: String,
    /// `USER` as written; empty for root.
    pub user: String,
    /// `--mount`s in their order.
    pub mounts: Vec<Mount>,
    /// `--network`, or what the whole build asked for.
    pub network: Network,
    /// `--security`.
    pub security: Security,
    /// `--no-cache` and `--cache-ttl`.
    pub reuse: Reuse,
    /// `--service`s in their order.
    pub services: Vec<Service>,
}

/// What runs beside a `RUN`, on a network that the two have for themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What its host is called.
    pub name: String,
    /// Whose files it runs on; it changes nothing of them.
    pub from: Source,
    /// Its entry point and command.
    pub args: Vec<String>,
    /// Its environment, `PATH` among it.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub cwd: String,
    /// Its user, as the image has it; empty for root.
    pub user: String,
    /// How to find out that it is ready; without a test it is when it runs.
    pub check: Healthcheck,
    /// What runs a test that is written for the shell.
    pub shell: Vec<String>,
}

/// How long the result of a `RUN` may take the place of running it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reuse {
    /// As long as it is there.
    #[default]
    Always,
    /// Never (`--no-cache`).
    Never,
    /// For this long after it was made (`--cache-ttl`).
    For(Duration),
}

/// `RUN --security`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Security {
    /// Confined, as any step.
    #[default]
    Sandbox,
    /// With all powers that the builder has.
    Insecure,
}

/// An executable file made from a here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The file's name under `/dev/pipes`.
    pub name: String,
    /// Its text.
    pub content: String,
}

/// Which network a step has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Network {
    /// The builder's own choice.
    #[default]
    Default,
    /// The host's network, asked for.
    Host,
    /// Only a loopback device.
    None,
}

/// `RUN --mount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it appears: absolute, cleaned, variables expanded.
    pub target: String,
    /// What is mounted.
    pub kind: MountKind,
    /// Where the flag stands.
    pub span: Span,
}

impl Mount {
    /// Whose files it shows or begins with, and the path of them.
    pub fn files(&self) -> Option<(&Source, &str)> {
        match &self.kind {
            MountKind::Bind { from, source, .. } => Some((from, source)),
            MountKind::Cache(cache) => cache.from.as_ref().map(|(from, path)| (from, &**path)),
            MountKind::Tmpfs { .. } | MountKind::Secret(_) | MountKind::Ssh(_) => None,
        }
    }
}

/// The kinds of `RUN --mount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// `type=bind`: files of the context, a stage or an image.
    Bind {
        /// Whose files.
        from: Source,
        /// Path inside `from`.
        source: String,
        /// Writes are allowed, and thrown away.
        writable: bool,
    },
    /// `type=cache`: a directory that outlives the build.
    Cache(CacheMount),
    /// `type=tmpfs`.
    Tmpfs {
        /// Size in bytes; `None` for the kernel's default.
        size: Option<u64>,
    },
    /// `type=secret`.
    Secret(SecretMount),
    /// `type=ssh`: the socket of an SSH agent.
    Ssh(SshMount),
}

/// `RUN --mount=type=cache`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMount {
    /// The name under which it is shared.
    pub id: String,
    /// What a second user at the same time gets.
    pub sharing: Sharing,
    /// First contents: an input and a path inside it.
    pub from: Option<(Source, String)>,
    /// Mode of the directory when it is made.
    pub mode: Option<u32>,
    /// Owner of the directory when it is made.
    pub uid: Option<u32>,
    /// Group of the directory when it is made.
    pub gid: Option<u32>,
    /// Mounted read-only.
    pub readonly: bool,
}

/// `RUN --mount=type=secret`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMount {
    /// Which secret.
    pub id: String,
    /// Whether the secret appears as a file at the mount's target (not when only `env` was given).
    pub file: bool,
    /// The environment variable to set.
    pub env: Option<String>,
    /// Whether its absence is an error.
    pub required: bool,
    /// Whether another value is another step (`cache-key`).
    pub keyed: bool,
    /// Mode of the file.
    pub mode: u32,
    /// Owner of the file.
    pub uid: u32,
    /// Group of the file.
    pub gid: u32,
}

/// `RUN --mount=type=ssh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshMount {
    /// Which agent.
    pub id: String,
    /// Whether its absence is an error.
    pub required: bool,
    /// Mode of the socket.
    pub mode: u32,
    /// Owner of the socket.
    pub uid: u32,
    /// Group of the socket.
    pub gid: u32,
}

/// How a cache mount is shared by steps that run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sharing {
    /// All use the one directory at once.
    #[default]
    Shared,
    /// A second user gets a directory of its own.
    Private,
    /// A second user waits.
    Locked,
}

/// Whose files a copy or a mount reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// The build context.
    Context,
    /// A named context that is a directory of the caller's, by its full name.
    Named(String),
    /// The step that is this input of the node.
    Input(usize),
    /// An empty root (`from=scratch`).
    Empty,
}

impl Source {
    fn named(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Context | Self::Input(_) | Self::Empty => None,
        }
    }
}

/// `COPY` or `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Whose files the paths name.
    pub from: Source,
    /// What is copied, in order.
    pub items: Vec<CopyItem>,
    /// Where to: absolute (joined with `WORKDIR`), a trailing `/` kept as written.
    pub dest: String,
    /// `--chown`: `user[:group]` as written, expanded.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<Chmod>,
    /// `--exclude`: patterns of what is left out, relative to each source.
    pub exclude: Vec<String>,
    /// Archives among the sources are unpacked (`ADD` from the context).
    pub unpack: bool,
    /// `--link`: the layer is made as if there was nothing below it, so that it is the same on any base.
    pub link: bool,
    /// Sources that name nothing are skipped (`--if-exists`).
    pub optional: bool,
}

/// One source of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyItem {
    /// A path or a pattern by the rules of Go's `filepath.Match`, cleaned, relative to the root of the source.
    Path(String),
    /// A source of `--parents`: what matches `pattern` below `pivot`, with the directories in between.
    Parents {
        /// As [`CopyItem::Path`]; empty for the root.
        pivot: String,
        /// A path or a pattern by the rules of ignore files, cleaned, relative to the pivot.
        pattern: String,
    },
    /// A here-document: a file of mode 0644 with this name.
    Inline {
        /// The file's name when the destination is a directory.
        name: String,
        /// Its bytes.
        content: String,
    },
    /// What a [`StepKind::Remote`] gives.
    Remote {
        /// Which input of the node it is.
        input: usize,
        /// Which of its files: a name, or nothing for all of them.
        path: String,
        /// The file is unpacked if it is an archive.
        unpack: bool,
    },
}

/// `WORKDIR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MakeDirectory {
    /// Absolute path.
    pub path: String,
    /// `USER` as written; it owns what is made. Empty for root.
    pub user: String,
}

/// The image's own description, as far as the Dockerfile decides it. The engine adds `rootfs` and the times.
#[derive(Debug, Clone, Default)]
pub struct ImageSpec {
    /// The platform: `os`, `architecture`, `variant`.
    pub platform: Platform,
    /// `MAINTAINER`.
    pub author: String,
    /// The `config` object.
    pub config: ContainerConfig,
    /// History of the base image followed by what this build adds.
    pub history: Vec<History>,
}

/// `os/architecture[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, … as Go names them.
    pub architecture: String,
    /// `v7`, `v8`, …; empty for none.
    pub variant: String,
}

/// One entry of an image's history.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Time of an inherited entry as the base image has it (RFC 3339). `None`: made by this build.
    pub created: Option<String>,
    /// What made it.
    pub created_by: String,
    /// Who.
    pub author: String,
    /// `buildkit.dockerfile.v0` for entries of a build.
    pub comment: String,
    /// No layer belongs to it.
    pub empty_layer: bool,
    /// The step whose layer belongs to it; `None` for inherited entries and for those without a layer.
    pub step: Option<solver::NodeId>,
}

/// The `config` of an image: the OCI fields and Docker's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerConfig {
    /// `USER`.
    pub user: String,
    /// `EXPOSE`: `port/protocol`.
    pub exposed_ports: Vec<String>,
    /// `ENV`: `NAME=value`, in order.
    pub env: Vec<String>,
    /// `ENTRYPOINT`; `None` and an empty list differ in the image's JSON.
    pub entrypoint: Option<Vec<String>>,
    /// `CMD`.
    pub cmd: Option<Vec<String>>,
    /// `CMD` or `ENTRYPOINT` were given in the shell form on Windows; kept from base images.
    pub args_escaped: bool,
    /// `VOLUME`.
    pub volumes: Vec<String>,
    /// `WORKDIR`.
    pub working_dir: String,
    /// `LABEL`.
    pub labels: BTreeMap<String, String>,
    /// `STOPSIGNAL`.
    pub stop_signal: String,
    /// `SHELL`.
    pub shell: Option<Vec<String>>,
    /// `HEALTHCHECK`.
    pub healthcheck: Option<Healthcheck>,
    /// `ONBUILD`: instructions for the builds that start from this image.
    pub on_build: Vec<String>,
}

/// `HEALTHCHECK`: durations in nanoseconds, 0 for "inherit".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", "…"]`.
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: u64,
    /// How long one check may take.
    pub timeout: u64,
    /// Failures in this time do not count.
    pub start_period: u64,
    /// Time between two checks while starting.
    pub start_interval: u64,
    /// How many failures in a row make the container unhealthy.
    pub retries: u64,
}

/// A base image as the resolver knows it, handed to lowering.
#[derive(Debug, Clone, Default)]
pub struct BaseImage {
    /// The key that [`ImageSource::id`] repeats.
    pub id: String,
    /// Its `author`.
    pub author: String,
    /// Its platform.
    pub platform: Platform,
    /// Its config.
    pub config: ContainerConfig,
    /// Its history, created times filled in.
    pub history: Vec<History>,
    /// Whether it has any layer; one without counts as `scratch`.
    pub has_layers: bool,
}
