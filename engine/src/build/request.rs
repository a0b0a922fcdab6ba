//! What a caller asks of a build, and what it gets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use frontend::Entitlement;
use frontend::plan::Network;
use frontend::remote::{HttpSource, RemoteSource};
use image::Platform;

use super::main_context::ArchiveInput;
use super::{LayoutSource, NamedContext, Secrets, SshAgents};
use crate::output::Output;
use crate::sources::Access;

/// The agent that repositories are fetched with.
const DEFAULT_AGENT: &str = "default";

/// Where the Dockerfile comes from.
#[derive(Debug, Clone)]
pub enum DockerfileSource {
    /// A file; relative to the working directory, as `-f` is. Where the context is no directory, one that is not
    /// absolute is in the context.
    File(PathBuf),
    /// What a URL leads to.
    Url(HttpSource),
    /// `Dockerfile`, else `dockerfile`, in the context.
    InContext,
    /// Text that the caller has, such as that of `-f -`.
    Text(Vec<u8>),
}

/// What a name of `/etc/hosts` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostAddress {
    /// An address.
    Address(std::net::IpAddr),
    /// This machine, as steps reach it (`host-gateway`).
    Gateway,
}

/// Where the files come from that a Dockerfile can copy.
#[derive(Debug, Clone)]
pub enum ContextSource {
    /// A directory of the host.
    Directory(PathBuf),
    /// There are none.
    Empty,
    /// An archive.
    Archive(ArchiveInput),
    /// A source on the network. Of HTTP it is an archive, or a Dockerfile alone.
    Remote(RemoteSource),
}

impl std::fmt::Display for ContextSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Empty | Self::Archive(_) => f.write_str("-"),
            Self::Remote(source) => source.display().fmt(f),
        }
    }
}

/// What is to be built.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// Whose files the Dockerfile can copy.
    pub context: ContextSource,
    /// What stands for stages and images, by their full names.
    pub contexts: BTreeMap<String, NamedContext>,
    /// The Dockerfile.
    pub dockerfile: DockerfileSource,
    /// Names for the image.
    pub tags: Vec<image::Reference>,
    /// `--build-arg`, in order: without a value it has been looked up in the caller's environment and not been found.
    pub build_args: Vec<(String, Option<String>)>,
    /// The stage to build; `None` for the last.
    pub target: Option<String>,
    /// The platforms to build for, an image for each; none for this machine's own.
    pub platforms: Vec<Platform>,
    /// Whether the result is an index even if it is of one image.
    pub index: bool,
    /// Run every step again.
    pub no_cache: bool,
    /// Run the steps of these stages again.
    pub no_cache_stages: Vec<String>,
    /// Make one layer of those that the image has from this stage or step on.
    pub squash_from: Option<String>,
    /// Ask the registry for base images that the store has.
    pub pull: bool,
    /// Labels for the image, in order.
    pub labels: Vec<(String, String)>,
    /// The network of steps that do not choose one.
    pub network: Network,
    /// Powers that steps may ask for.
    pub entitlements: BTreeSet<Entitlement>,
    /// Lines for `/etc/hosts` of steps: name and address.
    pub hosts: Vec<(String, HostAddress)>,
    /// How much `/dev/shm` of steps may hold, in bytes; `None` for 64 MiB.
    pub shared_memory: Option<u64>,
    /// Limits of the processes of steps.
    pub limits: Vec<runtime::Limit>,
    /// Secrets that steps may mount.
    pub secrets: Secrets,
    /// SSH agents that steps may mount.
    pub ssh: SshAgents,
    /// Where the result goes. Empty: into the store, under `tags`.
    pub outputs: Vec<Output>,
    /// How many steps run at the same time; `None` for the engine's own limit.
    pub jobs: Option<usize>,
}

impl BuildRequest {
    /// The build of the last stage of the Dockerfile in a context, into the store, without a name.
    pub fn new(context: PathBuf) -> Self {
        Self {
            context: ContextSource::Directory(context),
            contexts: BTreeMap::new(),
            dockerfile: DockerfileSource::InContext,
            tags: Vec::new(),
            build_args: Vec::new(),
            target: None,
            platforms: Vec::new(),
            index: false,
            no_cache: false,
            no_cache_stages: Vec::new(),
            squash_from: None,
            pull: false,
            labels: Vec::new(),
            network: Network::default(),
            entitlements: BTreeSet::new(),
            hosts: Vec::new(),
            shared_memory: None,
            limits: Vec::new(),
            secrets: Secrets::default(),
            ssh: SshAgents::default(),
            outputs: Vec::new(),
            jobs: None,
        }
    }
}

impl BuildRequest {
    /// Whether the result is an index of images.
    pub(crate) fn makes_index(&self) -> bool {
        self.index || self.platforms.len() > 1
    }

    /// The platforms, of which there is at least one.
    pub(crate) fn all_platforms(&self) -> Vec<Platform> {
        match &*self.platforms {
            [] => vec![Platform::host()],
            platforms => platforms.to_vec(),
        }
    }

    /// The layout that a plan calls so.
    pub(super) fn layout(&self, name: &str) -> Option<&LayoutSource> {
        self.contexts.values().find_map(|context| match context {
            NamedContext::Layout(layout) if layout.to_string() == name => Some(layout),
            _ => None,
        })
    }

    /// By what servers of sources are persuaded.
    pub(crate) fn access(&self) -> Access<'_> {
        Access {
            secrets: &self.secrets,
            agent: self.ssh.get(DEFAULT_AGENT),
        }
    }
}

/// A finished build.
#[derive(Debug, Clone)]
pub struct Built {
    /// The image's id: the digest of its config. That of an index in the store, else as it was written or pushed last.
    pub id: layer::Digest,
    /// The digest of its config; none of an index.
    pub config: Option<layer::Digest>,
    /// The digest of its manifest or index, as it is in the store or as it was written or pushed last.
    pub manifest: layer::Digest,
    /// Size of that in bytes.
    pub manifest_size: u64,
    /// The media type of that.
    pub media_type: String,
    /// The names it was given.
    pub tags: Vec<image::Reference>,
}
