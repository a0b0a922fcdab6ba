//! What each kind of step depends on, in the words of the Dockerfile. What takes no part in cache keys is left out here too
//! ([`crate::build`]'s identities).

use std::borrow::Cow;

use frontend::plan::{
    CacheMount, Copy, CopyItem, Mount, MountKind, Network, Run, Security, Service, Sharing, Source,
    StepKind,
};

use super::inputs::Inputs;

/// The part that tells kinds of steps apart.
pub(super) const INSTRUCTION: &str = "instruction";

/// What a step depends on beside files.
pub(crate) fn of(kind: &StepKind, hosts: &[String], epoch: Option<i64>) -> Inputs {
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
        StepKind::Image(image) => {
            inputs.part(format!("image {}", image.reference), image.id.as_str());
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
        StepKind::Run(command) => run(&mut inputs, command, hosts),
        StepKind::Copy(files) => copy(&mut inputs, files),
        StepKind::MakeDirectory(directory) => {
            inputs.part("directory", directory.path.as_str());
            inputs.part("user", directory.user.as_str());
        }
    }
    inputs.optional(
        "argument SOURCE_DATE_EPOCH",
        epoch.map(|time| time.to_string()),
    );
    inputs
}

fn run(inputs: &mut Inputs, run: &Run, hosts: &[String]) {
    inputs.part("command", run.args.join(" "));
    for script in &run.scripts {
        inputs.part(format!("script {}", script.name), script.content.as_str());
    }
    for (name, value) in &run.env {
        inputs.part(format!("variable {name}"), value.as_str());
    }
    inputs.part("working directory", run.cwd.as_str());
    inputs.part("user", run.user.as_str());
    for mount in &run.mounts {
        inputs.part(format!("mount {}", mount.target), describe(mount));
    }
    inputs.part(
        "network",
        match run.network {
            Network::Default => "default",
            Network::Host => "host",
            Network::None => "none",
        },
    );
    for service in &run.services {
        let Service {
            args,
            env,
            cwd,
            user,
            ..
        } = service;
        let env = env.iter().map(|(name, value)| format!("{name}={value}"));
        let env = env.collect::<Vec<_>>().join(" ");
        let text = format!("{} in {cwd} as `{user}` with {env}", args.join(" "));
        inputs.part(format!("service {}", service.name), text);
    }
    let security = match run.security {
        Security::Sandbox => None,
        Security::Insecure => Some("insecure".to_owned()),
    };
    inputs.optional("security", security);
    for host in hosts {
        let (address, name) = host.split_once('\t').unwrap_or(("", host));
        inputs.part(format!("host {name}"), address);
    }
}

/// A mount as its flag would have it.
fn describe(mount: &Mount) -> String {
    match &mount.kind {
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
        MountKind::Secret(secret) => format!(
            "type=secret,id={},env={},required={},mode={:o},uid={},gid={}{}",
            secret.id,
            secret.env.as_deref().unwrap_or_default(),
            secret.required,
            secret.mode,
            secret.uid,
            secret.gid,
            if secret.keyed { ",cache-key=true" } else { "" }
        ),
        MountKind::Ssh(ssh) => format!(
            "type=ssh,id={},required={},mode={:o},uid={},gid={}",
            ssh.id, ssh.required, ssh.mode, ssh.uid, ssh.gid
        ),
    }
}

fn name(source: &Source) -> String {
    match source {
        Source::Context => "context".to_owned(),
        Source::Input(number) => format!("input {number}"),
        Source::Empty => "scratch".to_owned(),
    }
}

fn copy(inputs: &mut Inputs, copy: &Copy) {
    inputs.part("source", name(&copy.from));
    let mut paths: Vec<Cow<'_, str>> = Vec::new();
    for item in &copy.items {
        match item {
            CopyItem::Path(path) => paths.push(path.into()),
            CopyItem::Parents { pivot, pattern } => {
                paths.push(format!("{pivot}/./{pattern}").into());
            }
            // Its own step tells what it is.
            CopyItem::Remote { .. } => {}
            CopyItem::Inline { name, content } => {
                inputs.part(format!("here-document {name}"), content.as_str());
            }
        }
    }
    inputs.part("paths", paths.join(" "));
    inputs.part("destination", copy.dest.as_str());
    inputs.optional("--chown", copy.chown.clone());
    inputs.optional("--chmod", copy.chmod.as_ref().map(ToString::to_string));
    inputs.part("--exclude", copy.exclude.join(" "));
    inputs.part("--link", copy.link.to_string());
    inputs.part("unpacking", copy.unpack.to_string());
    inputs.optional("--if-exists", copy.optional.then(|| "true".to_owned()));
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

    fn parts(run: Run) -> Vec<(String, String)> {
        of(&StepKind::Run(Box::new(run)), &[], None).parts
    }

    #[test]
    fn every_change_of_a_command_is_a_part() {
        type Change = fn(&mut Run);
        let changes: [(&str, Change); 6] = [
            ("command", |run| run.args.push("x".into())),
            ("variable A", |run| run.env.push(("A".into(), "b".into()))),
            ("working directory", |run| run.cwd = "/src".into()),
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
        let before = parts(sample());
        for (name, change) in changes {
            let mut run = sample();
            change(&mut run);
            let after = parts(run);
            let others: Vec<_> = after.iter().filter(|part| !before.contains(part)).collect();
            assert_eq!(others.len(), 1, "{name}");
            assert_eq!(others[0].0, name);
        }
    }
}
