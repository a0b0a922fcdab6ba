//! `InvalidBaseImagePlatform`: a base image for another platform than the build's.
//!
//! Its programs will not start.

use crate::diagnostic::Diagnostic;
use crate::plan::Platform;
use crate::span::Span;

const NAME: &str = "InvalidBaseImagePlatform";

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
        Diagnostic::warning(message, span).with_rule(NAME)
    })
}
