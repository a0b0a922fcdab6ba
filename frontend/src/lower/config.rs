//! Instructions that change the image's config: `ENV`, `ARG`, `LABEL`, `CMD`, `WORKDIR` and their like.

use std::fmt::Write as _;

use super::ports;
use super::signal;
use super::stage::Scope;
use super::text;
use crate::diagnostic::Diagnostic;
use crate::expand::Lexer;
use crate::lint;
use crate::plan::{self, MakeDirectory, StepKind};
use crate::syntax::ast::{Argument, CommandLine, Healthcheck, KeyValues};
use crate::syntax::logical::Word;

impl Scope<'_, '_> {
    /// `ENV`: all values see the variables as they were before it.
    pub(super) fn env(&mut self, pairs: &KeyValues) -> Result<(), Diagnostic> {
        let pairs = self.expand_pairs(pairs)?;
        let mut history = "ENV".to_owned();
        for (name, value) in &pairs {
            if name.text.is_empty() {
                return Err(Diagnostic::error("ENV names can not be blank", name.span));
            }
            if lint::secrets::is_suspicious(&name.text) {
                self.warn(lint::secrets::finding("ENV", &name.text, name.span));
            }
            let _ = write!(history, " {}={value}", name.text);
            self.state.env.set(&name.text, value);
            set_entry(&mut self.state.image.config.env, &name.text, value);
        }
        self.commit(history)
    }

    /// `LABEL`.
    pub(super) fn label(&mut self, pairs: &KeyValues) -> Result<(), Diagnostic> {
        let mut history = "LABEL".to_owned();
        for (key, value) in self.expand_pairs(pairs)? {
            let _ = write!(history, " {}={value}", key.text);
            let labels = &mut self.state.image.config.labels;
            labels.insert(key.text, value);
        }
        self.commit(history)
    }

    fn expand_pairs(&mut self, pairs: &KeyValues) -> Result<Vec<(Word, String)>, Diagnostic> {
        let mut expanded = Vec::with_capacity(pairs.pairs.len());
        for (key, value) in &pairs.pairs {
            let key = Word {
                text: self.expand(key)?,
                span: key.span,
            };
            expanded.push((key, self.expand(value)?));
        }
        Ok(expanded)
    }

    /// `ARG`: the value given to the build, else the default, else that of the global `ARG`. From here on it is a
    /// variable as any other, also where an `ENV` above set it.
    pub(super) fn arg(&mut self, arguments: &[Argument]) -> Result<(), Diagnostic> {
        let mut history = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let name = argument.name.text.as_str();
            if lint::secrets::is_suspicious(name) {
                self.warn(lint::secrets::finding("ARG", name, argument.name.span));
            }
            let given = self
                .builder
                .given
                .get(name)
                .map(|value| (*value).to_owned());
            let value = match (given, &argument.default) {
                (Some(value), _) => Some(value),
                (None, Some(default)) => Some(self.expand(default)?),
                (None, None) => {
                    use crate::expand::Variables as _;
                    self.builder.globals.values.value(name).map(str::to_owned)
                }
            };
            if let Some(value) = &value
                && !matches!(
                    name,
                    "BUILDKIT_SBOM_SCAN_CONTEXT" | "BUILDKIT_SBOM_SCAN_STAGE"
                )
            {
                self.state.env.set(name, value);
            }
            history.push(match &value {
                Some(value) => format!("{name}={value}"),
                None => name.to_owned(),
            });
            self.state.args.push((name.to_owned(), value));
        }
        self.commit(format!("ARG {}", history.join(" ")))
    }

    /// `CMD`.
    pub(super) fn cmd(&mut self, command: &CommandLine) -> Result<(), Diagnostic> {
        let args = self.config_command(command);
        let history = format!("CMD {}", text::quoted_list(&args));
        *self.cmd_set = true;
        self.state.image.config.cmd = Some(args);
        self.state.image.config.args_escaped = true;
        self.commit(history)
    }

    /// `ENTRYPOINT`: forgets a `CMD` that is not of this stage.
    pub(super) fn entrypoint(&mut self, command: &CommandLine) -> Result<(), Diagnostic> {
        let args = self.config_command(command);
        let history = format!("ENTRYPOINT {}", text::quoted_list(&args));
        let config = &mut self.state.image.config;
        config.entrypoint = Some(args).filter(|args| !args.is_empty());
        if !*self.cmd_set {
            config.cmd = None;
        }
        self.commit(history)
    }

    fn config_command(&mut self, command: &CommandLine) -> Vec<String> {
        if !command.shell {
            return command.args.clone();
        }
        if self.state.image.config.shell.is_none() {
            self.warn(lint::json_args::finding(
                &self.instruction.keyword.text,
                command.span,
            ));
        }
        self.with_shell(command.args.join(" "))
    }

    /// A command line behind the shell that runs it.
    pub(super) fn with_shell(&self, line: String) -> Vec<String> {
        let shell = self.state.image.config.shell.as_ref();
        let mut args = match shell.filter(|shell| !shell.is_empty()) {
            Some(shell) => shell.clone(),
            None => vec!["/bin/sh".to_owned(), "-c".to_owned()],
        };
        args.push(line);
        args
    }

    /// `SHELL`.
    pub(super) fn shell(&mut self, shell: &[String]) -> Result<(), Diagnostic> {
        self.state.image.config.shell = Some(shell.to_vec());
        self.commit(format!("SHELL {}", text::plain_list(shell)))
    }

    /// `EXPOSE`.
    pub(super) fn expose(&mut self, words: &[Word]) -> Result<(), Diagnostic> {
        let mut exposed = Vec::new();
        for word in words {
            for port in self.expand_words(word)? {
                for finding in [
                    lint::expose_format::finding(&port, word.span),
                    lint::expose_proto_casing::finding(&port, word.span),
                ]
                .into_iter()
                .flatten()
                {
                    self.warn(finding);
                }
                let ports = ports::parse(&port).map_err(|error| {
                    Diagnostic::error(format!("invalid port `{port}`: {error}"), word.span)
                })?;
                exposed.extend(ports);
            }
        }
        let list = &mut self.state.image.config.exposed_ports;
        list.extend(exposed.iter().cloned());
        list.sort();
        list.dedup();
        self.commit(format!("EXPOSE {}", text::plain_list(&exposed)))
    }

    /// `HEALTHCHECK`.
    pub(super) fn healthcheck(&mut self, check: &Healthcheck) -> Result<(), Diagnostic> {
        let history = format!(
            "HEALTHCHECK {{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
            text::plain_list(&check.test),
            text::duration(check.interval),
            text::duration(check.timeout),
            text::duration(check.start_period),
            text::duration(check.start_interval),
            check.retries
        );
        self.state.image.config.healthcheck = Some(plan::Healthcheck {
            test: check.test.clone(),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        });
        self.commit(history)
    }

    /// `MAINTAINER`.
    pub(super) fn maintainer(&mut self, name: &Word) -> Result<(), Diagnostic> {
        self.state.image.author.clone_from(&name.text);
        self.commit(format!("MAINTAINER {}", name.text))
    }

    /// `STOPSIGNAL`.
    pub(super) fn stopsignal(&mut self, word: &Word) -> Result<(), Diagnostic> {
        let signal = self.expand(word)?;
        if !signal::is_valid(&signal) {
            return Err(
                Diagnostic::error(format!("invalid signal: `{signal}`"), word.span)
                    .with_suggestion(&signal, signal::names()),
            );
        }
        self.state.image.config.stop_signal.clone_from(&signal);
        self.commit(format!("STOPSIGNAL {signal}"))
    }

    /// `USER`.
    pub(super) fn user(&mut self, word: &Word) -> Result<(), Diagnostic> {
        let user = self.expand(word)?;
        self.state.image.config.user.clone_from(&user);
        self.commit(format!("USER {user}"))
    }

    /// `VOLUME`.
    pub(super) fn volume(&mut self, words: &[Word]) -> Result<(), Diagnostic> {
        let mut volumes = Vec::with_capacity(words.len());
        for word in words {
            let volume = self.expand(word)?;
            if volume.is_empty() {
                return Err(Diagnostic::error(
                    "VOLUME specified can not be an empty string",
                    word.span,
                ));
            }
            volumes.push(volume);
        }
        let list = &mut self.state.image.config.volumes;
        list.extend(volumes.iter().cloned());
        list.sort();
        list.dedup();
        self.commit(format!("VOLUME {}", text::plain_list(&volumes)))
    }

    /// `WORKDIR`: a step makes the directory, unless it is the root.
    pub(super) fn workdir(&mut self, word: &Word) -> Result<(), Diagnostic> {
        let path = self.expand(word)?;
        if !self.state.workdir_set && !path.starts_with('/') {
            self.warn(lint::workdir_relative::finding(&path, word.span));
        }
        self.state.workdir_set = true;
        let directory = text::joined(self.state.directory(), &path);
        let config = &mut self.state.image.config;
        config.working_dir.clone_from(&directory);
        let history = format!("WORKDIR {directory}");
        if directory == "/" {
            return self.commit(history);
        }
        let kind = StepKind::MakeDirectory(MakeDirectory {
            path: directory,
            user: config.user.clone(),
        });
        let name = self.code_name();
        let step = self.push_step(kind, name, &[])?;
        self.commit_step(history, Some(step))
    }

    /// The name of a step whose instruction is expanded as its words are.
    pub(super) fn code_name(&mut self) -> String {
        let lexer = Lexer::new(self.builder.stages.escape());
        let env = std::mem::take(&mut self.state.env);
        let name = self.name(&self.instruction.code.clone(), lexer, &env);
        self.state.env = env;
        name
    }
}

/// Sets a variable where it stands in a list of `NAME=value`, or at the end.
fn set_entry(entries: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    let same = |entry: &&mut String| entry.split('=').next() == Some(name);
    match entries.iter_mut().find(same) {
        Some(old) => *old = entry,
        None => entries.push(entry),
    }
}
