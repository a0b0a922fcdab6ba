//! Runs the cases of `testdata`: a Dockerfile with options, and what comes of it: a plan (`plans`), errors (`errors`), the
//! findings of a check (`checks`), or for Dockerfiles as projects have them (`projects`) first the plan, then the findings.
//! A case is one file:
//!
//! ```text
//! row=A3.target          which rows of `rows.txt` it belongs to, and options, one a line
//! target=name
//! --- Dockerfile
//! FROM busybox
//! --- expected
//! the plan, the errors or the findings
//! ```
//!
//! With `UPDATE_CASES=1` in the environment the expectations are written anew, to be read over before they are kept.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod dump;
mod images;

use std::collections::BTreeMap;
use std::path::Path;

use rbuild_frontend as frontend;
use rbuild_frontend::diagnostic::Diagnostic;
use rbuild_frontend::plan::{BaseImage, Network, Plan};
use rbuild_frontend::remote::RemoteSource;
use rbuild_frontend::{
    Check, Entitlement, ImageRequest, Included, Lowering, NamedContext, Options, Parsed, TimeSource,
};

#[test]
fn plans_are_as_expected() {
    run_all("plans");
}

#[test]
fn errors_are_as_expected() {
    run_all("errors");
}

#[test]
fn checks_are_as_expected() {
    run_all("checks");
}

#[test]
fn projects_are_as_expected() {
    run_all("projects");
}

/// Every row of `rows.txt` has a case or names another test, and every case's row is there.
#[test]
fn every_row_has_a_case() {
    if updates() {
        // The cases are being written.
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rows = std::fs::read_to_string(root.join("testdata/rows.txt")).unwrap();
    let mut open: BTreeMap<&str, Option<&str>> = rows
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut fields = line.split(" | ");
            (fields.next().unwrap(), fields.nth(1))
        })
        .collect();
    let known: Vec<_> = open.keys().copied().collect();
    for kind in ["plans", "errors", "checks"] {
        for entry in std::fs::read_dir(root.join("testdata").join(kind)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let (options, _) = text.split_once("--- Dockerfile\n").unwrap();
            for row in options.lines().filter_map(|line| line.strip_prefix("row=")) {
                assert!(known.contains(&row), "{}: {row} is no row", path.display());
                open.remove(row);
            }
        }
    }
    for (row, elsewhere) in open {
        let path = elsewhere.map(|path| root.join("..").join(path));
        assert!(path.is_some_and(|path| path.exists()), "{row} has no test");
    }
}

fn updates() -> bool {
    std::env::var_os("UPDATE_CASES").is_some()
}

fn run_all(kind: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(kind);
    let update = updates();
    let mut paths: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut wrong = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let (options_text, rest) = text.split_once("--- Dockerfile\n").unwrap();
        let (dockerfile, expected) = rest.split_once("--- expected\n").unwrap();
        let options = read_options(options_text);
        let files = included(options_text);
        let parsed = frontend::parse_including("Dockerfile", dockerfile.as_bytes(), &mut |name| {
            let bytes = files.get(name).ok_or("it is not there")?;
            Ok(Included {
                name: name.to_owned(),
                bytes: bytes.clone().into_bytes(),
            })
        });
        let found = match kind {
            "checks" => check(&parsed, &options),
            "projects" => project(&parsed, &options),
            _ => outcome(&parsed, &for_platforms(options_text)),
        };
        if kind != "checks" {
            let failed = found.starts_with("error");
            assert_eq!(failed, kind == "errors", "{}:\n{found}", path.display());
        }
        if found == expected {
            continue;
        }
        if update {
            let text = format!("{options_text}--- Dockerfile\n{dockerfile}--- expected\n{found}");
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

fn render(list: &[Diagnostic], parsed: &Parsed) -> String {
    list.iter()
        .map(|item| frontend::diagnostic::render(item, &parsed.text, false))
        .collect()
}

/// Checks, and tells what was found.
fn check(parsed: &Parsed, options: &Options) -> String {
    let dockerfile = match &parsed.dockerfile {
        Ok(dockerfile) => dockerfile,
        Err(errors) => return render(errors, parsed),
    };
    let mut images = BTreeMap::new();
    for _ in 0..10 {
        match frontend::check(dockerfile, &parsed.text, options, &images) {
            Check::Done(checked) => {
                return render(&checked.errors, parsed) + &render(&checked.warnings, parsed);
            }
            Check::Needs(needs) => {
                for need in needs {
                    let found = images::image(&need.image).unwrap_or_default();
                    images.insert(need.image, found);
                }
            }
        }
    }
    panic!("the check asks for images without end");
}

/// Lowers, looking up images as often as asked: a plan, or why there is none. The build context is of the time 1000, files
/// on the network are of 2000, and commits of none.
fn plan(
    parsed: &Parsed,
    options: &Options,
    image: impl Fn(&ImageRequest) -> Option<BaseImage>,
) -> Result<Plan, String> {
    let dockerfile = parsed.dockerfile.as_ref();
    let dockerfile = dockerfile.map_err(|errors| render(errors, parsed))?;
    let mut images = BTreeMap::new();
    let mut options = options.clone();
    for _ in 0..10 {
        let lowering = frontend::lower(dockerfile, &options, &images);
        match lowering.map_err(|errors| render(&errors, parsed))? {
            Lowering::Done(plan) => return Ok(*plan),
            Lowering::NeedsTime(source) => {
                let time = match source {
                    TimeSource::Context => "1000",
                    TimeSource::Remote(RemoteSource::Http(_)) => "2000",
                    TimeSource::Remote(RemoteSource::Git(_)) | TimeSource::Timeless => "",
                };
                let argument = ("SOURCE_DATE_EPOCH".to_owned(), Some(time.to_owned()));
                options.build_args.push(argument);
            }
            Lowering::Needs(needs) => {
                for need in needs {
                    let Some(found) = image(&need.image) else {
                        let hint = need.hint.unwrap_or_default();
                        return Err(format!(
                            "error: no image {}: {hint}\n",
                            need.image.reference
                        ));
                    };
                    images.insert(need.image, found);
                }
            }
        }
    }
    panic!("lowering asks for images without end");
}

fn outcome(parsed: &Parsed, options: &[Options]) -> String {
    let mut joint: Option<Plan> = None;
    for options in options {
        match (plan(parsed, options, images::image), &mut joint) {
            (Err(errors), _) => return errors,
            (Ok(plan), Some(joint)) => joint.join(plan),
            (Ok(plan), None) => joint = Some(plan),
        }
    }
    let plan = joint.unwrap();
    dump::plan(&plan, &parsed.text) + &render(&plan.warnings, parsed)
}

/// Options for each platform that is asked for.
fn for_platforms(text: &str) -> Vec<Options> {
    let options = read_options(text);
    let asked = text.lines().find_map(|line| line.strip_prefix("platform="));
    let Some(asked) = asked else {
        return vec![options];
    };
    let platforms: Vec<_> = asked.split(',').collect();
    let for_one = |platform: &&str| {
        let mut options = options.clone();
        let (os, architecture) = platform.split_once('/').unwrap();
        os.clone_into(&mut options.platform.os);
        architecture.clone_into(&mut options.platform.architecture);
        options.names_platforms = platforms.len() > 1;
        options
    };
    platforms.iter().map(for_one).collect()
}

/// As if there were every image, of one layer and with nothing in its configuration.
fn any(request: &ImageRequest) -> BaseImage {
    BaseImage {
        id: format!("id of {}", request.reference),
        platform: request.platform.clone(),
        has_layers: true,
        ..BaseImage::default()
    }
}

/// The plan, as if there were every image, and the findings.
fn project(parsed: &Parsed, options: &Options) -> String {
    match plan(parsed, options, |request| Some(any(request))) {
        Ok(plan) => dump::plan(&plan, &parsed.text) + &check(parsed, options),
        Err(errors) => errors,
    }
}

/// The files that can be included: `include=NAME=TEXT`, with `\n` for line breaks.
fn included(options: &str) -> BTreeMap<&str, String> {
    let lines = options
        .lines()
        .filter_map(|line| line.strip_prefix("include="));
    lines
        .map(|line| {
            let (name, text) = line.split_once('=').unwrap();
            (name, text.replace("\\n", "\n"))
        })
        .collect()
}

fn read_options(text: &str) -> Options {
    let mut options = images::options();
    for line in text.lines() {
        let (key, value) = line.split_once('=').unwrap();
        let (name, rest) = value
            .split_once('=')
            .map_or((value, None), |(name, rest)| (name, Some(rest.to_owned())));
        match key {
            // Which row of `rows.txt` it is a case of, and what is read with the file. Of several platforms each has
            // options of its own.
            "row" | "platform" | "include" => {}
            "target" => options.target = Some(value.to_owned()),
            "arg" => options.build_args.push((name.to_owned(), rest)),
            "label" => options.labels.push((name.to_owned(), rest.unwrap())),
            "context" => {
                let (name, value) = value.split_once('=').unwrap();
                let context = match value.strip_prefix("docker-image://") {
                    Some(image) => NamedContext::Image(image.to_owned()),
                    None => NamedContext::Directory,
                };
                let name = frontend::context_name(name).unwrap();
                options.contexts.insert(name, context);
            }
            "allow" => {
                let known = [Entitlement::NetworkHost, Entitlement::SecurityInsecure];
                let given = known.into_iter().find(|known| known.name() == value);
                options.entitlements.insert(given.unwrap());
            }
            "network" if value == "host" => options.network = Network::Host,
            _ => panic!("unknown option `{line}`"),
        }
    }
    options
}
