//! Builds that are not made, and builds that are made twice.

use testkit::context::Context;

use crate::rbuild;

/// What `--dry-run` says would become of the step whose name has this part.
#[track_caller]
fn fate(text: &str, part: &str) -> String {
    let line = text.lines().find(|line| line.contains(part));
    let line = line.unwrap_or_else(|| panic!("no step `{part}` in {text}"));
    line.split("   ").next().unwrap_or_default().to_owned()
}

#[test]
fn a_dry_run_tells_what_would_run_and_runs_nothing() {
    let rbuild = rbuild();
    let context =
        Context::new("FROM @busybox\nCOPY a /a\nRUN cat /a > /b\nRUN cat /b\nCOPY c /c\n")
            .with("a", "1")
            .with("c", "3");
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let dry_run = |flags: &[&str]| {
        let args = ["build", "--progress=none", "--dry-run"];
        let outcome = rbuild.run(args.iter().chain(flags).chain(&[path]));
        outcome.succeeded().to_owned()
    };
    let steps = ["COPY a", "RUN cat /a", "RUN cat /b", "COPY c"];
    let fates = |text: &str| steps.map(|step| fate(text, step));
    assert_eq!(fates(&dry_run(&[])), ["run: it is new"; 4]);
    assert_eq!(rbuild.run(["builds", "ls", "-q"]).succeeded(), "");
    rbuild.build(context.path(), &["-t", "first"]);
    let cached = dry_run(&[]);
    assert_eq!(fate(&cached, "COPY c"), "be cached");
    assert_eq!(fate(&cached, "RUN cat /b"), "not be needed");
    assert!(cached.contains("0 of 5 steps would run"), "{cached}");
    context.write("a", "2");
    let changed = dry_run(&[]);
    let open = "run, unless it reads the same files";
    assert_eq!(fates(&changed), ["run: it is new", open, open, open]);
    assert!(
        !fate(&changed, "RUN cat /a").is_empty() && !changed.contains("unknown"),
        "{changed}"
    );
    assert_eq!(fates(&dry_run(&["--no-cache"])), ["run: without cache"; 4]);
    // A change that comes to the same.
    context.write("a", "1");
    context.dockerfile("FROM @busybox\nCOPY c /c\nCOPY a /a\n");
    let moved = dry_run(&[]);
    assert_eq!(fate(&moved, "COPY c"), "be cached: it reads the same files");
    let bad = context.join("none");
    let bad = bad.to_str().expect("scratch paths are UTF-8");
    rbuild.run(["build", "--dry-run", bad]).failed_with(1);
}

#[test]
fn a_build_that_is_reproducible_is_verified() {
    let rbuild = rbuild();
    let context = Context::new("FROM @busybox\nCOPY a /a\nRUN cat /a > /b\n").with("a", "1");
    let flags = [
        "--verify",
        "--build-arg=SOURCE_DATE_EPOCH=1000",
        "-t",
        "twice",
    ];
    rbuild.build(context.path(), &flags);
    let run = rbuild.run(["run", "--rm", "twice", "cat", "/b"]);
    assert_eq!(run.succeeded(), "1");
}

#[test]
fn the_first_path_that_differs_is_told_with_what_about_it() {
    let random = "$(head -c 8 /dev/urandom | od -An -tx1 | tr -d ' \\n')";
    let cases = [
        (
            format!("mkdir /d && echo {random} > /d/x && touch /z"),
            "`/d/x`",
            "bytes:",
        ),
        (
            format!("mkdir /d && touch /d/{random}"),
            "`/d/",
            "presence:",
        ),
        (format!("ln -s {random} /l"), "`/l`", "target:"),
    ];
    for (command, path, aspect) in cases {
        let rbuild = rbuild();
        let context = Context::new(&format!("FROM @busybox\nRUN {command}\n"));
        let flags = [
            "--verify",
            "--build-arg=SOURCE_DATE_EPOCH=1000",
            "-t",
            "twice",
        ];
        let outcome = rbuild.try_build(context.path(), &flags);
        outcome.says(&["two builds differ in the layer of `RUN", path, aspect]);
        outcome.failed_with(1);
        rbuild.run(["inspect", "twice"]).failed_with(1);
    }
}

#[test]
fn times_count_when_nothing_else_differs() {
    let rbuild = rbuild();
    // Two seconds are never the same, and the time of a file can be set.
    let context =
        Context::new("FROM @busybox\nRUN touch -d @$(cut -d. -f1 /proc/uptime) /t && sleep 1.1\n");
    let outcome = rbuild.try_build(context.path(), &["--verify"]);
    outcome.says(&["modified:", "SOURCE_DATE_EPOCH"]);
    outcome.failed_with(1);
}

#[test]
fn the_graph_shows_stages_that_the_target_does_not_need() {
    let rbuild = rbuild();
    let context = Context::new(
        "FROM @busybox AS base\nRUN echo base\nFROM nowhere.example/unknown:1 AS unused\nRUN echo unused\n\
         FROM base\nCOPY --from=base /bin /b\nRUN --mount=from=base,target=/m ls /m\n",
    );
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let graph = |format: &str| {
        let outcome = rbuild.run(["graph", "--progress=none", "--format", format, path]);
        outcome.succeeded().to_owned()
    };
    let drawn: serde_json::Value = serde_json::from_str(&graph("json")).expect("an object");
    let steps = drawn["Steps"].as_array().expect("a list");
    let number = |part: &str| {
        let is_it = |step: &serde_json::Value| {
            step["Name"]
                .as_str()
                .is_some_and(|name| name.contains(part))
        };
        steps
            .iter()
            .position(is_it)
            .unwrap_or_else(|| panic!("no step `{part}` in {drawn:#}"))
    };
    let (base, unused, copy, run) = (
        number("echo base"),
        number("echo unused"),
        number("COPY"),
        number("ls /m"),
    );
    assert_eq!(steps[unused]["Needed"], false);
    assert_eq!(steps[unused]["Line"], 4);
    assert_eq!(
        (&steps[base]["Needed"], &steps[run]["Target"]),
        (&true.into(), &true.into())
    );
    let edges = drawn["Edges"].as_array().expect("a list");
    for (from, to, kind) in [
        (base, copy, "extends"),
        (base, copy, "copies"),
        (copy, run, "extends"),
        (base, run, "mounts"),
    ] {
        let edge = serde_json::json!({"From": from, "To": to, "Kind": kind});
        assert!(edges.contains(&edge), "no {edge} in {drawn:#}");
    }
    assert!(graph("dot").starts_with("digraph build {"));
    assert!(graph("mermaid").starts_with("flowchart TD"));
    assert!(graph("svg").starts_with("<svg "));
    assert_eq!(
        rbuild.run(["images", "-q"]).succeeded(),
        "",
        "nothing is fetched"
    );
}
