//! Lowers the Dockerfile, looking up the base images that it names on the way.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use frontend::diagnostic::{Diagnostic, Severity};
use frontend::ignore::Ignore;
use frontend::plan::{self, BaseImage, Plan};
use frontend::{ImageRequest, Lowering, Need, lint};
use futures_util::future::try_join_all;
use image::Reference;
use image::config::{ContainerConfig, ImageConfig};

use super::epoch::{self, BuildArgument};
use super::prepare::Dockerfile;
use super::request::BuildRequest;
use crate::engine::Engine;
use crate::error::{BuildError, Diagnostics};
use crate::event::Phase;
use crate::images::ResolvedImage;
use crate::progress::Progress;

/// A plan and the images that it starts from, by id.
pub(super) struct Lowered {
    pub(super) plan: Plan,
    pub(super) images: HashMap<String, ResolvedImage>,
}

/// The base images that were looked up.
#[derive(Default)]
pub(super) struct Images {
    /// As the frontend asks for them.
    pub(super) known: BTreeMap<ImageRequest, BaseImage>,
    /// By id.
    by_id: HashMap<String, ResolvedImage>,
}

impl Images {
    /// Looks up all that are needed, at the same time.
    pub(super) async fn look_up(
        &mut self,
        engine: &Engine,
        request: &BuildRequest,
        dockerfile: &Dockerfile,
        needs: &[Need],
        progress: &Progress,
    ) -> Result<(), BuildError> {
        let found = needs
            .iter()
            .map(|need| look_up(engine, request, dockerfile, need, progress));
        for (need, image) in needs.iter().zip(try_join_all(found).await?) {
            self.insert(need, image);
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, need: &Need, image: ResolvedImage) {
        self.known.insert(need.image.clone(), to_base(&image));
        self.by_id.insert(image.id.to_string(), image);
    }

    /// Has a check go on without an image.
    pub(super) fn insert_unknown(&mut self, need: &Need) {
        self.known.insert(need.image.clone(), BaseImage::default());
    }
}

/// Lowers for all platforms until nothing is missing.
pub(super) async fn lower(
    engine: &Engine,
    request: &BuildRequest,
    dockerfile: &Dockerfile,
    progress: &Progress,
) -> Result<Lowered, BuildError> {
    let mut time = None;
    let mut images = Images::default();
    loop {
        match lower_once(request, dockerfile, &images, time.as_ref())? {
            Lowering::Done(plan) => {
                return Ok(Lowered {
                    plan: *plan,
                    images: images.by_id,
                });
            }
            Lowering::NeedsTime(source) => {
                let found = epoch::resolved(engine, request, dockerfile, &source, progress);
                time = Some(found.await?);
            }
            Lowering::Needs(needs) => {
                images
                    .look_up(engine, request, dockerfile, &needs, progress)
                    .await?;
            }
        }
    }
}

/// Lowers for all platforms as far as the images are known. `time` is what `SOURCE_DATE_EPOCH` was found to be.
pub(super) fn lower_once(
    request: &BuildRequest,
    dockerfile: &Dockerfile,
    images: &Images,
    time: Option<&BuildArgument>,
) -> Result<Lowering, BuildError> {
    let mut joint: Option<Box<Plan>> = None;
    let mut missing: Vec<Need> = Vec::new();
    for platform in request.all_platforms() {
        let mut options = options_for(request, platform);
        options.build_args.extend(time.cloned());
        let lowering = frontend::lower(&dockerfile.parsed, &options, &images.known);
        match (
            lowering.map_err(|items| failure(dockerfile, items))?,
            &mut joint,
        ) {
            (Lowering::Needs(needs), _) => {
                let known = |need: &Need, all: &[Need]| all.iter().any(|it| it.image == need.image);
                for need in needs {
                    if !known(&need, &missing) {
                        missing.push(need);
                    }
                }
            }
            (Lowering::NeedsTime(source), _) => return Ok(Lowering::NeedsTime(source)),
            (Lowering::Done(plan), Some(joint)) => joint.join(*plan),
            (Lowering::Done(plan), None) => joint = Some(plan),
        }
    }
    Ok(match joint {
        Some(plan) if missing.is_empty() => Lowering::Done(plan),
        _ => Lowering::Needs(missing),
    })
}

/// What is found of the plan's sources that the ignore file hides.
pub(super) fn check_ignored(
    request: &BuildRequest,
    dockerfile: &Dockerfile,
    plan: &Plan,
    ignore: &Ignore,
) -> Result<Vec<Diagnostic>, BuildError> {
    let found = lint::check_ignored(&dockerfile.parsed, &options(request), plan, ignore);
    let mut found = found.map_err(|error| failure(dockerfile, vec![error]))?;
    // The steps of each platform have the same to say.
    let mut told = HashSet::new();
    found.retain(|finding| told.insert((finding.span, finding.message.clone())));
    if found.iter().any(|item| item.severity == Severity::Error) {
        return Err(failure(dockerfile, found));
    }
    Ok(found)
}

pub(super) fn failure(dockerfile: &Dockerfile, items: Vec<Diagnostic>) -> BuildError {
    BuildError::Dockerfile(Diagnostics {
        items,
        source: Arc::clone(&dockerfile.text),
    })
}

/// The options of what is not built but examined: those for the first platform.
pub(super) fn options(request: &BuildRequest) -> frontend::Options {
    let first = request.all_platforms().into_iter().next();
    options_for(request, first.unwrap_or_else(image::Platform::host))
}

fn options_for(request: &BuildRequest, platform: image::Platform) -> frontend::Options {
    let host = image::Platform::host();
    let to_plan = |platform: image::Platform| plan::Platform {
        os: platform.os,
        architecture: platform.architecture,
        variant: platform.variant,
    };
    let contexts = request.contexts.iter();
    frontend::Options {
        target: request.target.clone(),
        build_args: request.build_args.clone(),
        labels: request.labels.clone(),
        network: request.network,
        contexts: contexts
            .map(|(name, context)| (name.clone(), context.to_plan()))
            .collect(),
        entitlements: request.entitlements.clone(),
        platform: to_plan(platform),
        names_platforms: request.makes_index(),
        build_platform: to_plan(host),
    }
}

pub(super) async fn look_up(
    engine: &Engine,
    request: &BuildRequest,
    dockerfile: &Dockerfile,
    need: &Need,
    progress: &Progress,
) -> Result<ResolvedImage, BuildError> {
    let name = &need.image.reference;
    let wanted = &need.image.platform;
    let platform = image::Platform::new(&wanted.os, &wanted.architecture, &wanted.variant);
    let place = if request.makes_index() {
        format!("{platform} internal")
    } else {
        "internal".to_owned()
    };
    let row = progress.start(format!("[{place}] load metadata for {name}"));
    let spending = row.spend(Phase::Network);
    let found = async {
        if let Some(layout) = request.layout(name) {
            return engine.resolve_layout(layout, &platform).await;
        }
        let reference: Reference = name.parse()?;
        engine
            .resolve_image(&reference, &platform, request.pull, Some(&row))
            .await
    };
    let found = found.await;
    if found.as_ref().is_ok_and(|image| !image.is_remote()) {
        // Found in the store.
        spending.forget();
    }
    row.finish(found).map_err(|error| {
        let mut diagnostic = Diagnostic::error(crate::error::chain(&error), need.span);
        diagnostic.help.clone_from(&need.hint);
        BuildError::Resolve {
            reference: name.clone(),
            at: Some(Diagnostics {
                items: vec![diagnostic],
                source: Arc::clone(&dockerfile.text),
            }),
            source: Box::new(error),
        }
    })
}

fn to_base(image: &ResolvedImage) -> BaseImage {
    let ImageConfig {
        architecture,
        author,
        os,
        variant,
        config,
        history,
        ..
    } = image.config.clone();
    BaseImage {
        id: image.id.to_string(),
        author,
        platform: plan::Platform {
            os,
            architecture,
            variant,
        },
        config: to_container(config),
        history: history.into_iter().map(to_history).collect(),
        has_layers: !image.layers.is_empty(),
    }
}

fn to_history(entry: image::config::History) -> plan::History {
    plan::History {
        created: entry.created,
        created_by: entry.created_by,
        author: entry.author,
        comment: entry.comment,
        empty_layer: entry.empty_layer,
        step: None,
    }
}

fn to_container(config: ContainerConfig) -> plan::ContainerConfig {
    let some = |words: Vec<String>| (!words.is_empty()).then_some(words);
    plan::ContainerConfig {
        user: config.user,
        exposed_ports: config.exposed_ports.into_iter().collect(),
        env: config.env,
        entrypoint: some(config.entrypoint),
        cmd: some(config.cmd),
        args_escaped: config.args_escaped,
        volumes: config.volumes.into_iter().collect(),
        working_dir: config.working_dir,
        labels: config.labels,
        stop_signal: config.stop_signal,
        shell: some(config.shell),
        healthcheck: config.healthcheck.map(|check| plan::Healthcheck {
            test: check.test,
            interval: check.interval.cast_unsigned(),
            timeout: check.timeout.cast_unsigned(),
            start_period: check.start_period.cast_unsigned(),
            start_interval: check.start_interval.cast_unsigned(),
            retries: check.retries.cast_unsigned(),
        }),
        on_build: config.on_build,
    }
}
