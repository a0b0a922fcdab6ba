//! The engine in this process, behind the trait of the commands.

mod build;
mod builds;
mod containers;
mod images;
mod info;
mod store;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use engine::build::examine::{Described, Outline, Target};
use engine::build::{Debug, Drawing, ForeseenStep, Session};
use engine::builds::{BuildRecord, Explanation};
use engine::containers::TerminalSize;
use engine::event::Listener;
use engine::images::Compression;
use engine::retention::{Checked, Item, Prune, Usage};
use engine::rootless::NamespaceError;
use engine::{Engine, LayerForm};

use super::{
    Attached, Backend, BuildRequest, Built, ContainerDetail, ContainerSummary, Debugged, Ended,
    Examined, ExecRequest, ImageDetail, ImageSummary, Kept, LogPiece, LogQuery, Login, Pulled,
    Pushed, Removal, RunRequest, Verified,
};
use crate::cli::{Global, LayersForm};
use crate::error::{BackendError, Error};
use crate::rootless::Caller;
use crate::settings::Settings;

/// The engine in this process.
#[derive(Debug)]
pub(crate) struct Local {
    engine: Engine,
    caller: Caller,
    /// Whether excerpts of Dockerfiles are coloured.
    colors: bool,
}

impl Local {
    /// Opens the store that flags and environment name.
    pub(crate) fn open(
        global: &Global,
        settings: &Settings,
        caller: &Caller,
    ) -> Result<Self, Error> {
        let engine = Engine::open(engine::Settings {
            store: settings.store(global, caller.is_superuser()),
            layers: match global.layers {
                LayersForm::Auto => LayerForm::Auto,
                LayersForm::Erofs => LayerForm::Erofs,
                LayersForm::Directory => LayerForm::Directory,
            },
            credentials: settings.credentials(caller.is_superuser()),
            registries: settings.registries(global),
            powerless: caller.powerless(),
            proxies: settings.proxies(),
            retention: settings.retention()?,
        });
        Ok(Self {
            engine: engine.map_err(other)?,
            caller: caller.clone(),
            colors: settings.allows_colors() && std::io::stderr().is_terminal(),
        })
    }

    /// Enters the user namespace of a running container. What was opened outside of it serves no more.
    pub(crate) fn join(self, container: &str) -> Result<(), NamespaceError> {
        self.engine.join_container(container)
    }
}

/// An error of no class of its own.
fn other(source: impl std::error::Error + Send + Sync + 'static) -> BackendError {
    BackendError::Other {
        source: Box::new(source),
    }
}

impl Backend for Local {
    type Process = containers::LocalProcess;
    type Session = Session;

    async fn build(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Built, BackendError> {
        build::build(&self.engine, request, listener, self.colors).await
    }

    async fn debug(
        &self,
        request: BuildRequest,
        debug: Debug,
        listener: Arc<dyn Listener>,
    ) -> Result<Debugged<Session>, BackendError> {
        build::debug(&self.engine, request, debug, listener, self.colors).await
    }

    async fn enter(
        &self,
        session: &Session,
        args: Vec<String>,
        tty: Option<TerminalSize>,
    ) -> Result<Attached<Self::Process>, BackendError> {
        containers::enter(session, args, tty).await
    }

    async fn draw(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Drawing, BackendError> {
        build::draw(&self.engine, request, listener, self.colors).await
    }

    async fn verify(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Verified, BackendError> {
        build::verify(&self.engine, request, listener, self.colors).await
    }

    async fn foresee(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Vec<ForeseenStep>, BackendError> {
        build::foresee(&self.engine, request, listener, self.colors).await
    }

    async fn builds(&self) -> Result<Vec<BuildRecord>, BackendError> {
        builds::list(&self.engine)
    }

    async fn build_record(&self, reference: Option<&str>) -> Result<BuildRecord, BackendError> {
        builds::get(&self.engine, reference)
    }

    async fn build_log(
        &self,
        reference: Option<&str>,
        each: &mut dyn FnMut(engine::builds::LogPiece) -> bool,
    ) -> Result<(), BackendError> {
        builds::log(&self.engine, reference, each)
    }

    async fn forget_build(&self, reference: &str) -> Result<(), BackendError> {
        builds::forget(&self.engine, reference)
    }

    async fn explain_build(
        &self,
        reference: Option<&str>,
        step: Option<&str>,
    ) -> Result<Vec<Explanation>, BackendError> {
        builds::explain(&self.engine, reference, step)
    }

    async fn check(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Examined, BackendError> {
        build::check(&self.engine, request, listener, self.colors).await
    }

    async fn outline(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Described<Outline>, BackendError> {
        build::outline(&self.engine, request, listener, self.colors).await
    }

    async fn targets(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Described<Vec<Target>>, BackendError> {
        build::targets(&self.engine, request, listener, self.colors).await
    }

    async fn pull(&self, name: &str, listener: Arc<dyn Listener>) -> Result<Pulled, BackendError> {
        images::pull(&self.engine, name, listener).await
    }

    async fn push(
        &self,
        name: &str,
        compression: Compression,
        listener: Arc<dyn Listener>,
    ) -> Result<Pushed, BackendError> {
        images::push(&self.engine, name, compression, listener).await
    }

    async fn log_in(&self, registry: &str, login: &Login) -> Result<Kept, BackendError> {
        images::log_in(&self.engine, registry, login).await
    }

    async fn log_in_again(&self, registry: &str) -> Result<bool, BackendError> {
        let result = self.engine.log_in_again(registry).await;
        result.map_err(other)
    }

    async fn log_out(&self, registry: &str) -> Result<(), BackendError> {
        self.engine.log_out(registry).await.map_err(other)
    }

    async fn info(&self) -> Result<Vec<(&'static str, String)>, BackendError> {
        info::lines(&self.engine, &self.caller)
    }

    async fn images(&self) -> Result<Vec<ImageSummary>, BackendError> {
        images::list(&self.engine)
    }

    async fn image(&self, name: &str) -> Result<ImageDetail, BackendError> {
        images::detail(&self.engine, name)
    }

    async fn tag(&self, name: &str, new_name: &str) -> Result<(), BackendError> {
        images::tag(&self.engine, name, new_name)
    }

    async fn remove_image(&self, name: &str, force: bool) -> Result<Vec<Removal>, BackendError> {
        images::remove(&self.engine, name, force)
    }

    async fn save(&self, names: &[String], file: Option<PathBuf>) -> Result<(), BackendError> {
        images::save(&self.engine, names, file).await
    }

    async fn load(&self, file: Option<PathBuf>) -> Result<Vec<String>, BackendError> {
        images::load(&self.engine, file).await
    }

    async fn create(
        &self,
        request: RunRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<String, BackendError> {
        containers::create(&self.engine, request, listener).await
    }

    async fn start(&self, id: &str) -> Result<(), BackendError> {
        containers::start(&self.engine, id).await
    }

    async fn start_attached(&self, id: &str) -> Result<Attached<Self::Process>, BackendError> {
        containers::start_attached(&self.engine, id).await
    }

    async fn exec(&self, request: ExecRequest) -> Result<Attached<Self::Process>, BackendError> {
        containers::exec(&self.engine, request).await
    }

    async fn containers(&self, all: bool) -> Result<Vec<ContainerSummary>, BackendError> {
        containers::containers(&self.engine, all)
    }

    async fn container(&self, name: &str) -> Result<ContainerDetail, BackendError> {
        containers::container(&self.engine, name)
    }

    async fn logs(
        &self,
        query: LogQuery,
        each: &mut dyn FnMut(LogPiece) -> bool,
    ) -> Result<(), BackendError> {
        containers::logs(&self.engine, query, each).await
    }

    async fn stop(&self, name: &str, seconds: Option<u64>) -> Result<(), BackendError> {
        containers::stop(&self.engine, name, seconds).await
    }

    async fn kill(&self, name: &str, signal: i32) -> Result<(), BackendError> {
        containers::kill(&self.engine, name, signal)
    }

    async fn remove(&self, name: &str, force: bool) -> Result<(), BackendError> {
        containers::remove(&self.engine, name, force).await
    }

    async fn usage(&self) -> Result<Usage, BackendError> {
        store::usage(&self.engine).await
    }

    async fn prune(&self, prune: Prune, dry_run: bool) -> Result<Vec<Item>, BackendError> {
        store::prune(&self.engine, prune, dry_run).await
    }

    async fn check_store(&self, repair: bool) -> Result<Checked, BackendError> {
        store::check(&self.engine, repair).await
    }

    async fn pin(&self, id: &str, pinned: bool) -> Result<(), BackendError> {
        store::pin(&self.engine, id, pinned)
    }

    async fn wait(&self, name: &str) -> Result<Ended, BackendError> {
        containers::wait(&self.engine, name).await
    }
}
