//! What each kind of step is, as bytes for its cache key.
//!
//! The encoding is [`solver::KeyWriter`]'s; every kind has a domain and a version of its own. Anything that changes
//! what a step does is in here, and nothing that does not: names shown to people, spans, proxy variables, the values
//! of secrets and the contents of cache mounts are left out.
//!
//! Here and in [`crate::builds`]' parts, which name the same to people, everything is taken apart without `..`: a field that
//! is new compiles in neither before it is thought of.

use frontend::plan::{
    CacheMount, Copy, CopyItem, MakeDirectory, Mount, MountKind, Network, Run, Script, SecretMount,
    Security, Service, Sharing, Source, SshMount,
};
use solver::KeyWriter;

/// What the build has every step do or have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepSettings<'a> {
    /// Lines of `/etc/hosts`: address, tab, name.
    pub(crate) hosts: &'a [String],
    /// The host name.
    pub(crate) host_name: &'a str,
    /// How much `/dev/shm` may hold, in bytes.
    pub(crate) shared_memory: Option<u64>,
    /// Limits of processes.
    pub(crate) limits: &'a [runtime::Limit],
    /// `SOURCE_DATE_EPOCH`.
    pub(crate) epoch: Option<i64>,
}

/// The empty root file system.
pub(super) fn scratch() -> KeyWriter {
    KeyWriter::new("rbuild scratch", 1)
}

/// A base image is the config that it was resolved to.
pub(super) fn image(id: &str) -> KeyWriter {
    let mut key = KeyWriter::new("rbuild image", 1);
    key.text(id);
    key
}

/// A named context is its files.
pub(super) fn named_context(files: &layer::ContentDigest) -> KeyWriter {
    let mut key = KeyWriter::new("rbuild named context", 1);
    key.identity(files.as_bytes());
    key
}

/// A command: what it runs, with what around it. The caller adds the content of what it mounts from the context.
pub(super) fn run(run: &Run, settings: StepSettings<'_>) -> KeyWriter {
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
        epoch,
    } = settings;
    let mut key = if services.is_empty() {
        KeyWriter::new("rbuild run", 3)
    } else {
        KeyWriter::new("rbuild run with services", 2)
    };
    key.list(args, |key, arg| {
        key.text(arg);
    });
    key.list(scripts, |key, Script { name, content }| {
        key.text(name).text(content);
    });
    key.list(env, |key, (name, value)| {
        key.text(name).text(value);
    });
    key.text(cwd).text(user);
    key.list(mounts, mount);
    key.variant(match network {
        Network::Default => 0,
        Network::Host => 1,
        Network::None => 2,
    });
    key.variant(match security {
        Security::Sandbox => 0,
        Security::Insecure => 1,
    });
    key.list(hosts, |key, host| {
        key.text(host);
    });
    key.text(host_name);
    key.option(shared_memory, |key, size| {
        key.number(size);
    });
    key.list(limits, |key, limit| {
        let runtime::Limit {
            resource,
            soft,
            hard,
        } = *limit;
        key.number(resource as u64);
        for value in [soft, hard] {
            key.option(value, |key, value| {
                key.number(value);
            });
        }
    });
    write_epoch(&mut key, epoch);
    if !services.is_empty() {
        key.list(services, service);
    }
    key
}

/// How it is found out that a service is ready is no part of it, as long as that is.
fn service(key: &mut KeyWriter, service: &Service) {
    let Service {
        name,
        from,
        args,
        env,
        cwd,
        user,
        check: _,
        shell: _,
    } = service;
    key.text(name);
    source(key, from);
    key.list(args, |key, arg| {
        key.text(arg);
    });
    key.list(env, |key, (name, value)| {
        key.text(name).text(value);
    });
    key.text(cwd).text(user);
}

fn mount(key: &mut KeyWriter, mount: &Mount) {
    let Mount {
        target,
        kind,
        span: _,
    } = mount;
    key.text(target);
    match kind {
        MountKind::Bind {
            from,
            source: path,
            writable,
        } => {
            key.variant(0);
            source(key, from);
            key.text(path).truth(*writable);
        }
        MountKind::Cache(CacheMount {
            id,
            sharing,
            from,
            mode,
            uid,
            gid,
            readonly,
        }) => {
            key.variant(1).text(id).variant(match sharing {
                Sharing::Shared => 0,
                Sharing::Private => 1,
                Sharing::Locked => 2,
            });
            key.option(from.as_ref(), |key, (from, path)| {
                source(key, from);
                key.text(path);
            });
            for value in [mode, uid, gid] {
                key.option(*value, |key, value| {
                    key.number(value.into());
                });
            }
            key.truth(*readonly);
        }
        MountKind::Tmpfs { size } => {
            key.variant(2).option(*size, |key, size| {
                key.number(size);
            });
        }
        MountKind::Secret(SecretMount {
            id,
            file,
            env,
            required,
            keyed,
            mode,
            uid,
            gid,
        }) => {
            // The caller adds a hash of one that is keyed.
            key.variant(if *keyed { 5 } else { 3 });
            key.text(id).truth(*file).truth(*required);
            key.option(env.as_ref(), |key, env| {
                key.text(env);
            });
            for value in [mode, uid, gid] {
                key.number((*value).into());
            }
        }
        MountKind::Ssh(SshMount {
            id,
            required,
            mode,
            uid,
            gid,
        }) => {
            key.variant(4).text(id).truth(*required);
            for value in [mode, uid, gid] {
                key.number((*value).into());
            }
        }
    }
}

fn source(key: &mut KeyWriter, source: &Source) {
    match source {
        // Its files say which it is.
        Source::Context | Source::Named(_) => key.variant(0),
        Source::Input(number) => key.variant(1).number(*number as u64),
        Source::Empty => key.variant(2),
    };
}

/// A copy: what it names. The caller adds the content of what it copies from the context.
pub(super) fn copy(copy: &Copy, epoch: Option<i64>) -> KeyWriter {
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
    // What takes missing files must not be found as the result of what does not.
    let mut key = if *optional {
        KeyWriter::new("rbuild copy if there", 1)
    } else {
        KeyWriter::new("rbuild copy", 3)
    };
    source(&mut key, from);
    key.list(items, |key, item| match item {
        CopyItem::Path(path) => {
            key.variant(0).text(path);
        }
        CopyItem::Inline { name, content } => {
            key.variant(1).text(name).text(content);
        }
        CopyItem::Parents { pivot, pattern } => {
            key.variant(2).text(pivot).text(pattern);
        }
        CopyItem::Remote {
            input,
            path,
            unpack,
        } => {
            key.variant(3)
                .number(*input as u64)
                .text(path)
                .truth(*unpack);
        }
    });
    key.text(dest);
    key.option(chown.as_ref(), |key, chown| {
        key.text(chown);
    });
    key.option(chmod.as_ref(), |key, chmod| {
        key.text(&chmod.to_string());
    });
    key.list(exclude, |key, pattern| {
        key.text(pattern);
    });
    key.truth(*unpack).truth(*link);
    write_epoch(&mut key, epoch);
    key
}

/// A working directory.
pub(super) fn make_directory(directory: &MakeDirectory, epoch: Option<i64>) -> KeyWriter {
    let mut key = KeyWriter::new("rbuild directory", 1);
    let MakeDirectory { path, user } = directory;
    key.text(path).text(user);
    write_epoch(&mut key, epoch);
    key
}

/// Times in a layer are clamped to the epoch, so it is part of what the layer is.
fn write_epoch(key: &mut KeyWriter, epoch: Option<i64>) {
    key.option(epoch, |key, epoch| {
        key.number(epoch.cast_unsigned());
    });
}

#[cfg(test)]
mod tests {
    use frontend::plan::Reuse;

    use super::*;

    fn sample() -> Run {
        Run {
            args: vec!["/bin/sh".into(), "-c".into(), "make".into()],
            scripts: Vec::new(),
            env: vec![("PATH".into(), "/bin".into())],
            proxy_env: Vec::new(),
            cwd: "/".into(),
            user: String::new(),
            mounts: Vec::new(),
            network: Network::Default,
            security: Security::Sandbox,
            reuse: Reuse::Always,
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

    fn hex(key: &KeyWriter) -> String {
        solver::OperationDigest::of(key).to_string()
    }

    #[test]
    fn golden_digests() {
        let copied = Copy {
            from: Source::Context,
            items: vec![CopyItem::Path("src".into())],
            dest: "/app/".into(),
            chown: Some("1:1".into()),
            chmod: "755".parse().ok(),
            exclude: Vec::new(),
            unpack: false,
            link: false,
            optional: false,
        };
        let directory = MakeDirectory {
            path: "/app".into(),
            user: String::new(),
        };
        let keys = [
            hex(&image("sha256:00")),
            hex(&run(&sample(), SETTINGS)),
            hex(&copy(&copied, None)),
            hex(&make_directory(&directory, Some(0))),
            hex(&named_context(&layer::ContentDigest::of(b""))),
        ];
        assert_eq!(
            keys,
            [
                "6b672abf71ab5629e57146b88dc2c87989b366c660a24300eb98fb3549e8c0d9",
                "48a79a17a8fe33645c9561bd3c0863e9e20aad2100479fe2009e449ea178f95d",
                "57055f628d48e8eb9f26a0c21a2e2fcc774f2287a75ee4a1cd86eccb6fd874f4",
                "8155e39551e091fa2b5f0ccfdefb0332b554dc10c5be2415d8324f4cee132e52",
                "7a40948c49ffdeb94d9f3c14fa7584b168a3ccf8c73b5e70031693818710541e",
            ]
        );
    }

    #[test]
    fn proxies_are_no_part_of_a_command() {
        let mut other = sample();
        other.proxy_env = vec![("http_proxy".into(), "http://proxy:3128".into())];
        assert_eq!(hex(&run(&sample(), SETTINGS)), hex(&run(&other, SETTINGS)));
    }

    #[test]
    fn how_long_a_result_is_used_is_no_part_of_it() {
        let mut other = sample();
        other.reuse = Reuse::Never;
        assert_eq!(hex(&run(&sample(), SETTINGS)), hex(&run(&other, SETTINGS)));
    }

    #[test]
    fn services_are_part_of_a_command_and_their_checks_are_not() {
        let mut with = sample();
        with.services.push(Service {
            name: "db".into(),
            from: Source::Input(1),
            args: vec!["serve".into()],
            env: Vec::new(),
            cwd: "/".into(),
            user: String::new(),
            check: frontend::plan::Healthcheck::default(),
            shell: Vec::new(),
        });
        let base = hex(&run(&with, SETTINGS));
        assert_ne!(base, hex(&run(&sample(), SETTINGS)));
        let mut other = with.clone();
        other.services[0].args.push("x".into());
        assert_ne!(base, hex(&run(&other, SETTINGS)));
        let mut other = with.clone();
        other.services[0].check.interval = 1;
        assert_eq!(base, hex(&run(&other, SETTINGS)));
    }

    #[test]
    fn everything_else_is() {
        let base = hex(&run(&sample(), SETTINGS));
        let changes: [fn(&mut Run); 7] = [
            |run| run.args[2].push('x'),
            |run| run.env.push(("A".into(), String::new())),
            |run| run.cwd = "/src".into(),
            |run| run.user = "1000".into(),
            |run| run.network = Network::None,
            |run| run.security = Security::Insecure,
            |run| {
                run.scripts.push(Script {
                    name: "EOF".into(),
                    content: String::new(),
                });
            },
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = sample();
            change(&mut other);
            assert_ne!(hex(&run(&other, SETTINGS)), base, "change {number}");
        }
        let hosts = ["127.0.0.1\ta".to_owned()];
        let limits = [runtime::Limit {
            resource: runtime::Resource::Nofile,
            soft: Some(64),
            hard: None,
        }];
        let settings = [
            StepSettings {
                hosts: &hosts,
                ..SETTINGS
            },
            StepSettings {
                host_name: "other",
                ..SETTINGS
            },
            StepSettings {
                shared_memory: Some(1 << 20),
                ..SETTINGS
            },
            StepSettings {
                limits: &limits,
                ..SETTINGS
            },
            StepSettings {
                epoch: Some(0),
                ..SETTINGS
            },
        ];
        for settings in settings {
            assert_ne!(hex(&run(&sample(), settings)), base, "{settings:?}");
        }
    }
}
