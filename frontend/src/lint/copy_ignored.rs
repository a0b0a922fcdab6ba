//! `CopyIgnoredFile`: a source of `COPY` or `ADD` that the ignore file leaves out.

use super::rule::{Group, Rule};
use crate::diagnostic::{Diagnostic, MAX_FINDINGS};
use crate::ignore::Ignore;
use crate::plan::{CopyItem, Plan, Source, StepKind};
use crate::span::Span;
use crate::syntax::ast::{Dockerfile, Kind};

pub(crate) static RULE: Rule = Rule {
    name: "CopyIgnoredFile",
    group: Group::Standard,
    summary: "Attempting to Copy file that is excluded by .dockerignore",
    why: "What the ignore file leaves out is not in the context, so the build fails, or copies less than it \
          seems to. Ignore files with `!` are not judged: a directory that is left out can have files in it \
          that are not.",
    bad: "FROM busybox\n\
          COPY ignored.txt /\n\
          ",
    good: "FROM busybox\n\
          COPY kept.txt /\n\
          ",
};

/// The findings in the steps of a plan.
pub(super) fn findings(dockerfile: &Dockerfile, plan: &Plan, ignore: &Ignore) -> Vec<Diagnostic> {
    if ignore.is_empty() || ignore.has_exceptions() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for step in plan.graph.ids().map(|id| plan.graph.get(id)) {
        let StepKind::Copy(copy) = &step.kind else {
            continue;
        };
        let (Source::Context, Some(span)) = (&copy.from, step.span) else {
            continue;
        };
        let mut ignored = Vec::new();
        for (number, item) in copy.items.iter().enumerate() {
            let path = match item {
                CopyItem::Path(path) => path.clone(),
                CopyItem::Parents { pivot, pattern } if pivot.is_empty() => pattern.clone(),
                CopyItem::Parents { pivot, pattern } => format!("{pivot}/{pattern}"),
                CopyItem::Inline { .. } | CopyItem::Remote { .. } => continue,
            };
            let path = if path.is_empty() {
                ".".to_owned()
            } else {
                path
            };
            if ignore.excluded(path.as_bytes()) {
                ignored.push((number, path));
            }
        }
        if ignored.is_empty() {
            continue;
        }
        let (verb, places) = written(dockerfile, span);
        for (number, path) in ignored {
            let message =
                format!("Attempting to {verb} file \"{path}\" that is excluded by .dockerignore");
            let place = places.get(number).copied().unwrap_or(span);
            findings.push(RULE.finding(message, place));
        }
        if findings.len() >= MAX_FINDINGS {
            break;
        }
    }
    findings
}

/// What the instruction at a place is, and where it names its sources. A trigger of a base image is not in the file.
fn written(dockerfile: &Dockerfile, span: Span) -> (&'static str, Vec<Span>) {
    let mut instructions = dockerfile
        .stages
        .iter()
        .flat_map(|stage| &stage.instructions)
        .filter(|instruction| instruction.span == span);
    let (verb, sources) = match instructions.next().map(|instruction| &instruction.kind) {
        Some(Kind::Add(_, sources)) => ("Add", Some(sources)),
        Some(Kind::Copy(_, sources)) => ("Copy", Some(sources)),
        _ => ("Copy", None),
    };
    let paths = sources.map(|sources| sources.paths.iter().map(|path| path.span).collect());
    (verb, paths.unwrap_or_default())
}
