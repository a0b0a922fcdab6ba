//! `run` and its relatives: exit codes, signals, logs, and containers in the background.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use testkit::command;
use testkit::context::Context;
use testkit::rbuild::Rbuild;
use testkit::supervise::{PATIENCE, wait_until};

use crate::rbuild;

const IMAGE: &str = "box";

/// A store with the image `busybox` under a short name.
fn with_image() -> Rbuild {
    let rbuild = rbuild();
    rbuild.build(
        Context::new("FROM @busybox\nENV FROM_IMAGE=yes\nLABEL a=b\n").path(),
        &["-t", IMAGE],
    );
    rbuild
}

/// Runs a shell command in a container and gives what it printed.
#[track_caller]
fn sh(rbuild: &Rbuild, flags: &[&str], script: &str) -> String {
    let args = [&["run", "--rm"], flags, &[IMAGE, "sh", "-c", script]].concat();
    rbuild.run(args).succeeded().to_owned()
}

#[test]
fn exit_codes_are_dockers() {
    let rbuild = with_image();
    for (args, code) in [
        (&["true"] as &[&str], 0),
        (&["false"], 1),
        (&["sh", "-c", "exit 42"], 42),
        // The first process of a container cannot kill itself.
        (&["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137),
        (&["/no/such/program"], 127),
        (&["no-such-program"], 127),
        (&["/etc/passwd"], 126),
        (&["/etc"], 126),
    ] {
        let outcome = rbuild.run([&["run", "--rm", IMAGE], args].concat());
        assert_eq!(outcome.code, code, "{args:?}: {}", outcome.stderr);
    }
    rbuild
        .run(["run", "--no-such-flag", IMAGE])
        .failed_with(125);
    let nobody = format!("127.0.0.1:{}/nothing", testkit::supervise::free_port());
    rbuild.run(["run", &nobody]).failed_with(125);
    assert_eq!(
        rbuild.run(["ps", "-aq"]).succeeded(),
        "",
        "--rm leaves nothing"
    );
}

#[test]
fn standard_streams_pass_without_loss() {
    let rbuild = with_image();
    let outcome = rbuild.run([
        "run",
        "--rm",
        IMAGE,
        "sh",
        "-c",
        "echo out; echo err >&2; cat",
    ]);
    assert_eq!(
        (outcome.succeeded(), outcome.stderr.as_str()),
        ("out\n", "err\n"),
        "without -i the input is empty"
    );
    let mut child = rbuild.command(["run", "--rm", "-i", IMAGE, "md5sum"]);
    let mut child = child
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program can be run");
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    child
        .stdin
        .take()
        .expect("the input is a pipe")
        .write_all(&bytes)
        .expect("the container reads its input");
    let output = child.wait_with_output().expect("a child can be waited for");
    let directory = testkit::scratch();
    std::fs::write(directory.path().join("bytes"), &bytes)
        .expect("the scratch directory can be written");
    let expected = command::shell(directory.path(), "md5sum < bytes");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert_eq!(
        sh(&rbuild, &[], "head -c 3000000 /dev/zero | tr '\\0' x").len(),
        3_000_000
    );
}

#[test]
fn flags_reach_the_process() {
    let rbuild = with_image();
    assert_eq!(
        sh(
            &rbuild,
            &["-e", "A=1", "--env", "B=x y"],
            "echo $A $B $FROM_IMAGE"
        ),
        "1 x y yes\n"
    );
    assert_eq!(sh(&rbuild, &["-w", "/var/tmp"], "pwd"), "/var/tmp\n");
    assert_eq!(sh(&rbuild, &["-u", "33:100"], "id -u; id -g"), "33\n100\n");
    assert_eq!(
        sh(&rbuild, &["-u", "operator"], "id -un; id -G"),
        "operator\n37 100\n"
    );
    assert_eq!(sh(&rbuild, &["--hostname", "named"], "hostname"), "named\n");
    assert_eq!(
        sh(
            &rbuild,
            &["--add-host", "example.test:10.9.8.7"],
            "grep -c '10.9.8.7.*example.test' /etc/hosts"
        ),
        "1\n"
    );
    assert_eq!(
        sh(&rbuild, &["--network", "none"], "ls /sys/class/net"),
        "lo\n"
    );
    assert_eq!(
        sh(
            &rbuild,
            &["--read-only"],
            "touch /x 2>/dev/null || echo refused"
        ),
        "refused\n"
    );
    let outcome = rbuild.run(["run", "--rm", "--entrypoint", "echo", IMAGE, "as", "given"]);
    assert_eq!(outcome.succeeded(), "as given\n");
    // What follows the image is the command's, whatever it looks like.
    assert_eq!(
        rbuild
            .run(["run", "--rm", IMAGE, "echo", "--rm", "-it"])
            .succeeded(),
        "--rm -it\n"
    );
    let file = testkit::scratch();
    std::fs::write(file.path().join("env"), "# comment\nC=from file\n")
        .expect("the scratch directory can be written");
    let path = file.path().join("env");
    assert_eq!(
        sh(
            &rbuild,
            &[
                "--env-file",
                path.to_str().expect("scratch paths are UTF-8")
            ],
            "echo $C"
        ),
        "from file\n"
    );
}

#[test]
fn volumes_are_the_hosts_directories() {
    let rbuild = with_image();
    let host = testkit::scratch();
    std::fs::write(host.path().join("in"), "from the host")
        .expect("the scratch directory can be written");
    let volume = format!("{}:/mnt/v", host.path().display());
    assert_eq!(
        sh(
            &rbuild,
            &["-v", &volume],
            "cat /mnt/v/in; echo back > /mnt/v/out"
        ),
        "from the host"
    );
    assert_eq!(
        std::fs::read_to_string(host.path().join("out")).expect("the container wrote it"),
        "back\n"
    );
    assert_eq!(
        sh(
            &rbuild,
            &["-v", &(volume + ":ro")],
            "touch /mnt/v/x 2>/dev/null || echo refused"
        ),
        "refused\n"
    );
}

#[test]
fn a_container_sees_docker_s_sandbox() {
    let rbuild = with_image();
    let script = "echo $$; grep CapEff /proc/self/status | cut -f2; grep Seccomp: /proc/self/status | cut -f2; \
         for f in /proc/kcore /proc/keys /proc/timer_list; do [ ! -e $f ] || cat $f; done 2>&1 | wc -c; touch /proc/sys/kernel/hostname 2>/dev/null && echo writable; \
         mount -t tmpfs none /mnt 2>/dev/null && echo mounted; ls /dev | tr '\\n' ' '; ps | wc -l";
    let said = sh(&rbuild, &[], script);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines[..3],
        ["1", "00000000a80425fb", "2"],
        "PID 1, Docker's capabilities, a seccomp filter: {said}"
    );
    assert_eq!(lines[3], "0", "kernel paths are masked: {said}");
    for refused in ["writable", "mounted"] {
        assert!(!said.contains(refused), "{said}");
    }
    for device in [
        "null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd",
    ] {
        assert!(
            lines[4].split(' ').any(|name| name == device),
            "/dev/{device} is missing: {said}"
        );
    }
}

#[test]
fn changes_of_one_container_are_its_own() {
    let rbuild = with_image();
    sh(&rbuild, &[], "echo x > /etc/changed; rm /bin/vi");
    assert_eq!(
        sh(
            &rbuild,
            &[],
            "test -e /etc/changed || test -e /bin/vi && echo fresh"
        ),
        "fresh\n"
    );
}

#[test]
fn containers_in_the_background_live_their_life() {
    let rbuild = with_image();
    let script = "trap 'echo asked; exit 5' TERM; echo started; while :; do sleep 0.05; done";
    let id = rbuild
        .run(["run", "-d", "--name", "worker", IMAGE, "sh", "-c", script])
        .succeeded()
        .trim()
        .to_owned();
    assert_eq!(id.len(), 64, "the whole ID is printed");
    wait_until(PATIENCE, "the container does not start", || {
        rbuild.run(["logs", "worker"]).stdout == "started\n"
    });
    let listed = rbuild.run(["ps"]).succeeded().to_owned();
    assert!(
        listed.contains("worker") && listed.contains(&id[..12]) && listed.contains("Up"),
        "{listed}"
    );
    rbuild
        .run(["run", "--name", "worker", IMAGE, "true"])
        .failed_with(125);
    let exec = rbuild.run([
        "exec",
        "-e",
        "X=1",
        "-w",
        "/tmp",
        "worker",
        "sh",
        "-c",
        "echo $X $FROM_IMAGE; pwd; exit 9",
    ]);
    exec.failed_with(9);
    assert_eq!(exec.stdout, "1 yes\n/tmp\n");
    rbuild
        .run(["exec", "worker", "no-such-program"])
        .failed_with(127);
    rbuild.run(["rm", "worker"]).failed_with(1);
    rbuild.run(["stop", "worker"]).succeeded();
    assert_eq!(rbuild.run(["wait", "worker"]).succeeded(), "5\n");
    assert_eq!(
        rbuild.run(["logs", "worker"]).succeeded(),
        "started\nasked\n"
    );
    assert_eq!(rbuild.run(["ps", "-q"]).succeeded(), "");
    let all = rbuild.run(["ps", "-a"]).succeeded().to_owned();
    assert!(all.contains("Exited (5)"), "{all}");
    assert_eq!(rbuild.run(["rm", "worker"]).succeeded(), "worker\n");
    assert_eq!(rbuild.run(["ps", "-aq"]).succeeded(), "");
}

#[test]
fn stop_kills_who_does_not_listen_and_kill_kills_at_once() {
    let rbuild = with_image();
    let deaf = "trap '' TERM; while :; do sleep 0.05; done";
    rbuild
        .run(["run", "-d", "--name", "deaf", IMAGE, "sh", "-c", deaf])
        .succeeded();
    let start = Instant::now();
    rbuild.run(["stop", "-t", "1", "deaf"]).succeeded();
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "it took {:?}",
        start.elapsed()
    );
    assert_eq!(rbuild.run(["wait", "deaf"]).succeeded(), "137\n");
    for (signal, code) in [("KILL", "137\n"), ("SIGINT", "130\n"), ("10", "138\n")] {
        // PID 1 hears only what it handles, so the program is a child of a shell that reports it.
        let script =
            "trap 'exit 130' INT; trap 'exit 138' USR1; echo ready; while :; do sleep 0.05; done";
        rbuild
            .run(["run", "-d", "--name", "victim", IMAGE, "sh", "-c", script])
            .succeeded();
        wait_until(PATIENCE, "the container does not start", || {
            rbuild.run(["logs", "victim"]).stdout == "ready\n"
        });
        rbuild.run(["kill", "-s", signal, "victim"]).succeeded();
        assert_eq!(rbuild.run(["wait", "victim"]).succeeded(), code);
        rbuild.run(["rm", "victim"]).succeeded();
    }
    rbuild
        .run(["run", "-d", "--name", "forced", IMAGE, "sleep", "1000"])
        .succeeded();
    rbuild.run(["rm", "-f", "forced"]).succeeded();
    assert_eq!(
        rbuild.run(["ps", "-aq"]).succeeded().lines().count(),
        1,
        "only `deaf` is left"
    );
}

#[test]
fn logs_can_be_cut_and_followed() {
    let rbuild = with_image();
    let script = "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done; echo last >&2";
    rbuild
        .run(["run", "-d", "--name", "talker", IMAGE, "sh", "-c", script])
        .succeeded();
    let followed = rbuild.run(["logs", "-f", "talker"]);
    assert_eq!(followed.succeeded().lines().count(), 5);
    assert_eq!(followed.stderr, "last\n");
    assert_eq!(
        rbuild
            .run(["logs", "--tail", "2", "talker"])
            .stdout
            .trim_end(),
        "line 5"
    );
    assert_eq!(rbuild.run(["wait", "talker"]).succeeded(), "0\n");
}

#[test]
fn signals_to_a_foreground_run_reach_the_command() {
    let rbuild = with_image();
    for (signal, code) in [("INT", 7), ("TERM", 8), ("USR1", 9), ("HUP", 10)] {
        let script = "trap 'exit 7' INT; trap 'exit 8' TERM; trap 'exit 9' USR1; trap 'exit 10' HUP; echo ready; while :; do sleep 0.05; done";
        let child = rbuild.start([
            "run", "--rm", "--name", "listener", IMAGE, "sh", "-c", script,
        ]);
        wait_until(PATIENCE, "the container does not start", || {
            rbuild.run(["logs", "listener"]).stdout.contains("ready")
        });
        command::must("kill", &["-s", signal, &child.id().to_string()]);
        let output = child.wait_with_output().expect("a child can be waited for");
        assert_eq!(output.status.code(), Some(code), "{signal}");
    }
}

#[test]
fn orphans_do_not_outlive_their_container() {
    let rbuild = with_image();
    sh(
        &rbuild,
        &[],
        "setsid sleep 86399 & setsid sleep 86399 & sleep 0.2",
    );
    let left = command::run(std::process::Command::new("pgrep").args(["-fx", "sleep 86399"]));
    assert_eq!(left.stdout, "");
    rbuild.assert_nothing_mounted();
}

#[test]
fn inspect_shows_what_docker_shows() {
    let rbuild = with_image();
    let image: serde_json::Value = serde_json::from_str(rbuild.run(["inspect", IMAGE]).succeeded())
        .expect("inspect prints JSON");
    assert_eq!(image[0]["Config"]["Labels"]["a"], "b");
    assert_eq!(image[0]["RootFS"]["Type"], "layers");
    rbuild
        .run(["run", "-d", "--name", "shown", IMAGE, "sleep", "1000"])
        .succeeded();
    let shown: serde_json::Value =
        serde_json::from_str(rbuild.run(["inspect", "shown"]).succeeded())
            .expect("inspect prints JSON");
    assert_eq!(shown[0]["State"]["Running"], true);
    assert_eq!(shown[0]["Name"], "/shown");
    rbuild.run(["rm", "-f", "shown"]).succeeded();
}
