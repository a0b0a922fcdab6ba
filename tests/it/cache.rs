//! What runs again and what does not.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use testkit::context::Context;
use testkit::progress::Progress;
use testkit::rbuild::Rbuild;

use crate::rbuild;

const DOCKERFILE: &str =
    "FROM @busybox\nCOPY src /src\nRUN echo one > /one\nCOPY other /other\nRUN echo two > /two\n";
const STEPS: [&str; 4] = ["COPY src", "RUN echo one", "COPY other", "RUN echo two"];

fn context() -> Context {
    Context::new(DOCKERFILE)
        .with("src/a", "a")
        .with("src/b", "b")
        .with("other/c", "c")
}

/// Builds and says which steps ran.
#[track_caller]
fn ran<'a>(rbuild: &Rbuild, context: &Context, flags: &[&str], steps: &[&'a str]) -> Vec<&'a str> {
    Progress::parse(&rbuild.build(context.path(), flags)).ran(steps)
}

#[test]
fn a_second_build_runs_nothing() {
    let (rbuild, context) = (rbuild(), context());
    assert_eq!(ran(&rbuild, &context, &[], &STEPS), STEPS);
    assert_eq!(ran(&rbuild, &context, &[], &STEPS), [""; 0]);
}

#[test]
fn a_copy_of_the_context_elsewhere_hits() {
    let rbuild = rbuild();
    ran(&rbuild, &context(), &[], &STEPS);
    assert_eq!(ran(&rbuild, &context(), &[], &STEPS), [""; 0]);
}

#[test]
fn times_do_not_count_and_all_else_does() {
    type Change = fn(&Context);
    let touch: Change = |context| {
        let file = File::options()
            .write(true)
            .open(context.join("src/a"))
            .expect("the file is there");
        let past = SystemTime::now() - Duration::from_hours(24);
        file.set_times(FileTimes::new().set_modified(past))
            .expect("the owner may set times");
    };
    let rewrite: Change = |context| context.write("src/a", "a");
    let ignored_files: Change = |context| context.write("elsewhere", "not copied");
    let chmod: Change = |context| {
        fs::set_permissions(context.join("src/a"), Permissions::from_mode(0o755))
            .expect("the owner may set modes");
    };
    let content: Change = |context| context.write("src/a", "A");
    let rename: Change = |context| {
        fs::rename(context.join("src/a"), context.join("src/z")).expect("the file is there");
    };
    let addition: Change = |context| context.write("src/new", "");
    let removal: Change =
        |context| fs::remove_file(context.join("src/a")).expect("the file is there");
    let link: Change = |context| {
        fs::remove_file(context.join("src/a")).expect("the file is there");
        std::os::unix::fs::symlink("b", context.join("src/a")).expect("the name is free");
    };
    let cases = [
        ("touch", touch, false),
        ("rewrite", rewrite, false),
        ("a file that no COPY reads", ignored_files, false),
        ("chmod", chmod, true),
        ("content", content, true),
        ("rename", rename, true),
        ("addition", addition, true),
        ("removal", removal, true),
        ("link", link, true),
    ];
    for (name, change, counts) in cases {
        let (rbuild, files) = (rbuild(), context());
        ran(&rbuild, &files, &[], &STEPS);
        change(&files);
        let again = ran(&rbuild, &files, &[], &STEPS);
        assert_eq!(again.contains(&"COPY src"), counts, "{name}");
        assert_eq!(again.contains(&"RUN echo one"), counts, "{name}");
        // What the second COPY reads of its sources and its destination is as it was.
        assert!(!again.contains(&"COPY other"), "{name}: {again:?}");
    }
}

#[test]
fn a_changed_instruction_runs_it_and_what_is_below() {
    let (rbuild, context) = (rbuild(), context());
    ran(&rbuild, &context, &[], &STEPS);
    context.dockerfile(&DOCKERFILE.replace("two > /two", "three > /two"));
    assert_eq!(
        ran(
            &rbuild,
            &context,
            &[],
            &["COPY src", "RUN echo one", "RUN echo three"]
        ),
        ["RUN echo three"]
    );
}

#[test]
fn arguments_count_from_their_declaration_on() {
    let context =
        Context::new("FROM @busybox\nRUN echo before > /a\nARG version=1\nRUN echo after > /b\n");
    let steps = ["RUN echo before", "RUN echo after"];
    let rbuild = rbuild();
    ran(&rbuild, &context, &[], &steps);
    assert_eq!(
        ran(&rbuild, &context, &["--build-arg=version=2"], &steps),
        ["RUN echo after"]
    );
    assert_eq!(
        ran(&rbuild, &context, &["--build-arg=version=1"], &steps),
        [""; 0]
    );
    assert_eq!(
        ran(
            &rbuild,
            &context,
            &["--build-arg=HTTP_PROXY=http://127.0.0.1:1"],
            &steps
        ),
        [""; 0]
    );
}

#[test]
fn an_equal_result_cuts_the_rebuild_off() {
    let context = Context::new(
        "FROM @busybox AS make\nCOPY input /input\nRUN wc -c < /input > /size && rm /input\n\
         FROM @busybox\nCOPY --from=make /size /size\nRUN cat /size && echo used > /used\n",
    );
    context.write("input", "12345");
    let steps = ["COPY input", "RUN wc", "COPY --from=make", "RUN cat"];
    let rbuild = rbuild();
    assert_eq!(ran(&rbuild, &context, &[], &steps), steps);
    context.write("input", "54321");
    assert_eq!(
        ran(&rbuild, &context, &[], &steps),
        ["COPY input", "RUN wc"],
        "the size is as it was"
    );
    context.write("input", "123456");
    assert_eq!(ran(&rbuild, &context, &[], &steps), steps);
}

#[test]
fn no_cache_runs_everything_and_still_leaves_a_cache() {
    let (rbuild, context) = (rbuild(), context());
    ran(&rbuild, &context, &[], &STEPS);
    let runs = ["RUN echo one", "RUN echo two"];
    assert_eq!(ran(&rbuild, &context, &["--no-cache"], &runs), runs);
    assert_eq!(ran(&rbuild, &context, &[], &STEPS), [""; 0]);
}

#[test]
fn a_failed_step_is_not_remembered_and_those_before_it_are() {
    let context =
        Context::new("FROM @busybox\nRUN echo fine > /fine\nRUN test -e /fine && exit 3\n");
    let rbuild = rbuild();
    for _ in 0..2 {
        rbuild.try_build(context.path(), &[]).failed_with(1);
    }
    let progress = Progress::parse(&rbuild.try_build(context.path(), &[]).stderr);
    assert_eq!(progress.ran(&["RUN echo fine", "RUN test"]), ["RUN test"]);
}

#[test]
fn cache_mounts_are_kept_and_enter_no_key() {
    let text = "FROM @busybox\nARG round\nRUN --mount=type=cache,target=/cache echo $round >> /cache/rounds && cp /cache/rounds /rounds\nCMD [\"cat\", \"/rounds\"]\n";
    let (rbuild, context) = (rbuild(), Context::new(text));
    for (round, rounds) in [
        ("1", "1\n"),
        ("2", "1\n2\n"),
        ("1", "1\n"),
        ("3", "1\n2\n3\n"),
    ] {
        rbuild.build(
            context.path(),
            &["-t", "rounds", "--build-arg", &format!("round={round}")],
        );
        assert_eq!(
            rbuild.run(["run", "--rm", "rounds"]).succeeded(),
            rounds,
            "round {round}"
        );
    }
}

#[test]
fn cache_mounts_are_shared_locked_or_private() {
    // Two stages write at the same time; each notes whom it met, and goes when the other has had the time to.
    let stage = |name: &str, sharing: &str| {
        format!(
            "FROM @busybox AS {name}\nRUN --mount=type=cache,id=meeting-{sharing},sharing={sharing},target=/c \
             touch /c/{name} && sleep 1 && echo /c/* > /seen && sleep 0.5 && rm /c/{name}\n"
        )
    };
    for (sharing, met) in [("shared", true), ("locked", false), ("private", false)] {
        let text = stage("one", sharing)
            + &stage("two", sharing)
            + "FROM @busybox\nCOPY --from=one /seen /one\nCOPY --from=two /seen /two\nCMD cat /one /two\n";
        let (rbuild, context) = (rbuild(), Context::new(&text));
        let seen = rbuild.build_and_run(context.path(), &[]);
        let expected = if met {
            "/c/one /c/two\n/c/one /c/two\n"
        } else {
            "/c/one\n/c/two\n"
        };
        assert_eq!(seen.succeeded(), expected, "{sharing}");
    }
}

#[test]
fn cache_mounts_start_from_what_they_name() {
    let text = "FROM @busybox AS seed\nRUN mkdir -p /seed/dir && echo planted > /seed/dir/file\nFROM @busybox\n\
         RUN --mount=type=cache,id=seeded,from=seed,source=/seed/dir,target=/c cp /c/file /got\n\
         RUN --mount=type=cache,id=owned,uid=5,gid=6,mode=0710,target=/o stat -c '%u %g %a' /o > /owner\nCMD cat /got /owner\n";
    let (rbuild, context) = (rbuild(), Context::new(text));
    assert_eq!(
        rbuild.build_and_run(context.path(), &[]).succeeded(),
        "planted\n5 6 710\n"
    );
}

#[test]
fn mounts_lie_in_mounts_whichever_is_written_first() {
    let text = "FROM @busybox AS tree\nRUN mkdir -p /tree/inner && echo lower > /tree/file\nFROM @busybox\n\
         RUN --mount=type=cache,id=inner,target=/outer/inner --mount=from=tree,source=/tree,target=/outer \
         cat /outer/file > /seen && echo kept > /outer/inner/kept\n\
         RUN --mount=type=tmpfs,target=/t --mount=type=cache,id=inner,target=/t/a/b cat /t/a/b/kept >> /seen\n\
         RUN --mount=type=tmpfs,target=/t --mount=type=bind,source=some.txt,target=/t/deep/some.txt cat /t/deep/some.txt >> /seen\n\
         CMD cat /seen; ls -d /outer /t 2>/dev/null\n";
    let (rbuild, context) = (rbuild(), Context::new(text).with("some.txt", "some\n"));
    let said = rbuild.build_and_run(context.path(), &[]);
    assert_eq!(said.stdout, "lower\nkept\nsome\n");
    context.dockerfile(
        "FROM @busybox AS tree\nRUN mkdir /tree\nFROM @busybox\n\
         RUN --mount=from=tree,source=/tree,target=/outer --mount=type=tmpfs,target=/outer/none true\n",
    );
    let refused = rbuild.try_build(context.path(), &[]);
    refused.failed_with(1);
    refused.says(&["make the mount point `/outer/none`", "Read-only"]);
}

#[test]
fn a_linked_copy_is_one_layer_on_any_base() {
    let dockerfile = |base: &str| {
        format!(
            "FROM @busybox\nRUN {base} && mkdir -p /real && ln -s /real /link\nCOPY --link some.txt /link/\n\
             CMD cat /link/some.txt; [ -L /link ] || echo directory; ls /real\n"
        )
    };
    let (rbuild, context) = (
        rbuild(),
        Context::new(&dockerfile("true")).with("some.txt", "some\n"),
    );
    let said = rbuild.build_and_run(context.path(), &[]);
    assert_eq!(
        said.stdout, "some\ndirectory\n",
        "links below are not followed"
    );
    context.dockerfile(&dockerfile("echo other > /other"));
    let progress = Progress::parse(&rbuild.build(context.path(), &["-t", "built"]));
    assert_eq!(
        progress.ran(&["RUN echo other", "COPY --link"]),
        ["RUN echo other"]
    );
}
