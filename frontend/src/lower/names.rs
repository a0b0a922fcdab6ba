//! Names of steps.

use super::stages::{Base, Node};
use crate::syntax::ast::Kind;

/// Names steps as BuildKit's progress shows them: `[build 2/5] RUN make`.
pub(super) struct Namer {
    stage: String,
    index: usize,
    total: usize,
}

impl Namer {
    pub(super) fn new(node: &Node<'_>, single: bool) -> Self {
        let steps = node.commands.iter().filter(|command| {
            command.on_build
                || matches!(
                    command.instruction.kind,
                    Kind::Add(..) | Kind::Copy(..) | Kind::Run(..) | Kind::Workdir(_)
                )
        });
        Self {
            stage: if single {
                String::new()
            } else {
                format!("{} ", node.name)
            },
            index: 0,
            total: steps.count() + usize::from(matches!(node.base, Base::Image(_))),
        }
    }

    /// Passes over a step that has its name already.
    pub(super) fn skip(&mut self) {
        self.index += 1;
    }

    /// The name of the next step.
    pub(super) fn next(&mut self, text: &str, on_build: bool) -> String {
        self.index += 1;
        let total = self.total.to_string();
        format!(
            "[{}{:width$}/{total}] {}{text}",
            self.stage,
            self.index,
            if on_build { "ONBUILD " } else { "" },
            width = total.len()
        )
    }
}
