//! Whatever the bytes are: no panic, and what is found wrong can be rendered.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use rbuild_frontend as frontend;
use rbuild_frontend::diagnostic::{Diagnostic, render};
use rbuild_frontend::plan::{BaseImage, ContainerConfig};
use rbuild_frontend::{Check, Dockerfile, Lowering, Options, Outlining, SourceText};

/// Parses, lowers with made-up images, and renders every finding.
fn swallow(bytes: &[u8]) {
    let parsed = frontend::parse("Dockerfile", bytes);
    let show = |list: &[Diagnostic], text: &SourceText| {
        for item in list {
            assert!(render(item, text, true).contains(&item.message));
        }
    };
    let dockerfile = match &parsed.dockerfile {
        Ok(dockerfile) => dockerfile,
        Err(errors) => {
            assert!(!errors.is_empty());
            show(errors, &parsed.text);
            return;
        }
    };
    examine(dockerfile, &parsed.text);
    let mut images = BTreeMap::new();
    for _ in 0..20 {
        match frontend::lower(dockerfile, &Options::default(), &images) {
            Err(errors) => {
                assert!(!errors.is_empty());
                return show(&errors, &parsed.text);
            }
            Ok(Lowering::Done(plan)) => return show(&plan.warnings, &parsed.text),
            Ok(Lowering::NeedsTime(_)) => return,
            Ok(Lowering::Needs(needs)) => {
                assert!(!needs.is_empty());
                let known = needs.into_iter().map(|need| (need.image, image()));
                images.extend(known);
            }
        }
    }
    panic!("lowering asks for images without end");
}

/// Checks, outlines and lists targets, and renders every finding.
fn examine(dockerfile: &Dockerfile, text: &SourceText) {
    let options = Options::default();
    assert!(!frontend::targets(dockerfile).is_empty());
    let mut images = BTreeMap::new();
    for _ in 0..20 {
        let asked = match frontend::check(dockerfile, text, &options, &images) {
            Check::Done(checked) => {
                for item in checked.errors.iter().chain(&checked.warnings) {
                    assert!(render(item, text, true).contains(&item.message));
                }
                match frontend::outline(dockerfile, &options, &images) {
                    Ok(Outlining::Needs(needs)) => needs,
                    Ok(Outlining::Done(_)) | Err(_) => return,
                }
            }
            Check::Needs(needs) => needs,
        };
        images.extend(asked.into_iter().map(|need| (need.image, image())));
    }
    panic!("a check asks for images without end");
}

/// A base with triggers that ask for more images.
fn image() -> BaseImage {
    BaseImage {
        has_layers: true,
        config: ContainerConfig {
            on_build: vec!["COPY --from=other a b".to_owned(), "RUN x".to_owned()],
            ..ContainerConfig::default()
        },
        ..BaseImage::default()
    }
}

/// Pieces that Dockerfiles are made of.
const PIECES: [&str; 62] = [
    "FROM ",
    "AS ",
    "RUN ",
    "COPY ",
    "ADD ",
    "ENV ",
    "ARG ",
    "LABEL ",
    "WORKDIR ",
    "USER ",
    "CMD ",
    "ENTRYPOINT ",
    "EXPOSE ",
    "VOLUME ",
    "SHELL ",
    "HEALTHCHECK ",
    "STOPSIGNAL ",
    "ONBUILD ",
    "MAINTAINER ",
    "scratch",
    "busybox",
    "a",
    "b",
    "0",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\\\n",
    "\\",
    "`",
    "# escape=`\n",
    "# check=skip=all\n",
    "#",
    "<<EOF",
    "<<-'EOF'",
    "\nEOF\n",
    "\t",
    " ",
    "--from=",
    "--mount=",
    "type=cache,",
    "target=/x",
    "--",
    "--chmod=",
    "$",
    "${",
    "}",
    ":-",
    "##",
    "%",
    "/",
    "*",
    "[",
    "]",
    "\"",
    "'",
    "=",
    ",",
    "é",
    "\u{feff}",
    "NONE",
];

/// Pieces that scripts are made of.
const SHELL_PIECES: [&str; 48] = [
    "a ",
    "cd ",
    "rm -rf ",
    "apt-get ",
    "install ",
    "update ",
    "curl ",
    "set -e",
    "-o ",
    "pipefail ",
    "if ",
    "then ",
    "else ",
    "fi ",
    "while ",
    "do ",
    "done ",
    "for f in ",
    "case x in ",
    "esac ",
    "a) ",
    ";; ",
    "; ",
    "&& ",
    "|| ",
    "| ",
    "& ",
    "( ",
    ") ",
    "{ ",
    "} ",
    "[[ ",
    "]] ",
    "$(",
    "$((",
    "))",
    "`",
    "${",
    "}",
    "$x",
    "\"",
    "'",
    "\\",
    "\\\n",
    "\n",
    "<<E ",
    "> ",
    "é",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_bytes(bytes: Vec<u8>) {
        swallow(&bytes);
    }

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        swallow(format!("FROM scratch\n{text}").as_bytes());
    }

    #[test]
    fn any_pieces(pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..60)) {
        swallow(pieces.concat().as_bytes());
    }

    #[test]
    fn any_script(
        pieces in proptest::collection::vec(proptest::sample::select(&SHELL_PIECES[..]), 0..40),
    ) {
        let script = pieces.concat();
        swallow(format!("FROM busybox\nRUN {script}\nRUN <<EOF\n{script}\nEOF\n").as_bytes());
    }

    #[test]
    fn any_pieces_in_a_stage(
        pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..60),
    ) {
        swallow(format!("FROM busybox AS a\nENV x=1\n{}", pieces.concat()).as_bytes());
    }
}

/// The first error of a text.
fn first_error(bytes: &[u8]) -> String {
    let parsed = frontend::parse("Dockerfile", bytes);
    let errors = match &parsed.dockerfile {
        Ok(dockerfile) => {
            match frontend::lower(dockerfile, &Options::default(), &BTreeMap::new()) {
                Ok(_) => return "none".to_owned(),
                Err(errors) => errors,
            }
        }
        Err(errors) => errors.clone(),
    };
    assert!(errors.len() <= 200, "{} errors", errors.len());
    for error in &errors {
        assert!(render(error, &parsed.text, false).len() < 10_000);
    }
    errors[0].message.clone()
}

#[test]
fn large_and_binary_files_are_refused() {
    let cases: [(Vec<u8>, &str); 5] = [
        (
            vec![b'#'; (16 << 20) + 1],
            "the Dockerfile is larger than 16 MiB",
        ),
        (
            b"FROM a\nRUN \0".to_vec(),
            "the Dockerfile is a binary file: it has a NUL byte here",
        ),
        (
            b"\x7fELF\x02\x01\x00".to_vec(),
            "the Dockerfile is a binary file: it has a NUL byte here",
        ),
        (
            b"FROM a\n# \xe9\n".to_vec(),
            "the Dockerfile is not valid UTF-8: a wrong byte follows here",
        ),
        (
            b"\xff\xfeF\0R\0".to_vec(),
            "the Dockerfile is not valid UTF-8: a wrong byte follows here",
        ),
    ];
    for (bytes, message) in cases {
        assert_eq!(first_error(&bytes), message);
    }
}

#[test]
fn many_mistakes_do_not_fill_the_memory() {
    let text = "NOPE x\n".repeat(1 << 20);
    assert_eq!(first_error(text.as_bytes()), "unknown instruction: `NOPE`");
}

#[test]
fn plans_that_explode_are_refused() {
    // Each step would carry a copy of a large environment.
    let value = "v".repeat(60_000);
    let mut text = "FROM scratch\n".to_owned();
    for number in 0..50 {
        let _ = writeln!(text, "ENV N{number}={value}");
    }
    text.push_str(&"RUN x\n".repeat(2000));
    let message = first_error(text.as_bytes());
    assert!(message.contains("take more than 512 MiB"), "{message}");

    // Values that double.
    let mut text = format!("FROM scratch\nENV a={value}\n");
    text.push_str(&"ENV a=$a$a\n".repeat(30));
    let message = first_error(text.as_bytes());
    assert!(
        message.contains("expansion gives more than 1048576 bytes"),
        "{message}"
    );
}

#[test]
fn deep_chains_need_no_stack() {
    let mut text = "FROM scratch AS s0\n".to_owned();
    for number in 1..20_000 {
        let base = number - 1;
        let _ = writeln!(
            text,
            "FROM s{base} AS s{number}
COPY --from=s0 a b"
        );
    }
    let message = first_error(text.as_bytes());
    assert!(
        message == "none" || message.contains("512 MiB"),
        "{message}"
    );
    let mut text = "FROM scratch AS s0\nCOPY --from=s1 a b\n".to_owned();
    for number in 1..20_000 {
        let next = number + 1;
        let _ = writeln!(
            text,
            "FROM scratch AS s{number}
COPY --from=s{next} a b"
        );
    }
    text.push_str("FROM scratch AS s20000\nCOPY --from=s0 a b\n");
    let message = first_error(text.as_bytes());
    assert_eq!(message, "circular dependency detected on stage: s0");
}
