//! Bad input: one clear error each, at its place in the Dockerfile, and nothing left behind.

use testkit::command::{self, Outcome};
use testkit::context::Context;
use testkit::registry::Registry;
use testkit::supervise;

use crate::rbuild;

/// Builds what must fail; the store must be as if the build had never been.
#[track_caller]
fn refused(context: &Context, flags: &[&str]) -> Outcome {
    let rbuild = rbuild();
    let outcome = rbuild.try_build(context.path(), &[&["-t", "never"], flags].concat());
    outcome.failed_with(1);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    rbuild.assert_nothing_half_made();
    assert_eq!(
        rbuild.run(["images", "-q"]).succeeded(),
        "",
        "a failed build names no image"
    );
    outcome
}

#[test]
fn errors_of_the_dockerfile_show_line_and_caret() {
    // What is written, the line that is at fault, and what must be said of it.
    let cases: [(&str, u32, &[&str]); 15] = [
        ("FROM scratch\nCOPPY a b\n", 2, &["COPPY", "COPY"]),
        ("FROM scratch\nCOPY --chwon=1 a b\n", 2, &["chwon", "chown"]),
        ("FROM scratch\nCOPY onlyone\n", 2, &["COPY"]),
        (
            "FROM scratch\nRUN --mount=type=cahce,target=/x true\n",
            2,
            &["cahce", "cache"],
        ),
        (
            "FROM scratch\nRUN --mount=type=cache,tagret=/x true\n",
            2,
            &["tagret", "target"],
        ),
        (
            "FROM scratch\nCOPY <<a/b /dst/\nx\na/b\n",
            2,
            &["heredoc name `a/b`", "Dockerfile:2:6"],
        ),
        ("FROM scratch\nENV\n", 2, &["ENV"]),
        ("FROM scratch\nSHELL not json\n", 2, &["SHELL"]),
        (
            "FROM scratch\nHEALTHCHECK --interval=soon CMD x\n",
            2,
            &["soon"],
        ),
        ("FROM scratch\nSTOPSIGNAL SIGNOTHING\n", 2, &["SIGNOTHING"]),
        ("FROM scratch\nEXPOSE 99999\n", 2, &["99999"]),
        ("FROM scratch\nENV a=${b\n", 2, &["${b"]),
        ("RUN true\nFROM scratch\n", 1, &["FROM"]),
        (
            "FROM scratch AS one\nFROM scratch\nCOPY --from=tow / /\n",
            3,
            &["tow"],
        ),
        (
            "FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nFROM a\n",
            2,
            &["b"],
        ),
    ];
    for (dockerfile, line, parts) in cases {
        let outcome = refused(&Context::new(dockerfile), &[]);
        outcome
            .says(&[&format!("Dockerfile:{line}"), "^"])
            .says(parts);
    }
}

#[test]
fn an_unknown_target_is_named_with_the_nearest() {
    let context = Context::new("FROM scratch AS release\nLABEL a=b\n");
    refused(&context, &["--target=relaese"]).says(&["relaese", "release"]);
}

#[test]
fn a_stage_that_needs_itself_is_refused() {
    refused(
        &Context::new("FROM scratch AS loop\nCOPY --from=loop /a /a\n"),
        &[],
    )
    .says(&["Dockerfile:2", "loop"]);
}

#[test]
fn missing_sources_are_named() {
    let context =
        Context::new("FROM scratch\nCOPY there /\nCOPY missing.txt /\n").with("there", "x");
    refused(&context, &[]).says(&["Dockerfile:3", "missing.txt"]);
    let ignored = Context::new("FROM scratch\nCOPY hidden.txt /\n")
        .with("hidden.txt", "x")
        .with(".dockerignore", "hidden*\n");
    refused(&ignored, &[]).says(&["Dockerfile:2", "hidden.txt", ".dockerignore"]);
    let stage = Context::new("FROM @busybox AS s\nFROM scratch\nCOPY --from=s /not/there /\n");
    refused(&stage, &[]).says(&["Dockerfile:3", "/not/there"]);
}

#[test]
fn a_missing_dockerfile_or_context_is_named() {
    let context = Context::new("FROM scratch\n");
    refused(&context, &["-f", "no-such.Dockerfile"]).says(&["no-such.Dockerfile"]);
    let outcome = rbuild().try_build(&context.join("nowhere"), &[]);
    outcome.failed_with(1);
    outcome.says(&["nowhere"]);
}

#[test]
fn empty_huge_and_binary_dockerfiles_are_refused() {
    for empty in ["", "\n\n", "# only a comment\n"] {
        refused(&Context::new(empty), &[]).says(&["empty"]);
    }
    refused(&Context::new("ARG only=this\n"), &[]).says(&["Dockerfile"]);
    let binary = Context::new("");
    binary.write(
        "Dockerfile",
        std::fs::read("/bin/true").expect("coreutils are installed"),
    );
    refused(&binary, &[]).says(&["Dockerfile"]);
    let huge = Context::new("");
    huge.write(
        "Dockerfile",
        "FROM scratch\n".to_owned() + &"LABEL a=b\n".repeat(4 << 20),
    );
    refused(&huge, &[]).says(&["Dockerfile"]);
    let line = Context::new("");
    line.write(
        "Dockerfile",
        format!("FROM scratch\nLABEL a={}\n", "x".repeat(32 << 20)),
    );
    refused(&line, &[]).says(&["Dockerfile"]);
}

#[test]
fn a_registry_that_does_not_answer_is_named() {
    let nobody = format!("127.0.0.1:{}/library/busybox", supervise::free_port());
    let context = Context::new(&format!("FROM {nobody}\n"));
    refused(&context, &[]).says(&["Dockerfile:1", &nobody]);
}

#[test]
fn an_image_that_is_not_there_is_named() {
    let host = Registry::shared().host();
    refused(
        &Context::new(&format!("FROM {host}/library/nothing\n")),
        &[],
    )
    .says(&["Dockerfile:1", "library/nothing"]);
    let digest = format!("sha256:{}", "0".repeat(64));
    refused(
        &Context::new(&format!("FROM {host}/library/busybox@{digest}\n")),
        &[],
    )
    .says(&["Dockerfile:1", &digest]);
    refused(
        &Context::new(&format!("FROM {host}/library/busybox@sha256:short\n")),
        &[],
    )
    .says(&["Dockerfile:1", "sha256:short"]);
    refused(&Context::new("FROM UPPER/Case\n"), &[]).says(&["Dockerfile:1", "UPPER/Case"]);
}

#[test]
fn a_registry_that_serves_other_bytes_is_caught() {
    let registry = Registry::start();
    let image = registry.busybox();
    registry.corrupt_layers("library/busybox");
    let outcome = refused(&Context::new(&format!("FROM {image}\nRUN true\n")), &[]);
    outcome.says(&["digest"]);
}

#[test]
fn a_failing_run_is_reported_with_its_code_and_last_lines() {
    let context = Context::new(
        "FROM @busybox\nRUN true\nRUN echo the last words; exit 42\nRUN touch /after\n",
    );
    let outcome = refused(&context, &[]);
    outcome.says(&["Dockerfile:3", "the last words", "42", "exit 42"]);
    let signal = Context::new("FROM @busybox\nRUN sh -c 'kill -9 $$'; exit $?\n");
    refused(&signal, &[]).says(&["Dockerfile:2", "137"]);
    let absent = Context::new("FROM @busybox\nRUN [\"/no/such/program\"]\n");
    refused(&absent, &[]).says(&["Dockerfile:2", "/no/such/program"]);
    let user = Context::new("FROM @busybox\nUSER stranger\nRUN true\n");
    refused(&user, &[]).says(&["Dockerfile:3", "stranger"]);
}

#[test]
fn a_missing_secret_is_named_only_where_it_is_required() {
    let optional = Context::new(
        "FROM @busybox\nRUN --mount=type=secret,id=token test ! -e /run/secrets/token\n",
    );
    rbuild().build(optional.path(), &[]);
    let required = Context::new("FROM @busybox\nRUN --mount=type=secret,id=token,required true\n");
    refused(&required, &[]).says(&["Dockerfile:2", "token"]);
}

#[test]
fn unknown_flags_and_commands_are_named() {
    for (args, part) in [
        (vec!["build", "--no-cahce", "."], "no-cahce"),
        (vec!["build", "--progress=fancy", "."], "fancy"),
        (vec!["build", "-t", "Bad Name", "."], "Bad Name"),
        (vec!["build", "--output=type=paper,dest=x", "."], "paper"),
        (vec!["build", "--secret=id", "."], "id"),
        (vec!["rmi", "no-such-image"], "no-such-image"),
        (vec!["inspect", "no-such-thing"], "no-such-thing"),
        (vec!["load", "-i", "/no/such/archive"], "/no/such/archive"),
        (vec!["logs", "no-such-container"], "no-such-container"),
    ] {
        let outcome = rbuild().run(&args);
        outcome.failed_with(1);
        outcome.says(&[part]);
    }
}

#[test]
fn archives_that_are_none_are_refused_by_load() {
    let directory = testkit::scratch();
    let rbuild = rbuild();
    let script = "echo text > text; : > empty; head -c 4096 /dev/zero > zeros; mkdir d; echo x > d/x; tar -cf other.tar d; \
         echo '[{\"Config\":\"../../etc/passwd\",\"Layers\":[\"../x\"],\"RepoTags\":[\"a:b\"]}]' > manifest.json; tar -cf climbing.tar manifest.json; \
         echo '{' > manifest.json; tar -cf broken.tar manifest.json";
    command::shell(directory.path(), script);
    for name in [
        "text",
        "empty",
        "zeros",
        "other.tar",
        "climbing.tar",
        "broken.tar",
    ] {
        let path = directory.path().join(name);
        let outcome = rbuild.run([
            "load",
            "-i",
            path.to_str().expect("scratch paths are UTF-8"),
        ]);
        outcome.failed_with(1);
        assert!(
            !outcome.stderr.contains("panicked"),
            "{name}: {}",
            outcome.stderr
        );
    }
    rbuild.assert_nothing_half_made();
    assert_eq!(rbuild.run(["images", "-q"]).succeeded(), "");
}

#[test]
fn what_a_terminal_would_act_on_is_escaped() {
    let text = "FROM @busybox\nRUN <<E\necho '\u{1b}[31m' > /dev/null\nexit 7\nE\n";
    let refused = refused(&Context::new(text), &[]);
    refused.says(&["exit 7\\n` did not complete successfully: exit code: 7"]);
    assert!(!refused.stderr.contains('\u{1b}'), "{}", refused.stderr);
}

#[test]
fn a_quiet_build_shows_why_it_failed() {
    let context = Context::new("FROM @busybox\nRUN echo reason >&2; false\n");
    let outcome = rbuild().run(["build", "-q", context.path().to_str().expect("UTF-8")]);
    outcome.failed_with(1);
    outcome.says(&["reason", "Dockerfile:2"]);
    assert!(outcome.stdout.is_empty());
}

#[test]
fn sockets_and_mounts_of_another_kind_are_told() {
    let context = Context::new("FROM scratch\nCOPY socket /\n");
    let _socket = std::os::unix::net::UnixListener::bind(context.join("socket"));
    refused(&context, &[]).says(&["Dockerfile:2", "`socket` is a socket"]);
    let file =
        Context::new("FROM @busybox\nRUN --mount=type=bind,source=Dockerfile,target=/tmp true\n");
    refused(&file, &[]).says(&[
        "Dockerfile:2",
        "cannot mount a file on the directory `/tmp`",
    ]);
    let directory = Context::new("FROM @busybox\nRUN --mount=type=cache,target=/etc/passwd true\n");
    refused(&directory, &[]).says(&["cannot mount a directory on the file `/etc/passwd`"]);
}
