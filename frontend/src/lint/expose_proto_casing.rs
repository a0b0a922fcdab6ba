//! `ExposeProtoCasing`: `EXPOSE` with a protocol in capitals.

use super::rule::{Group, Rule};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

pub(crate) static RULE: Rule = Rule {
    name: "ExposeProtoCasing",
    group: Group::Standard,
    summary: "Protocol in EXPOSE instruction should be lowercase",
    why: "The protocol is kept in lower case; written so, it is found by whoever looks for it in the file.",
    bad: "FROM busybox\n\
          EXPOSE 80/TCP\n\
          ",
    good: "FROM busybox\n\
          EXPOSE 80/tcp\n\
          ",
};

pub(crate) fn finding(port: &str, span: Span) -> Option<Diagnostic> {
    let (_, protocol) = port.split_once('/')?;
    let capitals = protocol.bytes().any(|byte| byte.is_ascii_uppercase());
    capitals.then(|| {
        let message =
            format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
        RULE.finding(message, span)
    })
}
