//! Rules that announce what other builders refuse: the extensions that `docs/extensions.md` describes. They are off with
//! the controls of every rule.

mod cache_ttl;
mod if_exists;
pub(crate) mod include;
mod no_cache;
mod secret_key;
mod service;

use super::rule::Rule;
use crate::diagnostic::Findings;
use crate::syntax::ast::{Dockerfile, Kind};

/// The rules for extensions.
pub(super) static RULES: [&Rule; 6] = [
    &cache_ttl::RULE,
    &if_exists::RULE,
    &include::RULE,
    &no_cache::RULE,
    &secret_key::RULE,
    &service::RULE,
];

/// Announces the extensions that a file uses, in triggers too.
pub(super) fn check(dockerfile: &Dockerfile, findings: &mut Findings) {
    let stages = dockerfile.stages.iter();
    for instruction in stages.flat_map(|stage| &stage.instructions) {
        let kind = match &instruction.kind {
            Kind::Onbuild(onbuild) => &onbuild.trigger,
            kind => kind,
        };
        match kind {
            Kind::Run(flags, _) => {
                no_cache::check(flags, findings);
                cache_ttl::check(flags, findings);
                secret_key::check(flags, findings);
                service::check(flags, findings);
            }
            Kind::Copy(flags, _) => if_exists::check("COPY", &flags.files, findings),
            Kind::Add(flags, _) => if_exists::check("ADD", &flags.files, findings),
            _ => {}
        }
    }
}
