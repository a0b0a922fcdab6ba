//! Builds: requests to the engine, and its errors with their place in the Dockerfile.

use std::io::{Cursor, Read as _};
use std::sync::Arc;

use engine::build::examine::{Described, Outline, Target};
use engine::build::{
    ArchiveInput, ContextSource, Debug, DockerfileSource, Drawing, ForeseenStep, Network,
    SecretSource, SecretValue, Secrets, Session, SshAgents,
};
use engine::event::Listener;
use engine::output::{Destination, Output, OutputSpec};
use engine::{BuildError, Diagnostics, Engine, ImageError, StepError};

use super::{images, other};
use crate::args::output::{Dest, OutputArg, OutputKind};
use crate::backend::{
    BuildContext, BuildRequest, Built, ContainerNetwork, Debugged, Dockerfile, Examined, Secret,
    Verified,
};
use crate::error::BackendError;

/// Builds an image. `colors`: excerpts of the Dockerfile are coloured.
pub(super) async fn build(
    engine: &Engine,
    request: BuildRequest,
    listener: Arc<dyn Listener>,
    colors: bool,
) -> Result<Built, BackendError> {
    let built = engine.build(to_engine(request)?, listener).await;
    built.map(told).map_err(|error| failure(error, colors))
}

/// Builds as far as `debug` says.
pub(super) async fn debug(
    engine: &Engine,
    request: BuildRequest,
    debug: Debug,
    listener: Arc<dyn Listener>,
    colors: bool,
) -> Result<Debugged<Session>, BackendError> {
    use engine::build::Debugged as Found;
    let found = engine.debug(to_engine(request)?, debug, listener).await;
    Ok(match found {
        Found::Opened(session, built) => Debugged::Opened(session, built.map(told)),
        Found::Finished(built) => Debugged::Finished(told(built)),
        Found::Failed(error, session) => Debugged::Failed(failure(error, colors), session),
    })
}

/// Draws the graph of a build.
pub(super) async fn draw(
    engine: &Engine,
    request: BuildRequest,
    listener: Arc<dyn Listener>,
    colors: bool,
) -> Result<Drawing, BackendError> {
    let drawn = engine.draw(to_engine(request)?, listener).await;
    drawn.map_err(|error| failure(error, colors))
}

/// Builds twice and compares.
pub(super) async fn verify(
    engine: &Engine,
    request: BuildRequest,
    listener: Arc<dyn Listener>,
    colors: bool,
) -> Result<Verified, BackendError> {
    use engine::build::Verified as Found;
    let verified = engine.verify(to_engine(request)?, listener).await;
    Ok(match verified.map_err(|error| failure(error, colors))? {
        Found::Same(built) => Verified::Same(told(built)),
        Found::Differs(difference) => Verified::Differs(difference),
    })
}

/// Tells what a build would do.
pub(super) async fn foresee(
    engine: &Engine,
    request: BuildRequest,
    listener: Arc<dyn Listener>,
    colors: bool,
) -> Result<Vec<ForeseenStep>, BackendError> {
    let foreseen = engine.foresee(to_engine(request)?, listener).await;
    foreseen.map_err(|error| failure(error, colors))
}

fn told(built: engine::build::Built) -> Built {
    Built {
        id: built.id.to_string(),
        config: built.config.map(|digest| digest.to_string()),
        manifest: built.manifest.to_string(),
        manifest_size: built.manifest_size,
        media_type: built.media_type,
        names: built.tags.iter().map(ToString::to_string).collect(),
    }
}

/// Checks a Dockerfile.
pub(super) async fn check(
    engine: &Engine,
    request: BuildRequest,
    listener: Arc<dyn Listener>,
    colors: bool,
) -> Result<Examined, BackendError> {
    let checked = engine.check(to_engine(request)?, listener).await;
    let checked = checked.map_err(|error| failure(error, colors))?;
    let errors = Diagnostics {
        items: checked.errors.clone(),
        source: Arc::clone(&checked.source),
    };
    let failed = !checked.errors.is_empty();
    Ok(Examined {
        checked,
        failure: failed.then(|| failure(BuildError::Dockerfile(errors), colors)),
    })
}

/// Tells what can be given to a build.
pub(super) async fn outline(
    engine: &Engine,
    request: BuildRequest,
    listener: Arc<dyn Listener>,
    colors: bool,
) -> Result<Described<Outline>, BackendError> {
    let outline = engine.outline(to_engine(request)?, listener).await;
    outline.map_err(|error| failure(error, colors))
}

/// Tells what can be built.
pub(super) async fn targets(
    engine: &Engine,
    request: BuildRequest,
    listener: Arc<dyn Listener>,
    colors: bool,
) -> Result<Described<Vec<Target>>, BackendError> {
    let targets = engine.targets(to_engine(request)?, listener).await;
    targets.map_err(|error| failure(error, colors))
}

fn to_engine(request: BuildRequest) -> Result<engine::build::BuildRequest, BackendError> {
    let mut secrets = Secrets::default();
    for (id, secret) in request.secrets {
        let source = match secret {
            Secret::File(path) => SecretSource::File(path),
            Secret::Value(bytes) => SecretSource::Value(SecretValue::new(bytes)),
        };
        secrets.insert(id, source);
    }
    let mut ssh = SshAgents::default();
    for (id, socket) in request.ssh {
        ssh.insert(id, socket);
    }
    let contexts = request.contexts.into_iter();
    let hosts = request.hosts.into_iter();
    let outputs = request.outputs.into_iter().map(output);
    Ok(engine::build::BuildRequest {
        context: match request.context {
            BuildContext::Directory(path) => ContextSource::Directory(path),
            BuildContext::Empty => ContextSource::Empty,
            BuildContext::Remote(source) => ContextSource::Remote(source),
            BuildContext::Archive(beginning) => {
                let whole = Cursor::new(beginning).chain(std::io::stdin());
                ContextSource::Archive(ArchiveInput::new(whole))
            }
        },
        contexts: contexts
            .map(|context| (context.name, context.context))
            .collect(),
        dockerfile: match request.dockerfile {
            Dockerfile::InContext => DockerfileSource::InContext,
            Dockerfile::File(path) => DockerfileSource::File(path),
            Dockerfile::Url(source) => DockerfileSource::Url(source),
            Dockerfile::Text(text) => DockerfileSource::Text(text),
        },
        tags: images::references(&request.tags)?,
        build_args: request.build_args,
        target: request.target,
        platforms: request.platforms,
        index: request.index,
        no_cache: request.no_cache,
        no_cache_stages: request.no_cache_stages,
        squash_from: request.squash_from,
        pull: request.pull,
        labels: request.labels,
        network: match request.network {
            ContainerNetwork::Default => Network::Default,
            ContainerNetwork::Host => Network::Host,
            ContainerNetwork::None => Network::None,
        },
        entitlements: request.entitlements.into_iter().collect(),
        hosts: hosts.map(|host| (host.name, host.address)).collect(),
        shared_memory: request.shared_memory,
        limits: request.limits.into_iter().map(|limit| limit.0).collect(),
        secrets,
        ssh,
        outputs: outputs.collect::<Result<_, _>>()?,
        jobs: request.jobs,
    })
}

fn output(given: OutputArg) -> Result<Output, BackendError> {
    use engine::output::OutputKind as Kind;
    let spec = OutputSpec {
        kind: match given.kind {
            OutputKind::Oci => Kind::Oci,
            OutputKind::Docker => Kind::Docker,
            OutputKind::Tar => Kind::Tar,
            OutputKind::Local => Kind::Local,
            OutputKind::Image => Kind::Image,
            OutputKind::Registry => Kind::Registry,
            OutputKind::CacheOnly => Kind::CacheOnly,
        },
        dest: match given.dest {
            Dest::None => None,
            Dest::Stdout => Some(images::standard_output()?),
            Dest::Path(path) => Some(Destination::Path(path)),
        },
        names: images::references(&given.names)?,
        push: given.push,
        attributes: given.attributes,
    };
    Output::new(spec).map_err(|source| usage(&source))
}

/// An error in `--output`, which names the flag.
fn usage(source: &ImageError) -> BackendError {
    BackendError::Other {
        source: format!("`--output`: {source}").into(),
    }
}

/// The engine's error with the lines of the Dockerfile that it is about.
fn failure(error: BuildError, colors: bool) -> BackendError {
    let at = match &error {
        BuildError::Dockerfile(found) => Some(found),
        BuildError::Resolve { at, .. } | BuildError::Step { at, .. } => at.as_ref(),
        _ => None,
    };
    let command = matches!(
        &error,
        BuildError::Step { source, .. } if matches!(**source, StepError::Process { .. })
    );
    match at {
        Some(found) => BackendError::Build {
            excerpt: found.render(colors),
            command,
            source: Box::new(error),
        },
        None => other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine_output(text: &str) -> Result<Output, String> {
        let given = text
            .parse::<OutputArg>()
            .map_err(|error| error.to_string())?;
        output(given).map_err(|error| error.to_string())
    }

    #[test]
    fn outputs_reach_the_engine() {
        let image = engine_output("type=image,\"name=a,b:2\",push=true,compression=zstd");
        let Ok(Output::Image { names, store, push }) = image else {
            panic!("{image:?}");
        };
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            ["docker.io/library/a:latest", "docker.io/library/b:2"]
        );
        assert!(store && push.is_some());
        assert!(matches!(engine_output("out"), Ok(Output::Local { to, .. }) if to == *"out"));
        let tar = engine_output("-");
        assert!(
            matches!(
                tar,
                Ok(Output::Tar {
                    to: Destination::Stream(_),
                    ..
                })
            ),
            "{tar:?}"
        );
    }

    #[test]
    fn mistakes_in_outputs_name_the_flag() {
        for (text, message) in [
            (
                "type=oci,dest=x,unpack=true",
                "`--output`: `unpack` is not an attribute of `type=oci`",
            ),
            (
                "type=oci,tar=false",
                "`--output`: a directory cannot be written to standard output",
            ),
            (
                "type=image,name=A",
                "`A` is not the name of an image: the repository `library/A` must be lowercase",
            ),
        ] {
            assert_eq!(engine_output(text).expect_err(text), message);
        }
    }

    #[test]
    fn errors_keep_their_class() {
        let class = |error| failure(error, false);
        assert!(matches!(
            class(BuildError::Cancelled),
            BackendError::Other { .. }
        ));
        let missing = ImageError::NotFound("x".to_owned());
        assert!(matches!(
            images::failure(missing),
            BackendError::NotFound { .. }
        ));
    }
}
