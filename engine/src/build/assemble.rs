//! The finished image: its config, by the rules of BuildKit's exporter.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use frontend::plan::{self, ImageSpec, PlannedImage};
use image::Platform;
use image::config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs, timestamp};
use layer::Digest;

use crate::rootfs::Sealed;

/// What BuildKit says made a layer that no instruction accounts for.
const UNACCOUNTED: &str = "buildkit.exporter.image.v0";

/// What a build came to.
#[derive(Debug, Clone)]
pub(crate) enum Finished {
    /// An image.
    Image(Box<FinishedImage>),
    /// An index of images, in the order of their platforms as they were asked for.
    Index(Vec<FinishedImage>),
}

/// An image that is complete but for its way out.
#[derive(Debug, Clone)]
pub(crate) struct FinishedImage {
    /// The platform that it was asked for.
    pub(crate) platform: Platform,
    pub(crate) config: ImageConfig,
    pub(crate) bytes: Vec<u8>,
    /// The digest of the config.
    pub(crate) id: Digest,
    pub(crate) layers: Vec<Sealed>,
    /// `SOURCE_DATE_EPOCH`.
    pub(crate) epoch: Option<i64>,
}

impl Finished {
    /// The images.
    pub(crate) fn images(&self) -> &[FinishedImage] {
        match self {
            Self::Image(image) => std::slice::from_ref(&**image),
            Self::Index(images) => images,
        }
    }

    /// Which of the images runs here; the first if none does.
    pub(crate) fn shown(&self) -> usize {
        let host = Platform::host();
        let mut images = self.images().iter();
        images
            .position(|image| image.platform.serves(&host))
            .unwrap_or(0)
    }
}

/// Describes the image that a plan gives with these layers.
pub(super) fn image(
    planned: &PlannedImage,
    layers: Vec<Sealed>,
    epoch: Option<i64>,
) -> FinishedImage {
    let spec = &planned.spec;
    let mut history: Vec<History> = spec.history.iter().map(to_history).collect();
    let created = created(&layers);
    account_for_layers(&mut history, &created);
    fill_times(&mut history, &created);
    let epoch_time = epoch.map(|seconds| timestamp(at(seconds)));
    if let (Some(epoch), Some(text)) = (epoch, &epoch_time) {
        for entry in &mut history {
            if !is_before(entry.created.as_deref(), at(epoch)) {
                entry.created = Some(text.clone());
            }
        }
    }
    let last = history.last().and_then(|entry| entry.created.clone());
    let created = epoch_time
        .or(last)
        .unwrap_or_else(|| timestamp(SystemTime::now()));
    let config = ImageConfig {
        architecture: spec.platform.architecture.clone(),
        author: spec.author.clone(),
        config: to_container(spec),
        created: Some(created),
        history,
        os: spec.platform.os.clone(),
        rootfs: RootFs::new(layers.iter().map(|layer| layer.diff_id).collect()),
        variant: spec.platform.variant.clone(),
        ..ImageConfig::default()
    };
    let (bytes, id) = config.encode();
    let asked = &planned.platform;
    FinishedImage {
        platform: Platform::new(&asked.os, &asked.architecture, &asked.variant),
        config,
        bytes,
        id,
        layers,
        epoch,
    }
}

fn at(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        UNIX_EPOCH - distance
    } else {
        UNIX_EPOCH + distance
    }
}

/// Whether a time is known and lies before `limit`.
fn is_before(time: Option<&str>, limit: SystemTime) -> bool {
    time.and_then(|time| time.parse::<jiff::Timestamp>().ok())
        .is_some_and(|time| SystemTime::from(time) <= limit)
}

/// When each layer came to be. One that was found to have the content of a step that ran later is taken to be as old as
/// the one before it.
fn created(layers: &[Sealed]) -> Vec<SystemTime> {
    let mut latest = UNIX_EPOCH;
    let times = layers.iter().map(|layer| {
        latest = latest.max(created_at(layer));
        latest
    });
    times.collect()
}

/// When a layer came to be: when its index was written.
fn created_at(layer: &Sealed) -> SystemTime {
    std::fs::metadata(layer.stored.index())
        .and_then(|metadata| metadata.modified())
        .unwrap_or_else(|_| SystemTime::now())
}

/// Has the history name exactly as many layers as there are (BuildKit's `normalizeLayersAndHistory`).
fn account_for_layers(history: &mut Vec<History>, created: &[SystemTime]) {
    let mut named = 0;
    for entry in history.iter_mut().filter(|entry| !entry.empty_layer) {
        if named == created.len() {
            entry.empty_layer = true;
        } else {
            named += 1;
        }
    }
    history.extend(created[named..].iter().map(|created| History {
        created: Some(timestamp(*created)),
        comment: UNACCOUNTED.to_owned(),
        ..History::default()
    }));
}

/// Gives every entry its time: a layer's own, and for the others that of the layer before, or of the first new layer.
fn fill_times(history: &mut [History], created: &[SystemTime]) {
    let layers = history.iter_mut().filter(|entry| !entry.empty_layer);
    for (entry, created) in layers.zip(created) {
        entry.created.get_or_insert_with(|| timestamp(*created));
    }
    let first_new = history.iter().position(|entry| entry.created.is_none());
    let known = |entries: &[History]| entries.iter().find_map(|entry| entry.created.clone());
    let before = |entries: &[History]| entries.iter().rev().find_map(|entry| entry.created.clone());
    let Some(first_new) = first_new else { return };
    let mut current = known(&history[first_new..])
        .or_else(|| before(&history[..first_new]))
        .or_else(|| Some(timestamp(SystemTime::now())));
    for entry in &mut history[first_new..] {
        match &entry.created {
            Some(created) => current = Some(created.clone()),
            None => entry.created.clone_from(&current),
        }
    }
}

fn to_history(entry: &plan::History) -> History {
    History {
        created: entry.created.clone(),
        created_by: entry.created_by.clone(),
        author: entry.author.clone(),
        comment: entry.comment.clone(),
        empty_layer: entry.empty_layer,
    }
}

fn to_container(spec: &ImageSpec) -> ContainerConfig {
    let config = spec.config.clone();
    ContainerConfig {
        user: config.user,
        exposed_ports: config.exposed_ports.into_iter().collect(),
        env: config.env,
        entrypoint: config.entrypoint.unwrap_or_default(),
        cmd: config.cmd.unwrap_or_default(),
        volumes: config.volumes.into_iter().collect(),
        working_dir: config.working_dir,
        labels: config.labels,
        stop_signal: config.stop_signal,
        args_escaped: config.args_escaped,
        healthcheck: config.healthcheck.map(|check| Healthcheck {
            test: check.test,
            interval: check.interval.cast_signed(),
            timeout: check.timeout.cast_signed(),
            start_period: check.start_period.cast_signed(),
            start_interval: check.start_interval.cast_signed(),
            retries: check.retries.cast_signed(),
        }),
        on_build: config.on_build,
        shell: config.shell.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(created: Option<i64>, empty_layer: bool) -> History {
        History {
            created: created.map(|seconds| timestamp(at(seconds))),
            empty_layer,
            ..History::default()
        }
    }

    fn times(history: &[History]) -> Vec<Option<&str>> {
        history
            .iter()
            .map(|entry| entry.created.as_deref())
            .collect()
    }

    #[test]
    fn entries_without_layers_take_the_time_of_a_new_one() {
        // A base layer, then: ENV, RUN, CMD.
        let mut history = [
            entry(Some(1), false),
            entry(None, true),
            entry(None, false),
            entry(None, true),
        ];
        fill_times(&mut history, &[at(1), at(9)]);
        let [base, new] = [1, 9].map(|seconds| timestamp(at(seconds)));
        let expected = [&base, &new, &new, &new].map(|time| Some(time.as_str()));
        assert_eq!(times(&history), expected);
    }

    #[test]
    fn without_new_layers_entries_take_the_time_of_the_base() {
        let mut history = [entry(Some(1), false), entry(None, true)];
        fill_times(&mut history, &[at(1)]);
        assert_eq!(history[1].created, history[0].created);
    }

    #[test]
    fn the_history_names_as_many_layers_as_there_are() {
        let mut history = vec![entry(Some(1), false), entry(Some(1), false)];
        account_for_layers(&mut history, &[at(1)]);
        assert_eq!(
            history
                .iter()
                .map(|entry| entry.empty_layer)
                .collect::<Vec<_>>(),
            [false, true]
        );
        let mut history = vec![entry(Some(1), true)];
        account_for_layers(&mut history, &[at(5), at(6)]);
        assert_eq!(history.len(), 3);
        assert!(
            history[1..]
                .iter()
                .all(|entry| entry.comment == UNACCOUNTED && !entry.empty_layer)
        );
    }
}
