//! A plan as text.

use std::fmt::Write as _;

use rbuild_frontend::SourceText;
use rbuild_frontend::plan::{
    ContainerConfig, Copy, CopyItem, MountKind, Network, Plan, PlannedImage, Reuse, Run, Security,
    Source, StepKind,
};

/// Steps, config and history, one thing a line.
pub(crate) fn plan(plan: &Plan, source: &SourceText) -> String {
    let mut out = String::new();
    for id in plan.graph.ids() {
        let step = plan.graph.get(id);
        let inputs: Vec<_> = plan
            .graph
            .inputs(id)
            .iter()
            .map(ToString::to_string)
            .collect();
        let line = step.span.map_or(0, |span| source.position(span.start).line);
        let from = if inputs.is_empty() {
            String::new()
        } else {
            format!(" <- {}", inputs.join(" "))
        };
        let _ = writeln!(
            out,
            "{id}{from} {} (line {line}, stage `{}`)",
            step.name, step.stage
        );
        match &step.kind {
            StepKind::Scratch => {}
            StepKind::Context(name) => {
                let _ = writeln!(out, "    context {name}");
            }
            StepKind::Image(image) => {
                let _ = writeln!(out, "    image {} {}", image.reference, image.id);
            }
            StepKind::Remote(source) => {
                let _ = writeln!(out, "    {source:?}");
            }
            StepKind::MakeDirectory(directory) => {
                let _ = writeln!(
                    out,
                    "    directory {} user `{}`",
                    directory.path, directory.user
                );
            }
            StepKind::Run(step) => run(&mut out, step),
            StepKind::Copy(step) => copy(&mut out, step),
        }
    }
    if let Some(name) = &plan.host_name {
        let _ = writeln!(out, "host name {name}");
    }
    for planned in &plan.images {
        image(&mut out, planned, plan.epoch);
    }
    out
}

fn image(out: &mut String, image: &PlannedImage, epoch: Option<i64>) {
    let target = image.target.map_or("none".to_owned(), |id| id.to_string());
    let _ = writeln!(out, "target {target}");
    if let Some(epoch) = epoch {
        let _ = writeln!(out, "epoch {epoch}");
    }
    let spec = &image.spec;
    if spec.platform.os != "linux" || spec.platform.architecture != "amd64" {
        let _ = writeln!(
            out,
            "platform {}/{}",
            spec.platform.os, spec.platform.architecture
        );
    }
    if !spec.author.is_empty() {
        let _ = writeln!(out, "author {}", spec.author);
    }
    config(out, &spec.config);
    for entry in &spec.history {
        let layer = match (&entry.created, entry.step, entry.empty_layer) {
            (Some(_), _, _) => "base".to_owned(),
            (None, Some(step), false) => step.to_string(),
            (None, None, true) => "-".to_owned(),
            other => format!("contradiction {other:?}"),
        };
        let _ = writeln!(out, "history {layer} {:?}", entry.created_by);
    }
}

fn source(from: &Source) -> String {
    match from {
        Source::Context => "context".to_owned(),
        Source::Named(name) => format!("context {name}"),
        Source::Input(number) => format!("input {number}"),
        Source::Empty => "empty".to_owned(),
    }
}

fn run(out: &mut String, run: &Run) {
    let _ = writeln!(out, "    args {:?}", run.args);
    for script in &run.scripts {
        let _ = writeln!(out, "    script {} {:?}", script.name, script.content);
    }
    let env: Vec<_> = run
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let _ = writeln!(out, "    env {env:?}");
    if !run.proxy_env.is_empty() {
        let _ = writeln!(out, "    proxy {:?}", run.proxy_env);
    }
    if run.cwd != "/" {
        let _ = writeln!(out, "    cwd {}", run.cwd);
    }
    if !run.user.is_empty() {
        let _ = writeln!(out, "    user {}", run.user);
    }
    if run.network != Network::Default {
        let _ = writeln!(out, "    network {:?}", run.network);
    }
    if run.security != Security::Sandbox {
        let _ = writeln!(out, "    security {:?}", run.security);
    }
    if run.reuse != Reuse::Always {
        let _ = writeln!(out, "    reuse {:?}", run.reuse);
    }
    for service in &run.services {
        let _ = writeln!(out, "    service {service:?}");
    }
    for mount in &run.mounts {
        let kind = match &mount.kind {
            MountKind::Bind {
                from,
                source: path,
                writable,
            } => format!("bind {} {path} writable={writable}", source(from)),
            MountKind::Cache(cache) => {
                let from = cache.from.as_ref();
                let from = from.map(|(from, path)| format!("{} {path}", source(from)));
                format!(
                    "cache {} {:?} from={from:?} mode={:?} owner={:?}:{:?} readonly={}",
                    cache.id, cache.sharing, cache.mode, cache.uid, cache.gid, cache.readonly
                )
            }
            MountKind::Tmpfs { size } => format!("tmpfs {size:?}"),
            MountKind::Secret(secret) => format!("{secret:?}"),
            MountKind::Ssh(ssh) => format!("{ssh:?}"),
        };
        let _ = writeln!(out, "    mount {} {kind}", mount.target);
    }
}

fn copy(out: &mut String, copy: &Copy) {
    let _ = write!(out, "    copy from {}", source(&copy.from));
    for item in &copy.items {
        let _ = match item {
            CopyItem::Path(path) => write!(out, " {path:?}"),
            CopyItem::Parents { pivot, pattern } => write!(out, " {pivot:?}/./{pattern:?}"),
            CopyItem::Inline { name, content } => write!(out, " {name}:{content:?}"),
            CopyItem::Remote {
                input,
                path,
                unpack,
            } => write!(out, " input {input} {path:?} unpack={unpack}"),
        };
    }
    let _ = write!(out, " to {}", copy.dest);
    if let Some(chown) = &copy.chown {
        let _ = write!(out, " chown {chown}");
    }
    if let Some(chmod) = &copy.chmod {
        let _ = write!(out, " chmod {chmod}");
    }
    if !copy.exclude.is_empty() {
        let _ = write!(out, " except {:?}", copy.exclude);
    }
    for (set, name) in [
        (copy.unpack, " unpack"),
        (copy.link, " link"),
        (copy.optional, " optional"),
    ] {
        out.push_str(if set { name } else { "" });
    }
    out.push('\n');
}

fn config(out: &mut String, config: &ContainerConfig) {
    let lists = [
        ("env", Some(&config.env)),
        ("entrypoint", config.entrypoint.as_ref()),
        ("cmd", config.cmd.as_ref()),
        ("shell", config.shell.as_ref()),
        ("ports", Some(&config.exposed_ports)),
        ("volumes", Some(&config.volumes)),
        ("onbuild", Some(&config.on_build)),
    ];
    for (name, list) in lists {
        let optional = matches!(name, "entrypoint" | "cmd" | "shell");
        if let Some(list) = list
            && (optional || !list.is_empty())
        {
            let _ = writeln!(out, "{name} {list:?}");
        }
    }
    for (name, value) in [
        ("user", &config.user),
        ("workdir", &config.working_dir),
        ("stopsignal", &config.stop_signal),
    ] {
        if !value.is_empty() {
            let _ = writeln!(out, "{name} {value}");
        }
    }
    for (key, value) in &config.labels {
        let _ = writeln!(out, "label {key}={value}");
    }
    if let Some(check) = &config.healthcheck {
        let _ = writeln!(out, "{check:?}");
    }
}
