//! What each kind of step depends on, in the words of the Dockerfile. What takes no part in cache keys is left out here too
//! ([`crate::build`]'s identities, which have the rule of how both are kept alike).

use std::borrow::Cow;

use frontend::plan::{
    CacheMount, Copy, CopyItem, ImageSource, MakeDirectory, Mount, MountKind, Network, Run, Script,
    SecretMount, Security, Service, Sharing, Source, SshMount, StepKind,
};

use super::inputs::Inputs;
use crate::build::StepSettings;

/// The part that tells kinds of steps apart.
pub(super) const INSTRUCTION: &str = "instruction";

/// What a step depends on beside files.
pub(crate) fn of(kind: &StepKind, settings: StepSettings<'_>) -> Inputs {
    let mut inputs = Inputs::default();
    let instruction = match kind {
        StepKind::Scratch => "FROM scratch",
        StepKind::Image(_) => "FROM",
        StepKind::Remote(_) => "remote source",
        StepKind::Context(_) => "named context",
        StepKind::Run(_) => "RUN",
        StepKind::Copy(_) => "COPY or ADD",
        StepKind::MakeDirectory(_) => "WORKDIR",
    };
    inputs.part(INSTRUCTION, instruction);
    match kind {
        StepKind::Scratch => return inputs,
        StepKind::Image(ImageSource { reference, id }) => {
            inputs.part(format!("image {reference}"), id.as_str());
            return inputs;
        }
        StepKind::Remote(source) => {
            inputs.part("source", source.display());
            return inputs;
        }
        StepKind::Context(name) => {
            inputs.part("context", name.as_str());
            return inputs;
        }
        StepKind::Run(command) => run(&mut inputs, command, settings),
        StepKind::Copy(files) => copy(&mut inputs, files),
        StepKind::MakeDirectory(MakeDirectory { path, user }) => {
            inputs.part("directory", path.as_str());
            inputs.part("user", user.as_str());
        }
    }
    inputs.optional(
        "argument SOURCE_DATE_EPOCH",
        settings.epoch.map(|time| time.to_string()),
    );
    inputs
}

fn run(inputs: &mut Inputs, run: &Run, settings: StepSettings<'_>) {
    let Run {
        args,
        scripts,
        env,
        proxy_env: _,
        cwd,
        user,
        mounts,
        network,
        security,
        reuse: _,
        services,
    } = run;
    let StepSettings {
        hosts,
        host_name,
        shared_memory,
        limits,
        epoch: _,
    } = settings;
    inputs.part("command", args.join(" "));
    for Script { name, content } in scripts {
        inputs.part(format!("script {name}"), content.as_str());
    }
    for (name, value) in env {
        inputs.part(format!("variable {name}"), value.as_str());
    }
    inputs.part("working directory", cwd.as_str());
    inputs.part("user", user.as_str());
    for mount in mounts {
        inputs.part(format!("mount {}", mount.target), describe(mount));
    }
    inputs.part(
        "network",
        match network {
            Network::Default => "default",
            Network::Host => "host",
            Network::None => "none",
        },
    );
    for service in services {
        let Service {
            name,
            from: _,
            args,
            env,
            cwd,
            user,
            check: _,
            shell: _,
        } = service;
        let env = env.iter().map(|(name, value)| format!("{name}={value}"));
        let env = env.collect::<Vec<_>>().join(" ");
        let text = format!("{} in {cwd} as `{user}` with {env}", args.join(" "));
        inputs.part(format!("service {name}"), text);
    }
    let security = match security {
        Security::Sandbox => None,
        Security::Insecure => Some("insecure".to_owned()),
    };
    inputs.optional("security", security);
    for host in hosts {
        let (address, name) = host.split_once('\t').unwrap_or(("", host));
        inputs.part(format!("host {name}"), address);
    }
    inputs.part("host name", host_name);
    inputs.optional("--shm-size", shared_memory.map(|size| size.to_string()));
    for limit in limits {
        let runtime::Limit {
            resource,
            soft,
            hard,
        } = *limit;
        let name = format!("{resource:?}").to_ascii_lowercase();
        let [soft, hard] =
            [soft, hard].map(|value| value.map_or("-1".to_owned(), |value| value.to_string()));
        inputs.part(format!("--ulimit {name}"), format!("{soft}:{hard}"));
    }
}

/// A mount as its flag would have it.
fn describe(mount: &Mount) -> String {
    let Mount {
        target: _,
        kind,
        span: _,
    } = mount;
    match kind {
        MountKind::Bind {
            from,
            source,
            writable,
        } => format!(
            "type=bind,from={},source={source},rw={writable}",
            name(from)
        ),
        MountKind::Cache(CacheMount {
            id,
            sharing,
            from,
            mode,
            uid,
            gid,
            readonly,
        }) => {
            let sharing = match sharing {
                Sharing::Shared => "shared",
                Sharing::Private => "private",
                Sharing::Locked => "locked",
            };
            let mut text = format!("type=cache,id={id},sharing={sharing},ro={readonly}");
            if let Some((from, path)) = from {
                text.extend([",from=", &name(from), ",source=", path]);
            }
            for (key, value) in [("mode", mode), ("uid", uid), ("gid", gid)] {
                let value = value.map_or_else(String::new, |value| format!(",{key}={value}"));
                text.push_str(&value);
            }
            text
        }
        MountKind::Tmpfs { size } => {
            let size = size.map_or_else(String::new, |size| format!(",size={size}"));
            format!("type=tmpfs{size}")
        }
        MountKind::Secret(SecretMount {
            id,
            file,
            env,
            required,
            mode,
            uid,
            gid,
            keyed,
        }) => {
            let keyed = if *keyed { ",cache-key=true" } else { "" };
            let env = env.as_deref().unwrap_or_default();
            format!(
                "type=secret,id={id},file={file},env={env},required={required},mode={mode:o},uid={uid},gid={gid}{keyed}"
            )
        }
        MountKind::Ssh(SshMount {
            id,
            required,
            mode,
            uid,
            gid,
        }) => format!("type=ssh,id={id},required={required},mode={mode:o},uid={uid},gid={gid}"),
    }
}

fn name(source: &Source) -> String {
    match source {
        Source::Context => "context".to_owned(),
        Source::Named(name) => frontend::familiar_name(name),
        Source::Input(number) => format!("input {number}"),
        Source::Empty => "scratch".to_owned(),
    }
}

fn copy(inputs: &mut Inputs, copy: &Copy) {
    let Copy {
        from,
        items,
        dest,
        chown,
        chmod,
        exclude,
        unpack,
        link,
        optional,
    } = copy;
    inputs.part("source", name(from));
    let mut paths: Vec<Cow<'_, str>> = Vec::new();
    for item in items {
        match item {
            CopyItem::Path(path) => paths.push(path.into()),
            CopyItem::Parents { pivot, pattern } => {
                paths.push(format!("{pivot}/./{pattern}").into());
            }
            // Its own step tells what it is.
            CopyItem::Remote {
                input: _,
                path: _,
                unpack: _,
            } => {}
            CopyItem::Inline { name, content } => {
                inputs.part(format!("here-document {name}"), content.as_str());
            }
        }
    }
    inputs.part("paths", paths.join(" "));
    inputs.part("destination", dest.as_str());
    inputs.optional("--chown", chown.clone());
    inputs.optional("--chmod", chmod.as_ref().map(ToString::to_string));
    inputs.part("--exclude", exclude.join(" "));
    inputs.part("--link", link.to_string());
    inputs.part("unpacking", unpack.to_string());
    inputs.optional("--if-exists", optional.then(|| "true".to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Run {
        Run {
            args: vec!["make".into()],
            scripts: Vec::new(),
            env: vec![("PATH".into(), "/bin".into())],
            proxy_env: Vec::new(),
            cwd: "/".into(),
            user: String::new(),
            mounts: Vec::new(),
            network: Network::Default,
            security: Security::Sandbox,
            reuse: frontend::plan::Reuse::Always,
            services: Vec::new(),
        }
    }

    const SETTINGS: StepSettings<'static> = StepSettings {
        hosts: &[],
        host_name: "box",
        shared_memory: None,
        limits: &[],
        epoch: None,
    };

    fn parts(run: Run, settings: StepSettings<'_>) -> Vec<(String, String)> {
        of(&StepKind::Run(Box::new(run)), settings).parts
    }

    /// Tells that one part is new or another, and which.
    fn only_changed(name: &str, after: &[(String, String)]) {
        let before = parts(sample(), SETTINGS);
        let others: Vec<_> = after.iter().filter(|part| !before.contains(part)).collect();
        assert_eq!(others.len(), 1, "{name}");
        assert_eq!(others[0].0, name);
    }

    #[test]
    fn every_change_of_a_command_is_a_part() {
        type Change = fn(&mut Run);
        let changes: [(&str, Change); 8] = [
            ("command", |run| run.args.push("x".into())),
            ("variable A", |run| run.env.push(("A".into(), "b".into()))),
            ("working directory", |run| run.cwd = "/src".into()),
            ("security", |run| run.security = Security::Insecure),
            ("script EOF", |run| {
                run.scripts.push(Script {
                    name: "EOF".into(),
                    content: String::new(),
                });
            }),
            ("user", |run| run.user = "1000".into()),
            ("network", |run| run.network = Network::None),
            ("mount /x", |run| {
                run.mounts.push(Mount {
                    target: "/x".into(),
                    kind: MountKind::Tmpfs { size: None },
                    span: frontend::Span::new(0, 0),
                });
            }),
        ];
        for (name, change) in changes {
            let mut run = sample();
            change(&mut run);
            only_changed(name, &parts(run, SETTINGS));
        }
    }

    #[test]
    fn every_setting_of_a_build_is_a_part() {
        let limits = [runtime::Limit {
            resource: runtime::Resource::Nofile,
            soft: Some(64),
            hard: None,
        }];
        let hosts = ["127.0.0.1\tother".to_owned()];
        let changes = [
            (
                "host name",
                StepSettings {
                    host_name: "other",
                    ..SETTINGS
                },
            ),
            (
                "host other",
                StepSettings {
                    hosts: &hosts,
                    ..SETTINGS
                },
            ),
            (
                "--shm-size",
                StepSettings {
                    shared_memory: Some(1 << 20),
                    ..SETTINGS
                },
            ),
            (
                "--ulimit nofile",
                StepSettings {
                    limits: &limits,
                    ..SETTINGS
                },
            ),
            (
                "argument SOURCE_DATE_EPOCH",
                StepSettings {
                    epoch: Some(0),
                    ..SETTINGS
                },
            ),
        ];
        for (name, settings) in changes {
            only_changed(name, &parts(sample(), settings));
        }
    }
}
