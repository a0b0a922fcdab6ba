//! A Dockerfile of any bytes: parsed, checked and lowered with made-up images, every finding rendered.
#![no_main]

use std::collections::BTreeMap;

use frontend::diagnostic::{Diagnostic, render};
use frontend::plan::{BaseImage, ContainerConfig};
use frontend::{Check, Lowering, Options, SourceText};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let parsed = frontend::parse("Dockerfile", bytes);
    match &parsed.dockerfile {
        Ok(dockerfile) => {
            check(dockerfile, &parsed.text);
            lower(dockerfile, &parsed.text);
        }
        Err(errors) => show(errors, &parsed.text),
    }
});

fn check(dockerfile: &frontend::Dockerfile, text: &SourceText) {
    let mut images = BTreeMap::new();
    for _ in 0..20 {
        match frontend::check(dockerfile, text, &Options::default(), &images) {
            Check::Done(checked) => {
                findings(&checked.errors, text);
                return findings(&checked.warnings, text);
            }
            Check::Needs(needs) => {
                assert!(!needs.is_empty(), "it waits for nothing");
                images.extend(needs.into_iter().map(|need| (need.image, base())));
            }
        }
    }
    panic!("a check asks for images without end");
}

fn lower(dockerfile: &frontend::Dockerfile, text: &SourceText) {
    let mut images = BTreeMap::new();
    for _ in 0..20 {
        match frontend::lower(dockerfile, &Options::default(), &images) {
            Err(errors) => return show(&errors, text),
            Ok(Lowering::Done(plan)) => return findings(&plan.warnings, text),
            Ok(Lowering::NeedsTime(_)) => return,
            Ok(Lowering::Needs(needs)) => {
                assert!(!needs.is_empty(), "it waits for nothing");
                images.extend(needs.into_iter().map(|need| (need.image, base())));
            }
        }
    }
    panic!("lowering asks for images without end");
}

/// A base with triggers that ask for more images.
fn base() -> BaseImage {
    BaseImage {
        has_layers: true,
        config: ContainerConfig {
            on_build: vec!["COPY --from=other a b".to_owned(), "RUN x".to_owned()],
            ..ContainerConfig::default()
        },
        ..BaseImage::default()
    }
}

fn show(errors: &[Diagnostic], text: &SourceText) {
    assert!(!errors.is_empty(), "refused without a reason");
    findings(errors, text);
}

fn findings(list: &[Diagnostic], text: &SourceText) {
    for item in list {
        assert!(render(item, text, true).contains(&item.message));
    }
}
