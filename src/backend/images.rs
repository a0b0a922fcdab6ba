//! Builds and images, as the commands see them.

use std::path::PathBuf;
use std::time::SystemTime;

use engine::build::{Difference, Entitlement, HttpSource, Platform, RemoteSource};

use crate::args::build_context::BuildContextArg;
use crate::args::host::HostArg;
use crate::args::output::OutputArg;
use crate::args::ulimit::UlimitArg;
use crate::error::BackendError;

/// Where the Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dockerfile {
    /// `Dockerfile` in the context.
    InContext,
    /// A file.
    File(PathBuf),
    /// What a URL leads to.
    Url(HttpSource),
    /// Text, as read from standard input.
    Text(Vec<u8>),
}

/// Where the files come from that a Dockerfile can copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildContext {
    /// A directory.
    Directory(PathBuf),
    /// There are none.
    Empty,
    /// The archive on standard input, of which these bytes have been read.
    Archive(Vec<u8>),
    /// A repository, an archive at a URL, or a Dockerfile alone.
    Remote(RemoteSource),
}

/// A secret, ready to be mounted.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    /// A file of the host.
    File(PathBuf),
    /// A value from the environment.
    Value(Vec<u8>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Value(_) => f.write_str("Value(…)"),
        }
    }
}

/// The network of steps and containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum ContainerNetwork {
    /// The engine's own choice
    #[default]
    Default,
    /// The network of this machine
    Host,
    /// Only a loopback device
    None,
}

/// What a check found.
#[derive(Debug)]
pub(crate) struct Examined {
    pub checked: engine::build::examine::Checked,
    /// Its errors, as a build would end with them.
    pub failure: Option<BackendError>,
}

/// What is to be built. The flags in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildRequest {
    pub context: BuildContext,
    pub contexts: Vec<BuildContextArg>,
    pub dockerfile: Dockerfile,
    pub tags: Vec<String>,
    /// Without a value: declared, but not in the environment either.
    pub build_args: Vec<(String, Option<String>)>,
    pub target: Option<String>,
    /// This machine's own if there is none.
    pub platforms: Vec<Platform>,
    /// Whether one image makes an index, too.
    pub index: bool,
    pub no_cache: bool,
    /// Stages whose steps run again.
    pub no_cache_stages: Vec<String>,
    /// Make one layer of those from this stage or step on.
    pub squash_from: Option<String>,
    pub pull: bool,
    pub labels: Vec<(String, String)>,
    pub network: ContainerNetwork,
    pub entitlements: Vec<Entitlement>,
    pub hosts: Vec<HostArg>,
    /// Bytes of `/dev/shm`.
    pub shared_memory: Option<u64>,
    pub limits: Vec<UlimitArg>,
    pub secrets: Vec<(String, Secret)>,
    /// Ids and sockets of SSH agents.
    pub ssh: Vec<(String, PathBuf)>,
    /// Empty: the image goes into the store.
    pub outputs: Vec<OutputArg>,
    pub jobs: Option<usize>,
}

/// A finished build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Built {
    /// The image's id (`sha256:…`).
    pub id: String,
    /// The digest of its config; none of an index.
    pub config: Option<String>,
    /// The digest of its manifest or index.
    pub manifest: String,
    /// The size of that in bytes.
    pub manifest_size: u64,
    /// The media type of that.
    pub media_type: String,
    /// The names it was given, in full (`docker.io/library/a:latest`).
    pub names: Vec<String>,
}

/// A build that is looked into, with the place where processes can be started.
#[derive(Debug)]
pub(crate) enum Debugged<S> {
    /// It came to that place; with what was built, if it was to be finished.
    Opened(S, Option<Built>),
    /// It is finished, and nothing failed.
    Finished(Built),
    /// It failed; with the step whose command did, if that is to be looked into.
    Failed(BackendError, Option<S>),
}

/// What came of building twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verified {
    /// The same image.
    Same(Built),
    /// Two images, and where they differ.
    Differs(Difference),
}

/// An image that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pulled {
    /// Its name in full.
    pub name: String,
    /// The digest that the name stands for in the registry.
    pub digest: String,
    /// Whether the store lacked it.
    pub new: bool,
}

/// An image that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// Its name in full.
    pub name: String,
    /// The digest of its manifest.
    pub digest: String,
    /// The manifest's size in bytes.
    pub size: u64,
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Where a login was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In a file, unencrypted.
    File(PathBuf),
    /// With a credential helper.
    Helper,
}

/// An image in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageSummary {
    /// `sha256:…`, the digest of its config.
    pub id: String,
    /// Its names as people write them (`busybox:latest`).
    pub names: Vec<String>,
    /// Names with digests that it has in registries (`busybox@sha256:…`).
    pub digests: Vec<String>,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// Bytes of its layers, uncompressed.
    pub size: u64,
}

/// All about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageDetail {
    pub summary: ImageSummary,
    /// The digest of its manifest.
    pub manifest: String,
    /// The manifest's media type.
    pub media_type: String,
    /// The manifest's size in bytes.
    pub manifest_size: u64,
    /// The OCI image config.
    pub config: serde_json::Value,
    /// Bytes of each layer, lowest first.
    pub layer_sizes: Vec<u64>,
}

/// What removing an image took away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Removal {
    /// A name.
    Untagged(String),
    /// An image or a layer, by digest.
    Deleted(String),
}
