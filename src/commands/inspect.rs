//! `rbuild inspect`: images and containers as JSON in the shape of Docker's `inspect`.

use clap::Args;
use serde_json::{Map, Value, json};

use super::containers::{network, state};
use super::{Context, Format, inspect_time};
use crate::backend::{Backend, ContainerDetail, ContainerState, ImageDetail};
use crate::error::{BackendError, Error};

/// Docker's word for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Flags of `rbuild inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Names or IDs of images and containers
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// `json` for one object a line rather than an indented list
    #[arg(short, long, value_name = "FORMAT", value_parser = json_only)]
    pub format: Option<Format>,
    /// Only things of this kind
    #[arg(long = "type", value_name = "KIND")]
    pub kind: Option<Kind>,
}

/// What is inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Images
    Image,
    /// Containers
    Container,
}

/// Shows what is known of images and containers.
pub(crate) async fn run<B: Backend>(
    args: InspectArgs,
    cx: &mut Context<'_, B>,
) -> Result<u8, Error> {
    let mut found = Vec::new();
    let mut failed = false;
    for name in &args.names {
        match inspect(cx.backend, name, args.kind).await {
            Ok(value) => found.push(value),
            Err(error) => {
                failed = true;
                cx.printer.say(&Error::from(error).report("inspect"));
            }
        }
    }
    match args.format {
        Some(_) => {
            for value in &found {
                cx.printer.line(&value.to_string())?;
            }
        }
        None => cx.printer.line(&format!("{:#}", Value::from(found)))?,
    }
    if failed { Err(Error::Reported) } else { Ok(0) }
}

/// A container of this name, else an image.
async fn inspect(
    backend: &impl Backend,
    name: &str,
    kind: Option<Kind>,
) -> Result<Value, BackendError> {
    if kind != Some(Kind::Image) {
        match backend.container(name).await {
            Ok(detail) => return Ok(container(&detail)),
            Err(BackendError::NotFound { .. }) if kind.is_none() => {}
            Err(error) => return Err(error),
        }
    }
    backend.image(name).await.map(|detail| image(&detail))
}

fn image(detail: &ImageDetail) -> Value {
    let config = &detail.config;
    let text = |key: &str| config[key].as_str().unwrap_or_default();
    json!({
        "Id": detail.summary.id,
        "RepoTags": detail.summary.names,
        "RepoDigests": detail.summary.digests,
        "Comment": last_comment(config),
        "Created": text("created"),
        "Author": text("author"),
        "Architecture": text("architecture"),
        "Variant": text("variant"),
        "Os": text("os"),
        "Size": detail.summary.size,
        "RootFS": {
            "Type": "layers",
            "Layers": config["rootfs"]["diff_ids"],
        },
        "Config": image_config(&config["config"]),
        "Descriptor": {
            "mediaType": detail.media_type,
            "digest": detail.manifest,
            "size": detail.manifest_size,
        },
    })
}

/// The `config` object as it is, with the keys that Docker always has.
fn image_config(config: &Value) -> Value {
    let mut object: Map<String, Value> = config.as_object().cloned().unwrap_or_default();
    for (key, empty) in [
        ("User", json!("")),
        ("Env", Value::Null),
        ("Cmd", Value::Null),
        ("Entrypoint", Value::Null),
        ("WorkingDir", json!("")),
        ("Labels", Value::Null),
        ("Volumes", Value::Null),
        ("ExposedPorts", Value::Null),
        ("OnBuild", Value::Null),
    ] {
        object.entry(key).or_insert(empty);
    }
    object.into()
}

fn last_comment(config: &Value) -> &str {
    config["history"]
        .as_array()
        .and_then(|history| history.last())
        .and_then(|step| step["comment"].as_str())
        .unwrap_or_default()
}

fn container(detail: &ContainerDetail) -> Value {
    let summary = &detail.summary;
    let program = summary.command.first().cloned().unwrap_or_default();
    json!({
        "Id": summary.id,
        "Created": inspect_time(summary.created),
        "Path": program,
        "Args": summary.command.get(1..).unwrap_or_default(),
        "State": container_state(detail),
        "Image": detail.image_id,
        "Name": format!("/{}", summary.name),
        "RestartCount": 0,
        "Platform": "linux",
        "HostConfig": {
            "Binds": binds(detail),
            "NetworkMode": network(summary.network),
            "AutoRemove": detail.remove,
            "ReadonlyRootfs": detail.read_only,
        },
        "Mounts": mounts(detail),
        "Config": container_config(detail),
    })
}

fn container_state(detail: &ContainerDetail) -> Value {
    let (pid, code, finished) = match detail.summary.state {
        ContainerState::Created => (0, 0, NEVER.to_owned()),
        ContainerState::Running { pid, .. } => (pid, 0, NEVER.to_owned()),
        ContainerState::Exited { code, at } => (0, code, inspect_time(at)),
    };
    json!({
        "Status": state(detail.summary.state),
        "Running": matches!(detail.summary.state, ContainerState::Running { .. }),
        "Paused": false,
        "Restarting": false,
        "Dead": false,
        "Pid": pid,
        "ExitCode": code,
        "StartedAt": detail.started.map_or_else(|| NEVER.to_owned(), inspect_time),
        "FinishedAt": finished,
    })
}

fn container_config(detail: &ContainerDetail) -> Value {
    let env: Vec<String> = detail
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let labels: Map<String, Value> = detail
        .labels
        .iter()
        .map(|(key, value)| (key.clone(), value.as_str().into()))
        .collect();
    json!({
        "Hostname": detail.hostname,
        "User": detail.user,
        "Tty": detail.tty,
        "OpenStdin": detail.stdin,
        "Env": env,
        "Cmd": detail.args,
        "Image": detail.summary.image,
        "WorkingDir": detail.workdir,
        "Entrypoint": detail.entrypoint,
        "Labels": labels,
    })
}

fn binds(detail: &ContainerDetail) -> Vec<String> {
    detail
        .volumes
        .iter()
        .map(|volume| {
            let mode = if volume.read_only { ":ro" } else { "" };
            format!("{}:{}{mode}", volume.source.display(), volume.target)
        })
        .collect()
}

fn mounts(detail: &ContainerDetail) -> Vec<Value> {
    detail
        .volumes
        .iter()
        .map(|volume| {
            json!({
                "Type": "bind",
                "Source": volume.source.display().to_string(),
                "Destination": volume.target,
                "RW": !volume.read_only,
            })
        })
        .collect()
}

fn json_only(text: &str) -> Result<Format, String> {
    match text {
        "json" => Ok(Format::Json),
        _ => Err("only `json` is supported yet".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::fake::{Fake, run_command};

    #[test]
    fn images_have_dockers_shape() {
        let done = run_command(&Fake::default(), &["inspect", "busybox"]);
        assert_eq!(done.code, 0, "{}", done.err);
        let value: Value = serde_json::from_str(&done.out).expect("json");
        let image = &value[0];
        assert_eq!(image["Id"], "sha256:0123456789abcdef");
        assert_eq!(image["Config"]["Cmd"], json!(["sh"]));
        assert_eq!(image["Config"]["Entrypoint"], Value::Null);
        assert_eq!(image["RootFS"]["Layers"], json!(["sha256:aa", "sha256:bb"]));
        assert_eq!(image["Comment"], "buildkit.dockerfile.v0");
    }

    #[test]
    fn containers_have_dockers_shape() {
        let done = run_command(&Fake::default(), &["inspect", "-f", "json", "box"]);
        let value: Value = serde_json::from_str(&done.out).expect("json");
        assert_eq!(value["Name"], "/box");
        assert_eq!(value["State"]["Status"], "exited");
        assert_eq!(value["State"]["ExitCode"], 3);
        assert_eq!(value["Path"], "sh");
        assert_eq!(value["HostConfig"]["Binds"], json!(["/src:/dst:ro"]));
    }

    #[test]
    fn what_is_found_is_shown_when_something_is_not() {
        let done = run_command(&Fake::default(), &["inspect", "missing", "busybox"]);
        assert_eq!(done.code, 1);
        assert_eq!(done.err, "rbuild: error: no such image: `missing`\n");
        let value: Value = serde_json::from_str(&done.out).expect("json");
        assert_eq!(value.as_array().map(Vec::len), Some(1));
    }
}
