//! Rules for the commands of `RUN`. They are rbuild's own, and looked for in checks only.

mod apt_prompts;
mod apt_update;
mod cd_lost;
mod cd_unchecked;
mod curl_errors;
mod pipe;
mod remove_unset;
mod scene;
mod script_goes_on;
mod unquoted;
mod values;

pub(super) use rules::RULES;
pub(crate) use scene::Base;

use std::collections::BTreeMap;

use self::scene::{Scene, ShellOptions};
use self::values::Values;
use crate::diagnostic::Findings;
use crate::source::SourceText;
use crate::span::Span;
use crate::syntax::ast::{CommandLine, Dockerfile, Instruction, Kind};
use crate::syntax::heredoc::{self, Heredoc};
use crate::syntax::with_command;

mod rules {
    //! The list of them.

    use super::super::rule::Rule;

    /// The rules for commands.
    pub(in crate::lint) static RULES: [&Rule; 9] = [
        &super::apt_prompts::RULE,
        &super::apt_update::RULE,
        &super::curl_errors::RULE,
        &super::cd_lost::RULE,
        &super::cd_unchecked::RULE,
        &super::pipe::RULE,
        &super::remove_unset::RULE,
        &super::script_goes_on::RULE,
        &super::unquoted::RULE,
    ];
}

/// How many names of variables stages take over of their bases in all: short files can ask for very many.
const MAX_INHERITED: usize = 100_000;

/// What is known of a stage where an instruction stands.
#[derive(Debug, Clone)]
struct Stage {
    /// The program and flags in front of a command, `None` when it is none of those that are understood.
    shell: Option<ShellOptions>,
    values: Values,
}

/// Checks the commands of all stages. `bases` tells of the base image of each, `None` for those that are not known.
pub(crate) fn check(
    dockerfile: &Dockerfile,
    source: &SourceText,
    bases: &[Option<Base>],
    findings: &mut Findings,
) {
    let escape = dockerfile.directives.escape;
    let mut budget = MAX_INHERITED;
    let global = Values::of_globals(&dockerfile.global_args, escape);
    let mut named: BTreeMap<&str, Stage> = BTreeMap::new();
    for (number, written) in dockerfile.stages.iter().enumerate() {
        let base = named.get(written.base.text.to_lowercase().as_str());
        // Without its values a stage is checked more strictly, no more.
        let base = base.filter(|base| {
            let size = base.values.size();
            let fits = size <= budget;
            budget -= if fits { size } else { 0 };
            fits
        });
        let mut stage = base.cloned().unwrap_or_else(|| {
            let base = bases.get(number).and_then(Option::as_ref);
            Stage {
                shell: ShellOptions::of_shell(base.and_then(|base| base.shell.as_deref())),
                values: Values::of_environment(base.map_or(&[], |base| base.env.as_slice())),
            }
        });
        for instruction in &written.instructions {
            let run = Run {
                instruction,
                source,
                escape,
            };
            match &instruction.kind {
                Kind::Arg(arguments) => stage.values.declare(arguments, &global, escape),
                Kind::Env(pairs) => stage.values.set(pairs, escape),
                Kind::Shell(shell) => stage.shell = ShellOptions::of_shell(Some(shell)),
                Kind::Run(_, command) if command.shell => run.check(command, &stage, findings),
                Kind::Onbuild(_) => run.check_trigger(&stage, findings),
                _ => {}
            }
        }
        if let Some(name) = &written.name {
            named.insert(name, stage);
        }
    }
}

/// A `RUN` that is checked.
struct Run<'a> {
    instruction: &'a Instruction,
    source: &'a SourceText,
    escape: char,
}

impl Run<'_> {
    fn check(&self, command: &CommandLine, stage: &Stage, findings: &mut Findings) {
        let only = command
            .heredocs
            .first()
            .filter(|_| matches!(heredoc::of_word(&command.args.join(" ")), Ok(Some(_))));
        if let Some(document) = only {
            let shell = match document.content.trim_start_matches('\t').strip_prefix("#!") {
                Some(rest) => ShellOptions::of_interpreter(rest.lines().next().unwrap_or_default()),
                None => stage.shell,
            };
            check_document(document, shell, stage, findings);
            return;
        }
        let fed = self.check_line(false, stage, findings);
        // `bash -e <<EOF`: the document is the script of another shell.
        if let (Some(shell), [document]) = (fed, command.heredocs.as_slice()) {
            check_document(document, Some(shell), stage, findings);
        }
    }

    fn check_trigger(&self, stage: &Stage, findings: &mut Findings) {
        self.check_line(true, stage, findings);
    }

    /// Checks the command on the instruction's own lines, and tells which shell it feeds, if it is nothing else.
    fn check_line(
        &self,
        trigger: bool,
        stage: &Stage,
        findings: &mut Findings,
    ) -> Option<ShellOptions> {
        let options = stage.shell?;
        let (text, span) = (self.source.text(), self.instruction.span);
        with_command(text, span, self.escape, trigger, |slice| {
            let script = crate::shell::parse(slice.text());
            let place = |extent: &std::ops::Range<usize>| slice.part(extent.clone()).span();
            let scene = Scene {
                script: &script,
                options,
                values: &stage.values,
                place: &place,
                document: false,
            };
            scene.check(findings);
            match script.commands.as_slice() {
                [command] => ShellOptions::of_call(command),
                _ => None,
            }
        })
        .flatten()
    }
}

/// Checks a here-document that is a script.
fn check_document(
    document: &Heredoc,
    shell: Option<ShellOptions>,
    stage: &Stage,
    findings: &mut Findings,
) {
    let Some(options) = shell else {
        return;
    };
    let script = crate::shell::parse(&document.content);
    let start = document.span.start;
    let place = |extent: &std::ops::Range<usize>| {
        Span::new(start + extent.start as u32, start + extent.end as u32)
    };
    let scene = Scene {
        script: &script,
        options,
        values: &stage.values,
        place: &place,
        document: true,
    };
    scene.check(findings);
}
