//! What stands behind flags: `--mount` of `RUN` and `--output`, by the first byte.
#![no_main]

use std::collections::BTreeMap;

use engine::output::{Destination, Output, OutputKind, OutputSpec};
use frontend::{Lowering, Options};

#[allow(
    dead_code,
    unreachable_pub,
    reason = "of the program's flags this takes one"
)]
#[path = "../../src/args/mod.rs"]
mod args;

use args::output::{Dest, OutputArg};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    match first % 2 {
        0 => mount(text),
        _ => output(text),
    }
});

fn mount(text: &str) {
    let source = format!("FROM scratch\nRUN --mount={text} true\n");
    let parsed = frontend::parse("Dockerfile", source.as_bytes());
    if let Ok(dockerfile) = &parsed.dockerfile {
        let lowered = frontend::lower(dockerfile, &Options::default(), &BTreeMap::new());
        if let Ok(Lowering::Needs(needs)) = lowered {
            assert!(!needs.is_empty(), "it waits for nothing");
        }
    }
}

fn output(text: &str) {
    let Ok(arg) = text.parse::<OutputArg>() else {
        return;
    };
    let kind = match arg.kind {
        args::output::OutputKind::Oci => OutputKind::Oci,
        args::output::OutputKind::Docker => OutputKind::Docker,
        args::output::OutputKind::Tar => OutputKind::Tar,
        args::output::OutputKind::Local => OutputKind::Local,
        args::output::OutputKind::Image => OutputKind::Image,
        args::output::OutputKind::Registry => OutputKind::Registry,
        args::output::OutputKind::CacheOnly => OutputKind::CacheOnly,
    };
    let dest = match arg.dest {
        Dest::None => None,
        Dest::Stdout => Some(Destination::Path("-".into())),
        Dest::Path(path) => Some(Destination::Path(path)),
    };
    let spec = OutputSpec {
        kind,
        dest,
        names: arg
            .names
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect(),
        push: arg.push,
        attributes: arg.attributes,
    };
    // Either answer is right, as long as there is one.
    drop(Output::new(spec));
}
