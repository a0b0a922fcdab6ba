//! Names of steps.

use super::stages::{Base, Node};
use crate::expand::Variables;
use crate::plan::Platform;
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

    /// The name of the next step. `platform` is where it runs, if that is told, with a space behind it.
    pub(super) fn next(&mut self, platform: &str, text: &str, on_build: bool) -> String {
        self.index += 1;
        let total = self.total.to_string();
        format!(
            "[{platform}{}{:width$}/{total}] {}{text}",
            self.stage,
            self.index,
            if on_build { "ONBUILD " } else { "" },
            width = total.len()
        )
    }
}

/// The platform of a step as names tell it: `linux/amd64`, or `linux/amd64->arm64` where the variables of the stage have
/// another target (BuildKit's `formatTargetPlatform`).
pub(super) fn platform(base: &Platform, env: &dyn Variables) -> String {
    let text = base.text();
    let Some(target) = target(base, env) else {
        return text;
    };
    let whole = target.text();
    if target.os != base.os {
        format!("{text}->{whole}")
    } else if target.architecture != base.architecture {
        let machine = whole.split_once('/').map_or("", |(_, machine)| machine);
        format!("{text}->{machine}")
    } else {
        text
    }
}

/// The target that the variables of a stage tell; what they leave out is as in `base`.
fn target(base: &Platform, env: &dyn Variables) -> Option<Platform> {
    if let Some(text) = env.value("TARGETPLATFORM")
        && let Some(platform) = Platform::parse(text, base)
    {
        return Some(platform);
    }
    let [os, architecture, variant] =
        ["TARGETOS", "TARGETARCH", "TARGETVARIANT"].map(|name| env.value(name));
    os.or(architecture).or(variant)?;
    let or = |value: Option<&str>, base: &str| match value {
        Some(value) if !value.is_empty() => value.to_owned(),
        _ => base.to_owned(),
    };
    Some(Platform::normalised(
        &or(os, &base.os),
        &or(architecture, &base.architecture),
        variant.unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expand::Environment;

    #[test]
    fn names_tell_of_cross_builds() {
        let base = Platform::normalised("linux", "amd64", "");
        for (variables, expected) in [
            (&[][..], "linux/amd64"),
            (&[("TARGETARCH", "amd64")], "linux/amd64"),
            (&[("TARGETARCH", "arm64")], "linux/amd64->arm64"),
            (
                &[("TARGETARCH", "arm"), ("TARGETVARIANT", "v6")],
                "linux/amd64->arm/v6",
            ),
            (&[("TARGETPLATFORM", "linux/s390x")], "linux/amd64->s390x"),
            (&[("TARGETOS", "freebsd")], "linux/amd64->freebsd/amd64"),
            (&[("OTHER", "x")], "linux/amd64"),
        ] {
            let mut env = Environment::default();
            for (name, value) in variables {
                env.set(name, value);
            }
            assert_eq!(platform(&base, &env), expected);
        }
    }
}
