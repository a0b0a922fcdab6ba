//! What the commands need of an engine: plain data and one trait.
//!
//! The commands name no engine. The one in this process stands behind the trait, a daemon's client can, and so does the
//! fake of the tests.

mod containers;
mod images;
mod local;

use std::path::PathBuf;
use std::sync::Arc;

use engine::build::examine::{Described, Outline, Target};
use engine::build::{Debug, Drawing, ForeseenStep};
use engine::builds::{self, BuildRecord, Explanation};
use engine::containers::TerminalSize;
use engine::event::Listener;
use engine::images::Compression;
use engine::retention::{Checked, Item, Prune, Usage};

pub(crate) use containers::{
    Attached, ContainerDetail, ContainerState, ContainerSummary, Ended, ExecRequest, LogPiece,
    LogQuery, Process, PullPolicy, RunRequest, Streams, VolumeMount,
};
pub(crate) use images::{
    BuildContext, BuildRequest, Built, ContainerNetwork, Debugged, Dockerfile, Examined,
    ImageDetail, ImageSummary, Kept, Login, Pulled, Pushed, Removal, Secret, Verified,
};
pub(crate) use local::Local;

use crate::error::BackendError;

/// An engine. Dropping a future stops what it does.
pub(crate) trait Backend: Sized {
    /// A running process of a container.
    type Process: Process;
    /// A place in a build where processes can be started.
    type Session;

    /// Builds an image.
    async fn build(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Built, BackendError>;

    /// Builds as far as `debug` says, and opens what is to be looked into.
    async fn debug(
        &self,
        request: BuildRequest,
        debug: Debug,
        listener: Arc<dyn Listener>,
    ) -> Result<Debugged<Self::Session>, BackendError>;

    /// Starts a process in a build, with a terminal if that has a size.
    async fn enter(
        &self,
        session: &Self::Session,
        args: Vec<String>,
        tty: Option<TerminalSize>,
    ) -> Result<Attached<Self::Process>, BackendError>;

    /// Draws the graph of a build.
    async fn draw(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Drawing, BackendError>;

    /// Builds twice without the cache and compares the images.
    async fn verify(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Verified, BackendError>;

    /// Tells what a build would do.
    async fn foresee(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Vec<ForeseenStep>, BackendError>;

    /// All builds that are remembered, the newest first.
    async fn builds(&self) -> Result<Vec<BuildRecord>, BackendError>;

    /// One build, by its id, a unique beginning of it or `^N`; the last one without.
    async fn build_record(&self, reference: Option<&str>) -> Result<BuildRecord, BackendError>;

    /// Gives the output of a build's steps piece by piece, until there is no more or `each` says so with `false`.
    async fn build_log(
        &self,
        reference: Option<&str>,
        each: &mut dyn FnMut(builds::LogPiece) -> bool,
    ) -> Result<(), BackendError>;

    /// Forgets a build.
    async fn forget_build(&self, reference: &str) -> Result<(), BackendError>;

    /// Why the steps of a build ran, or one of them.
    async fn explain_build(
        &self,
        reference: Option<&str>,
        step: Option<&str>,
    ) -> Result<Vec<Explanation>, BackendError>;

    /// Checks the Dockerfile of a build.
    async fn check(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Examined, BackendError>;

    /// Tells what can be given to a build.
    async fn outline(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Described<Outline>, BackendError>;

    /// Tells what can be built.
    async fn targets(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Described<Vec<Target>>, BackendError>;

    /// Fetches an image.
    async fn pull(&self, name: &str, listener: Arc<dyn Listener>) -> Result<Pulled, BackendError>;

    /// Sends an image to the registry in its name.
    async fn push(
        &self,
        name: &str,
        compression: Compression,
        listener: Arc<dyn Listener>,
    ) -> Result<Pushed, BackendError>;

    /// Logs in to a registry (by address or host, or nothing for Docker Hub), and keeps the login.
    async fn log_in(&self, registry: &str, login: &Login) -> Result<Kept, BackendError>;

    /// Logs in with what is kept; `false` if that is nothing.
    async fn log_in_again(&self, registry: &str) -> Result<bool, BackendError>;

    /// Forgets a login.
    async fn log_out(&self, registry: &str) -> Result<(), BackendError>;

    /// What works here for this user: names and what is to be said of them.
    async fn info(&self) -> Result<Vec<(&'static str, String)>, BackendError>;

    /// All images, the newest first.
    async fn images(&self) -> Result<Vec<ImageSummary>, BackendError>;

    /// One image, by name, digest, id or a unique beginning of its id.
    async fn image(&self, name: &str) -> Result<ImageDetail, BackendError>;

    /// Gives an image another name.
    async fn tag(&self, name: &str, new_name: &str) -> Result<(), BackendError>;

    /// Removes a name, and with its last name the image; `force` also when containers use it.
    async fn remove_image(&self, name: &str, force: bool) -> Result<Vec<Removal>, BackendError>;

    /// Writes images to an archive that Docker and OCI tools read; `None` is standard output.
    async fn save(&self, names: &[String], file: Option<PathBuf>) -> Result<(), BackendError>;

    /// Reads the images of an archive, and gives their names, or the ids of those without; `None` is standard input.
    async fn load(&self, file: Option<PathBuf>) -> Result<Vec<String>, BackendError>;

    /// Makes a container without starting it, and gives its id.
    async fn create(
        &self,
        request: RunRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<String, BackendError>;

    /// Starts a container whose output is kept, and which outlives this program.
    async fn start(&self, id: &str) -> Result<(), BackendError>;

    /// Starts a container and gives its streams, while its output is kept as well.
    async fn start_attached(&self, id: &str) -> Result<Attached<Self::Process>, BackendError>;

    /// Starts a process in a running container.
    async fn exec(&self, request: ExecRequest) -> Result<Attached<Self::Process>, BackendError>;

    /// Containers, the newest first; those that are not running only with `all`.
    async fn containers(&self, all: bool) -> Result<Vec<ContainerSummary>, BackendError>;

    /// One container, by name, id or a unique beginning of its id.
    async fn container(&self, name: &str) -> Result<ContainerDetail, BackendError>;

    /// Gives the kept output of a container, piece by piece, until there is no more or `each` says so with `false`.
    async fn logs(
        &self,
        query: LogQuery,
        each: &mut dyn FnMut(LogPiece) -> bool,
    ) -> Result<(), BackendError>;

    /// Sends the container's own stop signal, and kills it after `seconds` (its own time when `None`).
    async fn stop(&self, name: &str, seconds: Option<u64>) -> Result<(), BackendError>;

    /// Sends a signal to a container's first process.
    async fn kill(&self, name: &str, signal: i32) -> Result<(), BackendError>;

    /// Removes a container; a running one only with `force`, which kills it.
    async fn remove(&self, name: &str, force: bool) -> Result<(), BackendError>;

    /// What takes space in the store.
    async fn usage(&self) -> Result<Usage, BackendError>;

    /// Removes what is not needed, and gives what that was; with `dry_run` only what it would be.
    async fn prune(&self, prune: Prune, dry_run: bool) -> Result<Vec<Item>, BackendError>;

    /// Checks the store; with `repair` what is damaged is dropped.
    async fn check_store(&self, repair: bool) -> Result<Checked, BackendError>;

    /// Has a cache mount never be collected, or be collected again.
    async fn pin(&self, id: &str, pinned: bool) -> Result<(), BackendError>;

    /// Waits until a container has ended.
    async fn wait(&self, name: &str) -> Result<Ended, BackendError>;
}
