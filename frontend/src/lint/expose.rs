//! `ExposeInvalidFormat`: `EXPOSE` with a host address or host port (and `ExposeProtoCasing`: with a protocol in capitals).
//!
//! Only the container's port is kept; where it is published is decided when the container is run.

use crate::diagnostic::Diagnostic;
use crate::span::Span;

const NAME: &str = "ExposeInvalidFormat";

const PROTOCOL: &str = "ExposeProtoCasing";

/// What is odd about one port of an `EXPOSE`.
pub(crate) fn findings(port: &str, span: Span) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    if port.contains(':') {
        let message = format!(
            "EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
        );
        findings.push(Diagnostic::warning(message, span).with_rule(NAME));
    }
    if let Some((_, protocol)) = port.split_once('/')
        && protocol.bytes().any(|byte| byte.is_ascii_uppercase())
    {
        let message =
            format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
        findings.push(Diagnostic::warning(message, span).with_rule(PROTOCOL));
    }
    findings
}
