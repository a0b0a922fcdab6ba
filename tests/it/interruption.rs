//! Builds that are stopped, politely or not: nothing runs on, nothing stays mounted, the store opens.

use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use testkit::command;
use testkit::context::Context;
use testkit::progress::Progress;
use testkit::rbuild::Rbuild;
use testkit::supervise::wait_until;

use crate::rbuild;

/// Processes with exactly this command line.
fn running(line: &str) -> bool {
    !command::run(Command::new("pgrep").args(["-fx", line]))
        .stdout
        .is_empty()
}

/// Starts a build whose second step sleeps for an odd time, by which its process is found.
fn start(rbuild: &Rbuild, sleep: &str) -> (Child, Context) {
    let text = format!(
        "FROM @busybox\nRUN echo done > /done\nRUN trap '' INT TERM; sleep {sleep} & sleep {sleep}; wait\n"
    );
    let context = Context::new(&text);
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let child = rbuild.start(["build", "--progress=plain", "-t", "never", path]);
    let line = format!("sleep {sleep}");
    wait_until(Duration::from_secs(30), "the step does not start", || {
        running(&line)
    });
    (child, context)
}

#[test]
fn a_first_signal_stops_the_build_within_a_second() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let rbuild = rbuild();
        let sleep = format!("2001.{code}");
        let (mut child, _context) = start(&rbuild, &sleep);
        let asked = Instant::now();
        command::must("kill", &["-s", signal, &child.id().to_string()]);
        let status = child.wait().expect("a child can be waited for");
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "it took {:?}",
            asked.elapsed()
        );
        assert_eq!(status.code(), Some(code));
        assert!(!running(&format!("sleep {sleep}")), "the step runs on");
        rbuild.assert_nothing_mounted();
        rbuild.assert_nothing_half_made();
    }
}

#[test]
fn a_killed_build_leaves_no_process_and_a_store_that_goes_on() {
    let rbuild = rbuild();
    let (mut child, context) = start(&rbuild, "2002.5");
    child.kill().expect("the child is ours");
    child.wait().expect("a child can be waited for");
    wait_until(Duration::from_secs(2), "the step runs on", || {
        !running("sleep 2002.5")
    });
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
    wait_until(
        Duration::from_secs(20),
        "the container does not start",
        || running("sleep 2003.5"),
    );
    child.kill().expect("the child is ours");
    child.wait().expect("a child can be waited for");
    wait_until(Duration::from_secs(2), "the container runs on", || {
        !running("sleep 2003.5")
    });
    rbuild.assert_nothing_mounted();
}

#[test]
fn the_first_failure_cancels_the_other_stages() {
    let text = "FROM @busybox AS slow\nRUN sleep 2004.5\nFROM @busybox AS bad\nRUN sleep 0.3; echo the reason; exit 4\n\
         FROM @busybox\nCOPY --from=slow / /a\nCOPY --from=bad / /b\n";
    let rbuild = rbuild();
    let start = Instant::now();
    let outcome = rbuild.try_build(Context::new(text).path(), &[]);
    outcome.failed_with(1);
    outcome.says(&["Dockerfile:4", "the reason", "CANCELED"]);
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "it took {:?}",
        start.elapsed()
    );
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
    let mut waiting = rbuild.start(from_file);
    let mut command = rbuild.command(["build", "-f", "-", path]);
    let mut typing = command
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("rbuild starts");
    // Waiting for a child closes its input, which would end the Dockerfile.
    let _input = typing.stdin.take();
    for child in [&mut waiting, &mut typing] {
        let status = format!("/proc/{}/status", child.id());
        // It catches the signal once it waits.
        wait_until(Duration::from_secs(10), "signals are not awaited", || {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = caught.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
            caught.is_some_and(|set| set & (1 << (15 - 1)) != 0)
        });
        let asked = Instant::now();
        command::must("kill", &["-s", "TERM", &child.id().to_string()]);
        let status = child.wait().expect("a child can be waited for");
        assert!(asked.elapsed() < Duration::from_secs(1));
        assert_eq!(status.code(), Some(143));
    }
}
