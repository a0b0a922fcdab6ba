//! Whether every `FROM` names an image while its arguments have their defaults.

use std::collections::BTreeMap;

use super::globals::Globals;
use super::options::Options;
use super::reference;
use crate::diagnostic::Findings;
use crate::expand::Lexer;
use crate::lint::default_arg_in_from;
use crate::syntax::ast::Dockerfile;

pub(super) fn check(dockerfile: &Dockerfile, options: &Options, findings: &mut Findings) {
    let bases = dockerfile.stages.iter().map(|stage| &stage.base);
    if !bases.clone().any(|base| base.text.contains('$')) {
        return;
    }
    let mut wrong = Findings::default();
    let globals = Globals::new(dockerfile, options, &BTreeMap::new(), &mut wrong);
    if !wrong.errors.is_empty() {
        // Lowering has the same to say.
        return;
    }
    let lexer = Lexer::new(dockerfile.directives.escape);
    let names = |text: &str| reference::normalise(text).is_ok();
    for base in bases {
        let Ok(expanded) = lexer.expand(&base.text, &globals.values) else {
            return;
        };
        if base.text.contains('$') && !names(&expanded.text) {
            findings.add(default_arg_in_from::finding(base));
        }
    }
}
