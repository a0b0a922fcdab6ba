//! `InvalidBaseImagePlatform`: a base image for another platform than the build's.

use super::rule::{Group, Rule};
use crate::diagnostic::Diagnostic;
use crate::plan::Platform;
use crate::span::Span;

pub(crate) static RULE: Rule = Rule {
    name: "InvalidBaseImagePlatform",
    group: Group::Standard,
    summary: "Base image platform does not match expected target platform",
    why: "The programs of an image for another platform do not start, or only through an emulator. It mostly \
          comes of an image that was built or loaded for one platform only, or of a digest that names the \
          image of one platform rather than the index of all.",
    bad: "FROM arm\n\
          RUN make\n\
          ",
    good: "FROM debian:12\n\
          RUN make\n\
          ",
};

pub(crate) fn finding(
    span: Span,
    image: &str,
    actual: &Platform,
    expected: &Platform,
) -> Option<Diagnostic> {
    let same = actual.os == expected.os && actual.architecture == expected.architecture;
    let unknown = actual.architecture.is_empty();
    (!same && !unknown).then(|| {
        let message = format!(
            "Base image {image} was pulled with platform \"{}\", expected \"{}\" for current build",
            actual.text(),
            expected.text()
        );
        RULE.finding(message, span)
    })
}
