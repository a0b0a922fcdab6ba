//! What the language has here and nowhere else.

use std::os::unix::fs::PermissionsExt;

use testkit::context::Context;
use testkit::progress::Progress;
use testkit::rbuild::Rbuild;

use crate::rbuild;

/// Builds and says which steps ran.
#[track_caller]
fn ran<'a>(rbuild: &Rbuild, context: &Context, flags: &[&str], steps: &[&'a str]) -> Vec<&'a str> {
    Progress::parse(&rbuild.build(context.path(), flags)).ran(steps)
}

/// What `--dry-run` says.
#[track_caller]
fn dry_run(rbuild: &Rbuild, context: &Context) -> String {
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let outcome = rbuild.run(["build", "--progress=none", "--dry-run", path]);
    outcome.succeeded().to_owned()
}

/// What `explain` says of a step.
#[track_caller]
fn explained(rbuild: &Rbuild, step: &str) -> String {
    rbuild.run(["explain", step]).succeeded().to_owned()
}

#[test]
fn a_step_without_cache_always_runs_and_its_content_decides_about_the_rest() {
    let rbuild = rbuild();
    let random = "head -c 8 /dev/urandom | od -An -tx1";
    let context = Context::new(&format!(
        "FROM @busybox\nRUN --no-cache echo same > /same\nRUN cat /same\n\
         RUN --no-cache {random} > /other\nRUN cat /other\n"
    ));
    let steps = ["echo same", "cat /same", random, "cat /other"];
    assert_eq!(ran(&rbuild, &context, &[], &steps), steps);
    let again = ran(&rbuild, &context, &[], &steps);
    assert_eq!(again, ["echo same", random, "cat /other"]);
    let told = explained(&rbuild, "echo same");
    assert!(told.contains("(`RUN --no-cache`)"), "{told}");
    let foreseen = dry_run(&rbuild, &context);
    assert!(
        foreseen.contains("run: it runs in every build"),
        "{foreseen}"
    );
    // Without the flag it is the same step.
    context.dockerfile("FROM @busybox\nRUN echo same > /same\nRUN cat /same\n");
    assert_eq!(ran(&rbuild, &context, &[], &steps[..2]), [""; 0]);
}

#[test]
fn a_result_is_used_for_as_long_as_it_is_good() {
    let rbuild = rbuild();
    let dockerfile = |ttl: &str| {
        format!("FROM @busybox\nRUN --cache-ttl={ttl} echo list > /list\nRUN cat /list\n")
    };
    let context = Context::new(&dockerfile("4w"));
    let steps = ["echo list", "cat /list"];
    assert_eq!(ran(&rbuild, &context, &[], &steps), steps);
    assert_eq!(ran(&rbuild, &context, &[], &steps), [""; 0]);
    // However fast this machine is, more than a nanosecond has passed.
    context.dockerfile(&dockerfile("1ns"));
    let foreseen = dry_run(&rbuild, &context);
    assert!(
        foreseen.contains("run: its result is too old"),
        "{foreseen}"
    );
    assert_eq!(ran(&rbuild, &context, &[], &steps), ["echo list"]);
    let told = explained(&rbuild, "echo list");
    assert!(told.contains("older than its `--cache-ttl`"), "{told}");
    context.dockerfile(&dockerfile("4w"));
    assert_eq!(ran(&rbuild, &context, &[], &steps), [""; 0]);
}

#[test]
fn files_that_are_not_there_are_skipped_where_that_is_said() {
    let rbuild = rbuild();
    let context = Context::new(
        "FROM @busybox AS base\nFROM @busybox\n\
         COPY --if-exists there missing ignored /both/\n\
         COPY --if-exists missing /nowhere/\n\
         COPY --from=base --if-exists /bin/sh /none /from/\n\
         ADD --if-exists missing.tar /nowhere/\n\
         CMD [\"sh\", \"-c\", \"ls /both /from; test ! -e /nowhere\"]\n",
    )
    .with("there", "1")
    .with("ignored", "2")
    .with(".dockerignore", "ignored\n");
    rbuild.build(context.path(), &["-t", "some"]);
    let listed = rbuild.run(["run", "--rm", "some"]);
    assert_eq!(listed.succeeded(), "/both:\nthere\n\n/from:\nsh\n");
    // One that appears is a change; the same file without the flag is an error when it goes.
    context.write("missing", "3");
    let steps = ["COPY --if-exists there", "COPY --if-exists missing"];
    assert_eq!(ran(&rbuild, &context, &[], &steps), steps);
    context.dockerfile("FROM @busybox\nCOPY nothing /nowhere/\n");
    let outcome = rbuild.try_build(context.path(), &[]);
    outcome.says(&["nothing"]).failed_with(1);
    context.dockerfile(
        "FROM @busybox AS base\nFROM @busybox\nCOPY --from=base --if-exists /none /d/\n",
    );
    rbuild.build(context.path(), &[]);
    context.dockerfile("FROM @busybox AS base\nFROM @busybox\nCOPY --from=base /none /d/\n");
    rbuild.try_build(context.path(), &[]).failed_with(1);
}

#[test]
fn a_secret_that_is_part_of_the_key_runs_its_step_again_when_it_changes() {
    const FIRST: &str = "correct-horse-battery-staple";
    let rbuild = rbuild();
    let context = Context::new(
        "FROM @busybox\n\
         RUN --mount=type=secret,id=token,cache-key=true wc -c < /run/secrets/token > /keyed\n\
         RUN --mount=type=secret,id=token wc -c < /run/secrets/token > /plain\n",
    );
    let steps = ["/keyed", "/plain"];
    let hidden = testkit::scratch();
    let file = hidden.path().join("token");
    let flag = format!("--secret=id=token,src={}", file.display());
    let ran = |value: &str| {
        std::fs::write(&file, value).expect("the scratch directory can be written");
        ran(&rbuild, &context, &[&flag], &steps)
    };
    assert_eq!(ran(FIRST), steps);
    assert_eq!(ran(FIRST), [""; 0]);
    // It is as long as before, so what follows reads the same.
    assert_eq!(ran("another-horse-battery-staple"), ["/keyed"]);
    let told = explained(&rbuild, "/keyed");
    assert!(told.contains("secret token"), "{told}");
    assert_eq!(ran(FIRST), [""; 0]);
    // What is kept does not tell it, and neither does its hash without the key.
    crate::secrets::assert_absent(FIRST, rbuild.store());
    let key = rbuild.store().join("hashing-key");
    let mode = std::fs::metadata(key)
        .expect("there is a key")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn layers_from_a_stage_or_step_on_become_one() {
    let rbuild = rbuild();
    let context = Context::new(
        "FROM @busybox AS tools\n\
         RUN echo one > /one && echo big > /big\n\
         FROM tools AS final\n\
         RUN rm /big && mkdir /d && echo two > /d/two\n\
         ENV A=b\n\
         COPY three /d/\n\
         RUN rm /d/two /bin/vi && echo 1 > /one\n",
    )
    .with("three", "3");
    let command = "cat /one /d/three; ls /d; test ! -e /big; test ! -e /bin/vi";
    let layers = |name: &str| {
        let inspected = rbuild.run(["inspect", name]);
        let inspected: serde_json::Value =
            serde_json::from_str(inspected.succeeded()).expect("an object");
        let layers = inspected[0]["RootFS"]["Layers"].as_array().cloned();
        layers.expect("a list")
    };
    let build = |name: &str, flags: &[&str]| {
        let flags = [&["-t", name], flags].concat();
        rbuild.build(context.path(), &flags);
        let run = rbuild.run(["run", "--rm", name, "sh", "-ec", command]);
        assert_eq!(run.succeeded(), "1\n3three\n", "{name}");
        layers(name)
    };
    let whole = build("whole", &[]);
    let steps = 4;
    let base = whole.len() - steps;
    for (name, from, squashed) in [
        ("all", "tools", 4),
        ("stage", "FINAL", 3),
        ("step", "COPY three", 2),
        ("last", "rm /d/two", 1),
    ] {
        let flag = format!("--squash-from={from}");
        let one = build(name, &[&flag]);
        let kept = base + steps - squashed;
        assert_eq!(one.len(), kept + 1, "{name}");
        assert_eq!(one[..kept], whole[..kept], "{name}");
        // It is made once, and the image is the same.
        assert_eq!(build("again", &[&flag]), one);
        let id = |name| {
            rbuild
                .run(["images", "-q", "--no-trunc", name])
                .succeeded()
                .to_owned()
        };
        assert_eq!(id("again"), id(name));
        let history = rbuild.run(["history", "--no-trunc", name]);
        let tells = history.succeeded().contains("--squash-from=");
        assert_eq!(tells, squashed > 1, "{name}: {}", history.stdout);
    }
    for nothing in ["FROM", "nonsense"] {
        let flag = format!("--squash-from={nothing}");
        rbuild.try_build(context.path(), &[&flag]).failed_with(1);
    }
}

#[test]
fn files_are_included_from_where_the_dockerfile_is_and_from_nowhere_else() {
    let rbuild = rbuild();
    let context = Context::new("")
        .with("docker/part", "RUN echo part > /part\n# include deep/more")
        .with("docker/deep/more", "RUN echo more > /more\n")
        .with("above", "RUN echo above\n")
        .with_link("docker/out", "../above");
    let file = context.join("docker/Dockerfile");
    let file = file.to_str().expect("scratch paths are UTF-8");
    let write = |text: &str| {
        context.dockerfile(text);
        std::fs::rename(context.join("Dockerfile"), file).expect("both are in the context");
    };
    write(
        "# rbuild=extensions\nFROM @busybox\n# include part\nCMD [\"cat\", \"/part\", \"/more\"]\n",
    );
    rbuild.build(context.path(), &["-f", file, "-t", "both"]);
    let run = rbuild.run(["run", "--rm", "both"]);
    assert_eq!(run.succeeded(), "part\nmore\n");
    // A mistake is told with its own file and line.
    context.write("docker/deep/more", "RUN true\nRNU x\n");
    let outcome = rbuild.try_build(context.path(), &["-f", file]);
    outcome
        .says(&["docker/deep/more:2:1", "RNU"])
        .failed_with(1);
    for (path, why) in [
        ("out", "leads out of the directory"),
        ("../above", "not below the directory"),
        ("deep", "not a regular file"),
        ("none", "it is not there"),
    ] {
        write(&format!(
            "# rbuild=extensions\nFROM @busybox\n# include {path}\n"
        ));
        let outcome = rbuild.try_build(context.path(), &["-f", file]);
        outcome.says(&[why]).failed_with(1);
    }
    // Whoever does not ask for it has a comment.
    write("FROM @busybox\n# include none\nRUN true\n");
    rbuild.build(context.path(), &["-f", file]);
}

/// A server that gives what the step wants once it has made it, a while after it runs.
const SERVER: &str = "FROM @busybox AS web\n\
    ENV GREETING=hello\n\
    HEALTHCHECK --start-interval=100ms --retries=600 CMD test -e /www/ready\n\
    CMD sleep 1 && mkdir /www && echo $GREETING > /www/ready && exec httpd -f -p 80 -h /www\n";

#[test]
fn a_service_runs_beside_its_step_and_ends_with_it() {
    let rbuild = rbuild();
    let context = Context::new(&format!(
        "{SERVER}FROM @busybox AS idle\nCMD sleep 1000\nFROM @busybox\n\
         RUN --service=web wget -q -O /got http://web/ready && wget -q -O - http://127.0.0.1/ready\n\
         RUN --service=site,image=web --service=other,image=idle true && grep -c 127.0.0.1 /etc/hosts > /hosts\n\
         CMD [\"sh\", \"-c\", \"cat /got /hosts; test ! -e /www\"]\n"
    ));
    let steps = ["--service=web", "--service=site"];
    assert_eq!(ran(&rbuild, &context, &["-t", "served"], &steps), steps);
    let run = rbuild.run(["run", "--rm", "served"]);
    assert_eq!(run.succeeded(), "hello\n3\n");
    rbuild.assert_nothing_mounted();
    assert_eq!(ran(&rbuild, &context, &[], &steps), [""; 0]);
    // What it runs on and how it runs is part of the step.
    context.dockerfile(&format!(
        "{}FROM @busybox\nRUN --service=web wget -q -O - http://web/ready\n",
        SERVER.replace("hello", "goodbye")
    ));
    assert_eq!(ran(&rbuild, &context, &[], &steps[..1]), &steps[..1]);
}

#[test]
fn a_service_that_fails_is_told_with_what_it_said() {
    let rbuild = rbuild();
    let cases = [
        (
            "HEALTHCHECK CMD false\nCMD echo about to end && exit 7\n",
            "true",
            &[
                "ended before the command began: exit code: 7",
                "about to end",
            ][..],
        ),
        (
            "HEALTHCHECK --interval=10ms --retries=1 CMD while ! test -e /said; do sleep 0.1; done; false\n\
             CMD echo never ready; touch /said; sleep 1000\n",
            "true",
            &["`bad` is not healthy", "never ready"],
        ),
        (
            "HEALTHCHECK --start-interval=100ms --retries=600 CMD test -e /said\n\
             CMD echo I am here; touch /said; sleep 1000\n",
            "exit 3",
            &["did not complete successfully: exit code: 3", "I am here"],
        ),
    ];
    for (service, command, said) in cases {
        let context = Context::new(&format!(
            "FROM @busybox AS bad\n{service}FROM @busybox\nRUN --service=bad {command}\n"
        ));
        let outcome = rbuild.try_build(context.path(), &[]);
        outcome.says(said).failed_with(1);
        rbuild.assert_nothing_mounted();
    }
}

#[test]
fn extensions_are_announced_and_the_notes_can_be_turned_off() {
    let rbuild = rbuild();
    let context = Context::new("FROM @busybox\nRUN --no-cache true\nCOPY --if-exists a /\n");
    let check = |flags: &[&str]| {
        let path = context.path().to_str().expect("scratch paths are UTF-8");
        rbuild.run(["build", "--check", path].iter().chain(flags))
    };
    let outcome = check(&[]);
    for rule in ["ExtensionNoCache", "ExtensionIfExists"] {
        assert!(outcome.stdout.contains(rule), "{}", outcome.stdout);
    }
    outcome.failed_with(1);
    let off = "BUILDKIT_DOCKERFILE_CHECK=skip=ExtensionNoCache,ExtensionIfExists";
    check(&["--build-arg", off]).succeeded();
    // A build says it, too.
    let outcome = rbuild.try_build(context.path(), &[]);
    outcome.says(&["`RUN --no-cache` is an extension of rbuild"]);
    outcome.succeeded();
}
