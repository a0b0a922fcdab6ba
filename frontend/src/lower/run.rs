//! `RUN`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::stage::Scope;
use crate::diagnostic::Diagnostic;
use crate::expand::{Environment, Lexer, Variables};
use crate::plan::{Mount, MountKind, Network, Run, Script, StepKind};
use crate::span::Span;
use crate::syntax::ast::{CommandLine, RunFlags};
use crate::syntax::heredoc::{self, Heredoc};
use crate::syntax::logical::Word;

/// Where here-documents with an interpreter line are.
const PIPES: &str = "/dev/pipes";
/// What stands for the value of a secret in a step's name.
const MASK: &str = "****";

impl Scope<'_, '_> {
    /// `RUN`.
    pub(super) fn run(
        &mut self,
        flags: &RunFlags,
        command: &CommandLine,
    ) -> Result<(), Diagnostic> {
        check_flags(flags)?;
        let network = match &flags.network {
            Some(word) => network(word, self.builder.options.network)?,
            None => self.builder.options.network,
        };
        let (args, scripts) = self.arguments(command)?;
        let mut inputs = Vec::new();
        let mounts = self.mounts(&flags.mounts, &mut inputs)?;
        let name = self.run_name(command, &mounts);
        let env = self.state.env.list();
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
            network,
        };
        let step = self.push_step(StepKind::Run(Box::new(run)), name, &inputs)?;
        self.commit_step(history, Some(step))
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

fn check_flags(flags: &RunFlags) -> Result<(), Diagnostic> {
    if let Some(device) = flags.devices.first() {
        return Err(Diagnostic::error(
            "`RUN --device` is not supported yet",
            device.span,
        ));
    }
    match &flags.security {
        None => Ok(()),
        Some(word) if word.text == "sandbox" => Ok(()),
        Some(word) if word.text == "insecure" => Err(Diagnostic::error(
            "`RUN --security=insecure` is not supported yet",
            word.span,
        )),
        Some(word) => Err(Diagnostic::error(
            format!("security `{}` is not valid", word.text),
            word.span,
        )
        .with_suggestion(&word.text, ["sandbox", "insecure"])),
    }
}

/// `default` is what the build has.
fn network(word: &Word, default: Network) -> Result<Network, Diagnostic> {
    match word.text.as_str() {
        "default" => Ok(default),
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        other => Err(
            Diagnostic::error(format!("network mode `{other}` is not valid"), word.span)
                .with_suggestion(other, ["default", "none", "host"]),
        ),
    }
}
