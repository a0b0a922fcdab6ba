//! `RUN --service`: from stages and images to what runs beside a command.

use std::collections::BTreeSet;

use solver::NodeId;

use super::stage::{DEFAULT_PATH, Scope};
use super::stages::Base;
use crate::diagnostic::Diagnostic;
use crate::plan::{ContainerConfig, Service, Source};
use crate::syntax::ast::{RunFlags, ServiceFlag};

/// The most services of one command.
const MAX_SERVICES: usize = 32;
/// The shell of images that do not say.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

impl Scope<'_, '_> {
    /// The services of a `RUN`. The files that they run on are added to `inputs`.
    pub(super) fn services(
        &mut self,
        flags: &RunFlags,
        inputs: &mut Vec<NodeId>,
    ) -> Result<Vec<Service>, Diagnostic> {
        let mut services = Vec::with_capacity(flags.services.len());
        let mut names = BTreeSet::new();
        // Behind the mounts' sources.
        let sources = self.command.sources.iter().skip(flags.mounts.len());
        for (flag, number) in flags.services.iter().zip(sources.copied().flatten()) {
            if !names.insert(&flag.name) {
                let message = format!("there are two services `{}`", flag.name);
                return Err(Diagnostic::error(message, flag.span)
                    .with_help("give each a name: `--service=NAME,image=IMAGE`"));
            }
            if names.len() > MAX_SERVICES {
                let message = format!("a command can have {MAX_SERVICES} services");
                return Err(Diagnostic::error(message, flag.span));
            }
            if let Some(word) = &flags.network {
                return Err(Diagnostic::error(
                    "`--network` can't be given with `--service`",
                    word.span,
                )
                .with_help("a command and its services have a network of their own"));
            }
            let from = match self.source(number, "run a service from", flag.span, inputs)? {
                // It may read any of them.
                Source::Named(name) => self.whole_context(name, flag.span, inputs),
                from => from,
            };
            services.push(self.service(flag, number, from)?);
        }
        Ok(services)
    }

    fn service(
        &self,
        flag: &ServiceFlag,
        number: usize,
        from: Source,
    ) -> Result<Service, Diagnostic> {
        let error = |what: &str| {
            let message = format!("`{}` {what}", flag.image);
            Diagnostic::error(message, flag.span)
        };
        let config = self
            .config_of(number)
            .ok_or_else(|| error("is no stage or image that could be run"))?;
        let entrypoint = config.entrypoint.iter().flatten();
        let args: Vec<_> = entrypoint
            .chain(config.cmd.iter().flatten())
            .cloned()
            .collect();
        if args.is_empty() {
            return Err(error("has nothing to run")
                .with_help("a service runs the `ENTRYPOINT` and `CMD` of its image"));
        }
        let mut env: Vec<_> = config
            .env
            .iter()
            .map(|entry| {
                let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
                (name.to_owned(), value.to_owned())
            })
            .collect();
        if !env.iter().any(|(name, _)| name == "PATH") {
            env.push(("PATH".to_owned(), DEFAULT_PATH.to_owned()));
        }
        Ok(Service {
            name: flag.name.clone(),
            from,
            args,
            env,
            cwd: match config.working_dir.as_str() {
                "" => "/".to_owned(),
                directory => directory.to_owned(),
            },
            user: config.user.clone(),
            check: config.healthcheck.clone().unwrap_or_default(),
            shell: config
                .shell
                .clone()
                .unwrap_or_else(|| SHELL.map(str::to_owned).to_vec()),
        })
    }

    /// The config of a stage that was gone through, or of an image.
    fn config_of(&self, number: usize) -> Option<&ContainerConfig> {
        let node = &self.builder.stages.nodes[number];
        if node.stage.is_some() {
            return self.builder.config_of_stage(number);
        }
        match &node.base {
            Base::Image(request) => self.builder.config_of_image(request),
            Base::Context(_) | Base::Scratch | Base::Stage(_) => None,
        }
    }
}
