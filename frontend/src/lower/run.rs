//! `RUN`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::Entitlement;
use super::stage::Scope;
use crate::diagnostic::Diagnostic;
use crate::expand::{Environment, Lexer, Variables};
use crate::plan::{Mount, MountKind, Network, Reuse, Run, Script, Security, StepKind};
use crate::span::Span;
use crate::syntax::ast::{CommandLine, RunFlags};
use crate::syntax::duration;
use crate::syntax::heredoc::{self, Heredoc};
use crate::syntax::logical::Word;

/// Where here-documents with an interpreter line are.
const PIPES: &str = "/dev/pipes";
/// The variable that tells where the socket of an SSH agent is.
const AGENT: &str = "SSH_AUTH_SOCK";
/// What stands for the value of a secret in a step's name.
const MASK: &str = "****";

impl Scope<'_, '_> {
    /// `RUN`.
    pub(super) fn run(
        &mut self,
        flags: &RunFlags,
        command: &CommandLine,
    ) -> Result<(), Diagnostic> {
        if let Some(device) = flags.devices.first() {
            return Err(Diagnostic::error(
                "`RUN --device` is not supported",
                device.span,
            ));
        }
        let network = match &flags.network {
            Some(word) => self.network(word)?,
            None => self.builder.options.network,
        };
        let security = match &flags.security {
            Some(word) => self.security(word)?,
            None => Security::Sandbox,
        };
        let reuse = reuse(flags)?;
        let (args, scripts) = self.arguments(command)?;
        let mut inputs = Vec::new();
        let mounts = self.mounts(&flags.mounts, &mut inputs)?;
        let services = self.services(flags, &mut inputs)?;
        let name = self.run_name(command, &mounts);
        let mut env = self.state.env.list();
        let mut agents = mounts.iter();
        if let Some(agent) = agents.find(|mount| matches!(mount.kind, MountKind::Ssh(_)))
            && !env.iter().any(|(name, _)| name == AGENT)
        {
            env.push((AGENT.to_owned(), agent.target.clone()));
        }
        self.builder.charge(
            self.state.env.size()
                + env.len() * 64
                + command.args.iter().map(String::len).sum::<usize>(),
            self.instruction.span,
        )?;
        let history = format!("RUN {} # buildkit", self.history_command(&args));
        let declared = |proxy: &String| env.iter().any(|(name, _)| name == proxy);
        let mut proxy_env = self.builder.options.proxies();
        proxy_env.retain(|(name, _)| !declared(name));
        let run = Run {
            args,
            scripts,
            proxy_env,
            env,
            cwd: self.state.directory().to_owned(),
            user: self.state.image.config.user.clone(),
            mounts,
            // That of the services is theirs alone.
            network: if services.is_empty() {
                network
            } else {
                Network::None
            },
            security,
            reuse,
            services,
        };
        let step = self.push_step(StepKind::Run(Box::new(run)), name, &inputs)?;
        self.commit_step(history, Some(step))
    }

    fn network(&self, word: &Word) -> Result<Network, Diagnostic> {
        match word.text.as_str() {
            "default" => Ok(self.builder.options.network),
            "none" => Ok(Network::None),
            "host" => {
                self.require(Entitlement::NetworkHost, word)?;
                Ok(Network::Host)
            }
            other => Err(Diagnostic::error(
                format!("network mode `{other}` is not valid"),
                word.span,
            )
            .with_suggestion(other, ["default", "none", "host"])),
        }
    }

    fn security(&self, word: &Word) -> Result<Security, Diagnostic> {
        match word.text.as_str() {
            "sandbox" => Ok(Security::Sandbox),
            "insecure" => {
                self.require(Entitlement::SecurityInsecure, word)?;
                Ok(Security::Insecure)
            }
            other => Err(
                Diagnostic::error(format!("security `{other}` is not valid"), word.span)
                    .with_suggestion(other, ["sandbox", "insecure"]),
            ),
        }
    }

    /// Refuses a flag that the build does not allow.
    fn require(&self, entitlement: Entitlement, word: &Word) -> Result<(), Diagnostic> {
        if self.builder.options.allows(entitlement) {
            return Ok(());
        }
        let name = entitlement.name();
        Err(
            Diagnostic::error(format!("`{name}` is not allowed"), word.span).with_help(format!(
                "if you trust this Dockerfile with it, build with `--allow {name}`"
            )),
        )
    }

    /// The argument vector, and what must lie in `/dev/pipes` for it.
    fn arguments(&self, command: &CommandLine) -> Result<(Vec<String>, Vec<Script>), Diagnostic> {
        if !command.shell {
            return Ok((command.args.clone(), Vec::new()));
        }
        let line = command.args.join(" ");
        let Some(first) = command.heredocs.first() else {
            return Ok((self.with_shell(line), Vec::new()));
        };
        if !is_only_heredoc(&line) {
            // The shell sees the documents as they are written.
            let documents = command
                .heredocs
                .iter()
                .map(|document| format!("\n{}{}", document.content, document.name));
            return Ok((
                self.with_shell(std::iter::once(line).chain(documents).collect()),
                Vec::new(),
            ));
        }
        let content = first.stripped();
        if !content.starts_with("#!") {
            return Ok((self.with_shell(content), Vec::new()));
        }
        check_file_name(first, command.span)?;
        let script = Script {
            name: first.name.clone(),
            content,
        };
        let path = format!("{PIPES}/{}", script.name);
        Ok((self.with_shell(path), vec![script]))
    }

    /// The command as the history shows it, declared `ARG`s in front.
    fn history_command(&self, args: &[String]) -> String {
        let mut seen = BTreeSet::new();
        let mut shown = Vec::new();
        for (name, value) in &self.state.args {
            if !seen.insert(name) {
                continue;
            }
            let value = self.value(name).or(value.as_deref()).unwrap_or_default();
            shown.push(format!("{name}={value}"));
        }
        if !shown.is_empty() {
            shown.insert(0, format!("|{}", shown.len()));
        }
        shown.extend(args.iter().cloned());
        shown.join(" ")
    }

    fn run_name(&mut self, command: &CommandLine, mounts: &[Mount]) -> String {
        let mut text = self.instruction.code.clone();
        if let Some(first) = command.heredocs.first()
            && is_only_heredoc(&command.args.join(" "))
        {
            let _ = write!(text, " ({})", summary(&first.content));
        }
        let secrets = mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Secret(secret) => secret.env.clone(),
            _ => None,
        });
        let env = std::mem::take(&mut self.state.env);
        let shown = Masked {
            env: &env,
            secrets: secrets.collect(),
        };
        let lexer = Lexer {
            keep_quotes: true,
            keep_unset: true,
            ..Lexer::new(self.builder.stages.escape())
        };
        let name = self.name(&text, lexer, &shown);
        self.state.env = env;
        name
    }
}

/// How long the result may be used.
fn reuse(flags: &RunFlags) -> Result<Reuse, Diagnostic> {
    let never = flags.no_cache.filter(|switch| switch.on);
    let Some(ttl) = &flags.cache_ttl else {
        return Ok(never.map_or(Reuse::Always, |_| Reuse::Never));
    };
    if let Some(switch) = never {
        let error = "`--no-cache` and `--cache-ttl` can't be given together";
        return Err(Diagnostic::error(error, switch.span)
            .with_note("the other one is here", Some(ttl.span)));
    }
    match duration::parse_long(&ttl.text) {
        None => Err(Diagnostic::error(
            format!("invalid duration `{}` for `--cache-ttl`", ttl.text),
            ttl.span,
        )
        .with_help("write a number and a unit, such as `30m`, `12h`, `1d` or `2w`")),
        Some(0) => Err(
            Diagnostic::error("`--cache-ttl` must be longer than nothing", ttl.span)
                .with_help("`--no-cache` runs the command in every build"),
        ),
        Some(nanoseconds) => Ok(Reuse::For(Duration::from_nanos(nanoseconds))),
    }
}

/// Variables as a step's name shows them: those that get their value from a secret have a mask.
struct Masked<'a> {
    env: &'a Environment,
    secrets: Vec<String>,
}

impl Variables for Masked<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        if self.secrets.iter().any(|secret| secret == name) {
            return Some(MASK);
        }
        self.env.value(name)
    }
}

/// Whether a command is nothing but one here-document.
fn is_only_heredoc(line: &str) -> bool {
    matches!(heredoc::of_word(line), Ok(Some(_)))
}

/// A here-document that becomes a file must have a name that is one.
pub(super) fn check_file_name(document: &Heredoc, span: Span) -> Result<(), Diagnostic> {
    let name = document.name.as_str();
    if name.contains(['/', '\0']) || matches!(name, "" | "." | "..") {
        return Err(Diagnostic::error(
            format!("the heredoc name `{name}` cannot be the name of a file"),
            span,
        ));
    }
    Ok(())
}

/// The first line of a here-document.
fn summary(content: &str) -> String {
    let mut lines = content.trim().lines();
    let first = lines.next().unwrap_or_default();
    let more = if lines.next().is_some() { "..." } else { "" };
    format!("{first}{more}")
}
