//! Runs the cases of `testdata`: a Dockerfile with options, and what comes of it. A case is one file:
//!
//! ```text
//! target=name            options, one a line
//! --- Dockerfile
//! FROM busybox
//! --- expected
//! the plan, or the errors
//! ```
//!
//! With `UPDATE_CASES=1` in the environment the expectations are written anew, to be read over before they are kept.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod dump;

use std::collections::BTreeMap;
use std::path::Path;

use rbuild_frontend as frontend;
use rbuild_frontend::plan::{BaseImage, ContainerConfig, History, Network, Platform};
use rbuild_frontend::{ImageRequest, Lowering, Options};

#[test]
fn plans_are_as_expected() {
    run_all("plans");
}

#[test]
fn errors_are_as_expected() {
    run_all("errors");
}

fn run_all(kind: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(kind);
    let update = std::env::var_os("UPDATE_CASES").is_some();
    let mut paths: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut wrong = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let (options, rest) = text.split_once("--- Dockerfile\n").unwrap();
        let (dockerfile, expected) = rest.split_once("--- expected\n").unwrap();
        let found = outcome(dockerfile, &read_options(options));
        let failed = found.starts_with("error");
        assert_eq!(failed, kind == "errors", "{}:\n{found}", path.display());
        if found == expected {
            continue;
        }
        if update {
            let text = format!("{options}--- Dockerfile\n{dockerfile}--- expected\n{found}");
            std::fs::write(&path, text).unwrap();
        } else {
            wrong.push(format!(
                "{}\n--- expected\n{expected}--- found\n{found}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Parses and lowers, looking up images as often as asked, and tells what came of it.
fn outcome(text: &str, options: &Options) -> String {
    let parsed = frontend::parse("Dockerfile", text.as_bytes());
    let render = |list: &[frontend::diagnostic::Diagnostic]| -> String {
        list.iter()
            .map(|item| frontend::diagnostic::render(item, &parsed.text, false))
            .collect()
    };
    let dockerfile = match &parsed.dockerfile {
        Ok(dockerfile) => dockerfile,
        Err(errors) => return render(errors),
    };
    let mut images = BTreeMap::new();
    for _ in 0..10 {
        match frontend::lower(dockerfile, options, &images) {
            Err(errors) => return render(&errors),
            Ok(Lowering::Done(plan)) => {
                return dump::plan(&plan, &parsed.text) + &render(&plan.warnings);
            }
            Ok(Lowering::Needs(needs)) => {
                for need in needs {
                    let Some(found) = image(&need.image) else {
                        let hint = need.hint.unwrap_or_default();
                        return format!("error: no image {}: {hint}\n", need.image.reference);
                    };
                    images.insert(need.image, found);
                }
            }
        }
    }
    panic!("lowering asks for images without end");
}

fn read_options(text: &str) -> Options {
    let platform = Platform {
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        variant: String::new(),
    };
    let mut options = Options {
        platform: platform.clone(),
        build_platform: platform,
        ..Options::default()
    };
    for line in text.lines() {
        let (key, value) = line.split_once('=').unwrap();
        let (name, rest) = value
            .split_once('=')
            .map_or((value, None), |(name, rest)| (name, Some(rest.to_owned())));
        match key {
            "target" => options.target = Some(value.to_owned()),
            "arg" => options.build_args.push((name.to_owned(), rest)),
            "label" => options.labels.push((name.to_owned(), rest.unwrap())),
            "network" if value == "host" => options.network = Network::Host,
            _ => panic!("unknown option `{line}`"),
        }
    }
    options
}

/// The images there are.
fn image(request: &ImageRequest) -> Option<BaseImage> {
    let strings = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
    let mut image = BaseImage {
        id: format!("id of {}", request.reference),
        platform: request.platform.clone(),
        has_layers: true,
        history: vec![History {
            created: Some("2020-01-01T00:00:00Z".to_owned()),
            created_by: "base".to_owned(),
            ..History::default()
        }],
        ..BaseImage::default()
    };
    let name = request.reference.strip_prefix("docker.io/library/")?;
    match name {
        "busybox:latest" => image.config.cmd = Some(strings(&["sh"])),
        "debian:12" => {
            image.author = String::from("someone");
            image.config = ContainerConfig {
                env: strings(&["PATH=/bin", "LANG=C"]),
                working_dir: "/srv".to_owned(),
                user: "app".to_owned(),
                entrypoint: Some(strings(&["/init"])),
                cmd: Some(strings(&["serve"])),
                exposed_ports: strings(&["80/tcp"]),
                shell: Some(strings(&["/bin/bash", "-c"])),
                labels: BTreeMap::from([("from".to_owned(), "base".to_owned())]),
                ..ContainerConfig::default()
            };
        }
        "trigger:latest" => {
            image.config.on_build = strings(&[
                "ARG V=1",
                "RUN echo $V",
                "COPY --from=busybox /bin/sh /sh",
                "COPY <<EOF /conf\nv=$V\nEOF",
            ]);
        }
        "broken-trigger:latest" => image.config.on_build = strings(&["FORM busybox"]),
        "stage-trigger:latest" => image.config.on_build = strings(&["COPY --from=tools /t /t"]),
        "empty:latest" => {
            image.has_layers = false;
            image.history.clear();
        }
        "arm:latest" => image.platform.architecture = String::from("arm64"),
        _ => return None,
    }
    Some(image)
}
