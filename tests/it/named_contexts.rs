//! `--build-context`: what stands for stages and images.

use testkit::context::Context;
use testkit::registry::Registry;

use crate::rbuild;

#[test]
fn a_directory_stands_for_a_stage_or_an_image() {
    let rbuild = rbuild();
    let files = Context::new("").with("sub/file", "from the directory\n");
    files.write("hidden", "not to be seen");
    files.write(".dockerignore", "hidden\n");
    let context = Context::new(
        "FROM nowhere.example/nothing AS replaced\nRUN false\n\
         FROM @busybox\n\
         COPY --from=files sub/file /copied\n\
         COPY --from=replaced . /all/\n\
         RUN --mount=from=files,target=/mounted cmp /mounted/sub/file /copied && \
           test ! -e /mounted/hidden && test ! -e /all/hidden && cat /all/sub/file\n",
    );
    let directory = files.path().display();
    let flags = [
        format!("--build-context=files={directory}"),
        format!("--build-context=replaced={directory}"),
    ];
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let said = rbuild.build(context.path(), &flags);
    assert!(said.contains("from the directory"), "{said}");
    assert!(
        said.contains("[context files] load .dockerignore"),
        "{said}"
    );
    files.write("hidden", "changed, and of no account");
    let again = rbuild.build(context.path(), &flags);
    assert!(!again.contains("from the directory"), "{again}");
    files.write("sub/file", "changed\n");
    let again = rbuild.build(context.path(), &flags);
    assert!(again.contains("changed"), "{again}");
}

#[test]
fn steps_read_what_they_name_of_a_directory() {
    let rbuild = rbuild();
    let files = Context::new("")
        .with("copied/a", "copied\n")
        .with("mounted/b", "first\n")
        .with("other", "one\n");
    let context = Context::new(
        "FROM @busybox\n\
         COPY --from=files copied /copied/\n\
         RUN --mount=from=files,source=mounted,target=/mounted cat /mounted/b\n",
    );
    // Nobody could read as many bytes.
    let endless = std::fs::File::create(files.path().join("endless")).expect("made");
    endless.set_len(1 << 40).expect("grown");
    let named = format!("--build-context=files={}", files.path().display());
    let said = rbuild.build(context.path(), &[&named]);
    assert!(said.contains("first"), "{said}");
    files.write("other", "two\n");
    files.write("mounted/b", "second\n");
    let again = rbuild.build(context.path(), &[&named]);
    assert!(again.contains("CACHED"), "{again}");
    assert!(again.contains("second"), "{again}");
    let explained = rbuild.run(["explain"]);
    let explained = explained.succeeded();
    assert!(explained.contains("mounted/b"), "{explained}");
    assert!(!explained.contains("other"), "{explained}");
    files.write("other", "three\n");
    let last = rbuild.build(context.path(), &[&named]);
    assert!(!last.contains("second"), "{last}");
}

#[test]
fn what_is_missing_in_a_directory_is_told_with_its_name() {
    let rbuild = rbuild();
    let files = Context::new("").with(".dockerignore", "hidden\n");
    files.write("hidden", "");
    let named = format!("--build-context=files={}", files.path().display());
    for (path, message) in [
        ("nothing", "`nothing` is not in the context `files`"),
        ("hidden", ".dockerignore"),
    ] {
        let context = Context::new(&format!("FROM scratch\nCOPY --from=files {path} /\n"));
        let outcome = rbuild.try_build(context.path(), &[&named]);
        outcome.failed_with(1);
        outcome.says(&[message]);
    }
}

#[test]
fn a_stage_can_begin_from_a_directory() {
    let rbuild = rbuild();
    let files = Context::new("").with("hello", "hello\n");
    let context = Context::new("FROM files\nENV A=b\n");
    let out = testkit::scratch();
    let output = format!("type=local,dest={}", out.path().display());
    let named = format!("--build-context=files={}", files.path().display());
    rbuild.build(context.path(), &[&named, "--output", &output]);
    let read = std::fs::read_to_string(out.path().join("hello"));
    assert_eq!(read.expect("it was exported"), "hello\n");
}

#[test]
fn an_image_stands_for_another() {
    let rbuild = rbuild();
    let image = Registry::shared().busybox();
    let context = Context::new(
        "FROM nowhere.example/base:3\nRUN echo reached\nCOPY --from=tools /bin/sh /sh\n",
    );
    let said = rbuild.build(
        context.path(),
        &[
            &format!("--build-context=nowhere.example/base:3=docker-image://{image}"),
            &format!("--build-context=tools=docker-image://{image}"),
        ],
    );
    assert!(said.contains("reached"), "{said}");
}

#[test]
fn wrong_contexts_are_refused() {
    let rbuild = rbuild();
    let context = Context::new("FROM scratch\nCOPY --from=missing a /\n");
    for (flag, message) in [
        ("scratch=.", "`scratch` cannot be the name of a context"),
        ("a=target:b", "contexts `target:` are not supported"),
        ("a", "`a` must be written `NAME=VALUE`"),
    ] {
        let outcome = rbuild.try_build(context.path(), &["--build-context", flag]);
        outcome.says(&[message]);
        assert_ne!(outcome.code, 0);
    }
    let outcome = rbuild.try_build(
        context.path(),
        &["--build-context", "missing=/nowhere/at/all"],
    );
    outcome.failed_with(1);
    outcome.says(&["/nowhere/at/all"]);
}
