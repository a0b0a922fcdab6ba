//! `InvalidDefinitionDescription`: a comment right above `FROM` or `ARG` that is no description of it.

use super::rule::{Group, Rule};
use crate::diagnostic::Findings;
use crate::span::Span;
use crate::syntax::ast::{Dockerfile, Kind};

pub(crate) static RULE: Rule = Rule {
    name: "InvalidDefinitionDescription",
    group: Group::Experimental,
    summary: "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. \
          If this is not intended to be a description comment, add an empty line or comment between the \
          instruction and the comment.",
    why: "`--call=outline` and `--call=targets` show the comments of stages and arguments that begin with \
          their names. One that was meant so and does not is not shown.",
    bad: "# check=experimental=InvalidDefinitionDescription\n\
          \n\
          # the version to build\n\
          ARG VERSION=12\n\
          FROM debian:$VERSION\n\
          RUN make\n\
          ",
    good: "# check=experimental=InvalidDefinitionDescription\n\
          \n\
          # VERSION the version to build\n\
          ARG VERSION=12\n\
          FROM debian:$VERSION\n\
          RUN make\n\
          ",
};

pub(super) fn check(dockerfile: &Dockerfile, findings: &mut Findings) {
    let mut judge = |instruction: &str, names: &[&str], comments: &[String], span: Span| {
        let (Some(first), Some(comment)) = (names.first(), comments.last()) else {
            return;
        };
        let word = comment.split(' ').next().unwrap_or_default();
        if names.contains(&word) {
            return;
        }
        let example = if names.len() > 1 { "<arg_key>" } else { first };
        let message = format!(
            "Comment for {instruction} should follow the format: `# {example} <description>`"
        );
        findings.add(RULE.finding(message, span));
    };
    let in_stages = dockerfile
        .stages
        .iter()
        .flat_map(|stage| &stage.instructions);
    for instruction in dockerfile.global_args.iter().chain(in_stages) {
        if let Kind::Arg(arguments) = &instruction.kind {
            let names: Vec<_> = arguments
                .iter()
                .map(|argument| argument.name.text.as_str())
                .collect();
            judge("ARG", &names, &instruction.comments, instruction.span);
        }
    }
    for stage in &dockerfile.stages {
        let names: Vec<_> = stage.name.as_deref().into_iter().collect();
        judge("FROM", &names, &stage.comments, stage.span);
    }
}
