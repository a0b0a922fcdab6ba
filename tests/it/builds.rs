//! The record of builds, and why their steps ran.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use testkit::command;
use testkit::context::Context;
use testkit::rbuild::Rbuild;

use crate::{interruption, rbuild};

/// What a command writes as JSON, one object a line.
#[track_caller]
fn objects(rbuild: &Rbuild, args: &[&str]) -> Vec<Value> {
    let text = rbuild.run(args).succeeded().to_owned();
    let object = |line: &str| serde_json::from_str(line).expect("an object a line");
    text.lines().map(object).collect()
}

#[track_caller]
fn builds(rbuild: &Rbuild) -> Vec<Value> {
    objects(rbuild, &["builds", "ls", "--format=json"])
}

#[track_caller]
fn inspect(rbuild: &Rbuild, build: &str) -> Value {
    let outcome = rbuild.run(["builds", "inspect", "--format=json", build]);
    serde_json::from_str(outcome.succeeded()).expect("an object")
}

/// The reasons for a step of the last build to run, each as `NAME: BEFORE -> AFTER` or what is known of that.
#[track_caller]
fn reasons(rbuild: &Rbuild, step: &str) -> Vec<String> {
    let explained = objects(rbuild, &["explain", "--format=json", step]);
    assert_eq!(explained.len(), 1, "{explained:?}");
    let reasons = explained[0]["Reasons"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let reason = |reason: &Value| match text(&reason["Kind"]).as_str() {
        "file" => format!("{} {}", text(&reason["Name"]), text(&reason["Change"])),
        "part" => format!(
            "{}: {} -> {}",
            text(&reason["Name"]),
            text(&reason["Before"]),
            text(&reason["After"])
        ),
        "step" => format!("after {}", text(&reason["Name"])),
        kind => kind.to_owned(),
    };
    reasons.iter().map(reason).collect()
}

#[test]
fn every_build_is_remembered_however_it_ends() {
    let rbuild = rbuild();
    let context = Context::new("FROM @busybox AS base\nRUN echo one\nRUN test ! -e /fail\n");
    rbuild.build(context.path(), &["-t", "named", "--target=base"]);
    rbuild.build(context.path(), &[]);
    context.dockerfile("FROM @busybox\nRUN echo one\nRUN echo seen && exit 3\n");
    rbuild.try_build(context.path(), &[]).failed_with(1);
    context.dockerfile("FROM nothing/here:at-all AS\n");
    rbuild.try_build(context.path(), &[]).failed_with(1);

    let listed = builds(&rbuild);
    let outcomes: Vec<_> = listed
        .iter()
        .map(|build| build["Outcome"].as_str())
        .collect();
    let (failed, completed) = (Some("failed"), Some("completed"));
    assert_eq!(outcomes, [failed, failed, completed, completed]);
    let share = |build: &Value| (build["CachedSteps"].clone(), build["Steps"].clone());
    assert_eq!(share(&listed[2]), (3.into(), 3.into()));
    assert_eq!(listed[3]["Tags"][0], "docker.io/library/named:latest");
    assert_eq!(listed[3]["Target"], "base");
    assert!(
        listed[3]["Image"]
            .as_str()
            .is_some_and(|id| id.starts_with("sha256:"))
    );

    let second = inspect(&rbuild, "^1");
    assert_eq!(second["ID"], listed[1]["ID"]);
    let rows = second["Rows"].as_array().expect("a list");
    let row = |part: &str| {
        let found = rows
            .iter()
            .find(|row| row["Name"].as_str().is_some_and(|name| name.contains(part)));
        found.unwrap_or_else(|| panic!("no row `{part}` in {second:#}"))
    };
    assert_eq!(row("echo one")["Result"], "cached");
    assert_eq!(row("echo seen")["Result"], "failed");
    assert_eq!(row("echo seen")["Line"], 3);
    assert!(
        row("echo seen")["Detail"]
            .as_str()
            .is_some_and(|text| text.contains("exit code: 3"))
    );
}

#[test]
fn a_build_that_is_stopped_is_remembered_with_what_it_did() {
    let rbuild = rbuild();
    let (mut child, _context) = interruption::start(&rbuild, "2005.5");
    command::must("kill", &["-s", "INT", &child.id().to_string()]);
    child.wait().expect("a child can be waited for");
    let build = inspect(&rbuild, "^0");
    assert_eq!(build["Outcome"], "cancelled");
    let rows = build["Rows"].as_array().expect("a list");
    let last = rows.last().expect("a row");
    assert_eq!(
        (&last["Line"], last["Seconds"].is_f64()),
        (&3.into(), false)
    );
    rbuild.assert_nothing_half_made();
}

#[test]
fn a_build_that_is_killed_leaves_the_record_as_it_was() {
    let rbuild = rbuild();
    let (mut child, context) = interruption::start(&rbuild, "2006.5");
    child.kill().expect("the child is ours");
    child.wait().expect("a child can be waited for");
    assert_eq!(builds(&rbuild), [Value::Null; 0]);
    context.dockerfile("FROM @busybox\nRUN echo done > /done\n");
    rbuild.build(context.path(), &[]);
    assert_eq!(builds(&rbuild).len(), 1);
    rbuild.run(["store", "check"]).succeeded();
}

#[test]
fn output_is_kept_in_full() {
    let rbuild = rbuild();
    let context = Context::new(
        "FROM @busybox\nRUN seq 1 200000\nRUN printf 'no line end'; printf 'complaint\\n' >&2\n",
    );
    rbuild.build(context.path(), &[]);
    let numbers: Vec<_> = (1..=200_000)
        .map(|number: u32| number.to_string())
        .collect();
    let expected = numbers.join("\n") + "\n";
    let output = rbuild.run(["builds", "logs", "--step", "2"]);
    assert!(output.succeeded() == expected, "other lines");
    let all = rbuild.run(["builds", "logs"]);
    let all = all.succeeded();
    for part in ["RUN seq 1 200000\n", " 200000\n", " no line end"] {
        assert!(all.contains(part), "no `{part}`");
    }
    let other = rbuild.run(["builds", "logs", "--step", "nothing"]);
    other.says(&["no step of the build is `nothing`", "RUN seq 1 200000"]);
    other.failed_with(1);
    let store = fs::read_dir(rbuild.store().join("build-logs-v1")).expect("a directory");
    let sizes: u64 = store
        .map(|log| log.expect("a file").metadata().expect("there").len())
        .sum();
    assert!(sizes < expected.len() as u64 / 2, "{sizes} bytes");
}

#[test]
fn secrets_are_masked_in_what_is_remembered() {
    let rbuild = rbuild();
    let context = Context::new(
        "FROM @busybox\nRUN --mount=type=secret,id=token cat /run/secrets/token; exit 1\n",
    )
    .with("token", "hunter2-hunter2\n");
    let secret = format!("--secret=id=token,src={}", context.join("token").display());
    rbuild.try_build(context.path(), &[&secret]).failed_with(1);
    let logs = rbuild.run(["builds", "logs", "--step", "2"]);
    assert_eq!(logs.succeeded(), "*****\n");
    for args in [
        &["builds", "inspect", "--format=json"][..],
        &["explain", "--format=json"],
    ] {
        let told = rbuild.run(args);
        assert!(!told.succeeded().contains("hunter2"), "{}", told.stdout);
    }
}

#[test]
fn builds_are_forgotten_when_that_is_wished() {
    let rbuild = rbuild();
    rbuild
        .run(["builds", "inspect"])
        .says(&["no build is remembered"])
        .failed_with(1);
    let context = Context::new("FROM @busybox\nRUN echo one\n");
    for _ in 0..3 {
        rbuild.build(context.path(), &[]);
    }
    let listed = builds(&rbuild);
    let id = |number: usize| listed[number]["ID"].as_str().expect("an id");
    rbuild.run(["builds", "rm", &id(1)[..8]]).succeeded();
    rbuild
        .run(["builds", "inspect", id(1)])
        .says(&["no such build"])
        .failed_with(1);
    assert_eq!(builds(&rbuild).len(), 2);
    rbuild.run(["prune", "--force"]).succeeded();
    assert_eq!(builds(&rbuild).len(), 2);
    rbuild.run(["prune", "--force", "--all"]).succeeded();
    assert_eq!(builds(&rbuild).len(), 0);
    rbuild.build(context.path(), &[]);
    rbuild.run(["builds", "rm", "--all"]).succeeded();
    assert_eq!(builds(&rbuild).len(), 0);
    rbuild.run(["store", "check"]).succeeded();
}

const DOCKERFILE: &str = "FROM @busybox AS base\nARG VERSION=1\nENV KEPT=x\nCOPY src /src\nRUN echo $VERSION > /v\n\
    FROM base\nCOPY --from=base /src /copied\nRUN --mount=type=bind,source=mounted,target=/m cat /m/a\n";

fn context() -> Context {
    Context::new(DOCKERFILE)
        .with("src/a", "a")
        .with("src/b", "b")
        .with("mounted/a", "m")
}

#[test]
fn what_changed_is_named() {
    type Change = fn(&Context);
    let bytes: Change = |context| context.write("src/a", "A");
    let mode: Change = |context| {
        fs::set_permissions(context.join("src/a"), Permissions::from_mode(0o755)).expect("ours");
    };
    let addition: Change = |context| context.write("src/new", "");
    let removal: Change = |context| fs::remove_file(context.join("src/b")).expect("there");
    let link: Change = |context| {
        fs::remove_file(context.join("src/a")).expect("there");
        std::os::unix::fs::symlink("b", context.join("src/a")).expect("free");
    };
    let mounted: Change = |context| context.write("mounted/a", "M");
    let command: Change = |context| context.dockerfile(&DOCKERFILE.replace("cat /m/a", "cat /m/b"));
    let variable: Change = |context| context.dockerfile(&DOCKERFILE.replace("KEPT=x", "KEPT=y"));
    let instruction: Change =
        |context| context.dockerfile(&DOCKERFILE.replace("COPY src /src", "WORKDIR /src"));
    let copied = "after [base 2/3] COPY src /src";
    let cases: [(&str, Change, &str, &[&str]); 9] = [
        ("content", bytes, "COPY src", &["src/a content"]),
        ("mode", mode, "COPY src", &["src/a mode"]),
        ("addition", addition, "COPY src", &["src/new added"]),
        ("removal", removal, "COPY src", &["src/b removed"]),
        ("link", link, "COPY src", &["src/a kind"]),
        ("step", bytes, "> /v", &[copied]),
        ("mounted", mounted, "cat /m/", &["mounted/a content"]),
        (
            "command",
            command,
            "cat /m/",
            &["command: /bin/sh -c cat /m/a -> /bin/sh -c cat /m/b"],
        ),
        ("variable", variable, "> /v", &["variable KEPT: x -> y"]),
    ];
    for (name, change, step, expected) in cases {
        let (rbuild, context) = (rbuild(), context());
        rbuild.build(context.path(), &[]);
        change(&context);
        rbuild.try_build(context.path(), &[]);
        assert_eq!(reasons(&rbuild, step), expected, "{name}");
    }
    let (rbuild, context) = (rbuild(), context());
    rbuild.build(context.path(), &[]);
    assert_eq!(reasons(&rbuild, "COPY src"), ["new"]);
    rbuild.build(context.path(), &["--build-arg=VERSION=2"]);
    assert_eq!(reasons(&rbuild, "> /v"), ["variable VERSION: 1 -> 2"]);
    assert_eq!(reasons(&rbuild, "COPY src"), [""; 0]);
    instruction(&context);
    rbuild.try_build(context.path(), &[]);
    assert_eq!(
        reasons(&rbuild, "WORKDIR /src"),
        ["instruction: COPY or ADD -> WORKDIR"]
    );
}

#[test]
fn a_changed_base_image_is_named_by_its_digests() {
    let rbuild = rbuild();
    let base = Context::new("FROM @busybox\nRUN echo 1 > /v\n");
    rbuild.build(base.path(), &["-t", "base"]);
    let context = Context::new("FROM base\nRUN cat /v\n");
    rbuild.build(context.path(), &[]);
    base.dockerfile("FROM @busybox\nRUN echo 2 > /v\n");
    rbuild.build(base.path(), &["-t", "base"]);
    rbuild.build(context.path(), &[]);
    let image = reasons(&rbuild, "1/2");
    assert_eq!(image.len(), 1, "{image:?}");
    let (before, after) = image[0].split_once(" -> ").expect("a change");
    let before = before.strip_prefix("image docker.io/library/base:latest: ");
    assert!(
        before.is_some_and(|id| id.starts_with("sha256:")),
        "{image:?}"
    );
    assert!(after.starts_with("sha256:"), "{image:?}");
    assert_eq!(
        reasons(&rbuild, "2/2"),
        ["after [1/2] FROM docker.io/library/base:latest"]
    );
}

#[test]
fn the_same_files_elsewhere_are_compared_too() {
    let rbuild = rbuild();
    rbuild.build(context().path(), &[]);
    let other = context();
    other.write("src/a", "A");
    rbuild.build(other.path(), &[]);
    assert_eq!(reasons(&rbuild, "COPY src"), ["src/a content"]);
}

#[test]
fn a_build_without_cache_and_lost_results_are_told_apart() {
    let (rbuild, context) = (rbuild(), context());
    rbuild.build(context.path(), &[]);
    rbuild.build(context.path(), &["--no-cache"]);
    assert_eq!(reasons(&rbuild, "COPY src"), ["disabled"]);
    fs::remove_dir_all(rbuild.store().join("actions-v1")).expect("removed");
    fs::remove_dir_all(rbuild.store().join("contents-v1")).expect("removed");
    rbuild.build(context.path(), &[]);
    assert_eq!(reasons(&rbuild, "COPY src"), ["lost"]);
}

#[test]
fn a_failed_step_is_compared_with_its_last_result() {
    let (rbuild, context) = (rbuild(), context());
    rbuild.build(context.path(), &[]);
    context.dockerfile(&DOCKERFILE.replace("cat /m/a", "false"));
    for _ in 0..2 {
        rbuild.try_build(context.path(), &[]).failed_with(1);
        assert_eq!(
            reasons(&rbuild, "RUN --mount"),
            ["command: /bin/sh -c cat /m/a -> /bin/sh -c false"]
        );
    }
}
