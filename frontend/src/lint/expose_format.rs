//! `ExposeInvalidFormat`: `EXPOSE` with an address or port of the host.

use super::rule::{Group, Rule};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

pub(crate) static RULE: Rule = Rule {
    name: "ExposeInvalidFormat",
    group: Group::Standard,
    summary: "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an \
          error in a future release",
    why: "Only the port of the container is kept. Where it is published is decided when the container is \
          run, with `-p`.",
    bad: "FROM busybox\n\
          EXPOSE 127.0.0.1:80:80\n\
          ",
    good: "FROM busybox\n\
          EXPOSE 80\n\
          ",
};

pub(crate) fn finding(port: &str, span: Span) -> Option<Diagnostic> {
    port.contains(':').then(|| {
        let message = format!(
            "EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
        );
        RULE.finding(message, span)
    })
}
