//! Builds that are stopped, politely or not: nothing runs on, nothing stays mounted, the store opens.

use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use testkit::command;
use testkit::context::Context;
use testkit::progress::Progress;
use testkit::rbuild::Rbuild;
use testkit::supervise::{PATIENCE, wait_until};

use crate::rbuild;

/// Processes with exactly this command line.
fn running(line: &str) -> bool {
    !command::run(Command::new("pgrep").args(["-fx", line]))
        .stdout
        .is_empty()
}

/// Starts a build whose second step sleeps for an odd time, by which its process is found.
pub(super) fn start(rbuild: &Rbuild, sleep: &str) -> (Child, Context) {
    let text = format!(
        "FROM @busybox\nRUN echo done > /done\nRUN trap '' INT TERM; sleep {sleep} & sleep {sleep}; wait\n"
    );
    let context = Context::new(&text);
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let child = rbuild.start(["build", "--progress=plain", "-t", "never", path]);
    let line = format!("sleep {sleep}");
    wait_until(PATIENCE, "the step does not start", || running(&line));
    (child, context)
}

/// Signals a program, which must end with this code; how long that takes.
#[track_caller]
fn stop(child: &mut Child, signal: &str, code: i32) -> Duration {
    let asked = Instant::now();
    command::must("kill", &["-s", signal, &child.id().to_string()]);
    let status = child.wait().expect("a child can be waited for");
    assert_eq!(status.code(), Some(code));
    asked.elapsed()
}

/// Panics unless something takes less than a second: once at least, if the machine is busy elsewhere.
#[track_caller]
fn assert_within_a_second(mut attempt: impl FnMut() -> Duration) {
    let quick = (0..10).any(|_| attempt() < Duration::from_secs(1));
    assert!(quick, "it took longer each time");
}

#[test]
fn a_first_signal_stops_the_build_within_a_second() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        assert_within_a_second(|| {
            let rbuild = rbuild();
            let sleep = format!("2001.{code}");
            let (mut child, _context) = start(&rbuild, &sleep);
            let time = stop(&mut child, signal, code);
            assert!(!running(&format!("sleep {sleep}")), "the step runs on");
            rbuild.assert_nothing_mounted();
            rbuild.assert_nothing_half_made();
            time
        });
    }
}

#[test]
fn a_killed_build_leaves_no_process_and_a_store_that_goes_on() {
    let rbuild = rbuild();
    let (mut child, context) = start(&rbuild, "2002.5");
    child.kill().expect("the child is ours");
    child.wait().expect("a child can be waited for");
    wait_until(PATIENCE, "the step runs on", || !running("sleep 2002.5"));
    rbuild.assert_nothing_mounted();
    context.dockerfile("FROM @busybox\nRUN echo done > /done\nRUN echo more > /more\n");
    let progress = Progress::parse(&rbuild.build(context.path(), &["-t", "after"]));
    assert_eq!(
        progress.ran(&["RUN echo done", "RUN echo more"]),
        ["RUN echo more"],
        "what was done is kept"
    );
    assert_eq!(
        rbuild
            .run(["run", "--rm", "after", "cat", "/done", "/more"])
            .succeeded(),
        "done\nmore\n"
    );
    rbuild.assert_nothing_half_made();
}

#[test]
fn builds_killed_at_any_moment_leave_a_store_that_opens() {
    let rbuild = rbuild();
    let files: Vec<String> = (0..300).map(|n| format!("files/{n}")).collect();
    let text = "FROM @busybox\nCOPY files /files\nRUN for i in $(seq 200); do echo $i > /made$i; done\nRUN rm -r /files\nCMD ls /made200\n";
    let context = files.iter().fold(Context::new(text), |context, name| {
        context.with(name, name.repeat(2000))
    });
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    for round in 0..25 {
        let mut child = rbuild.start(["build", "-t", "x", path]);
        thread::sleep(Duration::from_millis(round * 12));
        child.kill().ok();
        child.wait().expect("a child can be waited for");
        rbuild.run(["images"]).succeeded();
    }
    assert_eq!(
        rbuild.build_and_run(context.path(), &[]).succeeded(),
        "/made200\n"
    );
    rbuild.assert_nothing_half_made();
    rbuild.assert_nothing_mounted();
}

#[test]
fn a_killed_foreground_container_dies_with_the_program() {
    let rbuild = rbuild();
    rbuild.build(Context::new("FROM @busybox\n").path(), &["-t", "box"]);
    let mut child = rbuild.start(["run", "--rm", "box", "sleep", "2003.5"]);
    wait_until(PATIENCE, "the container does not start", || {
        running("sleep 2003.5")
    });
    child.kill().expect("the child is ours");
    child.wait().expect("a child can be waited for");
    wait_until(PATIENCE, "the container runs on", || {
        !running("sleep 2003.5")
    });
    rbuild.assert_nothing_mounted();
}

#[test]
fn the_first_failure_cancels_the_other_stages() {
    // The second fails once the first is at work.
    let text = "FROM @busybox AS slow\nRUN --mount=type=cache,id=met,target=/c touch /c/begun; sleep 2004.5\n\
         FROM @busybox AS bad\n\
         RUN --mount=type=cache,id=met,target=/c until [ -e /c/begun ]; do sleep 0.05; done; echo the reason; exit 4\n\
         FROM @busybox\nCOPY --from=slow / /a\nCOPY --from=bad / /b\n";
    let rbuild = rbuild();
    let outcome = rbuild.try_build(Context::new(text).path(), &["--jobs", "2"]);
    outcome.failed_with(1);
    outcome.says(&["Dockerfile:4", "the reason", "CANCELED"]);
    assert!(!running("sleep 2004.5"));
}

#[test]
fn a_dockerfile_that_never_comes_can_be_given_up() {
    let context = Context::new("");
    let pipe = context.join("pipe");
    command::must("mkfifo", &[pipe.to_str().expect("scratch paths are UTF-8")]);
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let from_file = ["build", "-f", pipe.to_str().expect("UTF-8"), path];
    let rbuild = rbuild();
    let from_input = ["build", "-f", "-", path];
    for args in [&from_file, &from_input] {
        assert_within_a_second(|| {
            let mut child = rbuild
                .command(args)
                .stdin(std::process::Stdio::piped())
                .stderr(std::process::Stdio::null())
                .spawn()
                .expect("rbuild starts");
            // Waiting for a child closes its input, which would end the Dockerfile.
            let _input = child.stdin.take();
            wait_until(PATIENCE, "signals are not awaited", || catches_term(&child));
            stop(&mut child, "TERM", 143)
        });
    }
}

/// Whether a program has a handler for the signal, as it has once it waits for something.
fn catches_term(child: &Child) -> bool {
    let status = format!("/proc/{}/status", child.id());
    let status = std::fs::read_to_string(status).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    caught.is_some_and(|set| set & (1 << (15 - 1)) != 0)
}

/// The files that are marked as synced.
fn synced(rbuild: &Rbuild) -> String {
    let find = "find version images-v1 tags-v1 blobs layers-v1/*/*/layer -type f -perm 0444 | sort";
    command::shell(rbuild.store(), find)
}

#[test]
fn what_was_left_unsynced_is_synced_by_the_next_build_that_needs_it() {
    let rbuild = rbuild();
    let context = Context::new("FROM scratch\nCOPY a b /\nCOPY b /c\n")
        .with("a", "a")
        .with("b", "b");
    // Nothing is synced, as if the process had been killed each time before it came to that.
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let args = ["build", "-q", "-t", "built", path];
    let mut without = rbuild.command(args);
    without.env("RBUILD_SYNC", "none");
    command::run(&mut without).succeeded();
    assert_eq!(synced(&rbuild), "");
    rbuild.build(context.path(), &["-t", "built"]);
    let all = synced(&rbuild);
    // Two layers, config and manifest, the image, its name, the store itself.
    assert_eq!(all.lines().count(), 7, "{all}");
    for kind in ["version", "images-v1/", "tags-v1/", "blobs/"] {
        command::shell(
            rbuild.store(),
            &format!("find {kind} -type f -exec chmod 644 {{}} +"),
        );
        assert_ne!(synced(&rbuild), all, "{kind}");
        let progress = Progress::parse(&rbuild.build(context.path(), &["-t", "built"]));
        assert_eq!(progress.ran(&["COPY a", "COPY b"]), [""; 0]);
        assert_eq!(synced(&rbuild), all, "{kind}");
    }
    // Another name relies on the same.
    command::shell(rbuild.store(), "chmod 644 images-v1/* blobs/sha256/*");
    rbuild.run(["tag", "built", "again"]).succeeded();
    let synced = synced(&rbuild);
    assert!(synced.contains("images-v1/"), "{synced}");
    assert_eq!(synced.matches("tags-v1/").count(), 2, "{synced}");
}
