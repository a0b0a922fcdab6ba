//! That nothing outlives what it belongs to.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio as StdStdio};

use runtime::{ExitStatus, Identity, Process, Runtime, Stdio};

use crate::support::{Changes, command, eventually, finish, output, run, runtime, shell};

/// A command line that no other test has.
fn marker(name: &str) -> String {
    format!("86{}{}", std::process::id(), name.len())
}

fn is_running(seconds: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        arguments
            .split(|byte| *byte == 0)
            .any(|argument| argument == seconds.as_bytes())
    })
}

#[test]
fn no_descendant_is_left() {
    let mark = marker("daemon");
    let script = format!("(setsid /bin/sleep {mark} & ) ; exit 4");
    let output = run(shell(&script));
    assert_eq!(output.status, ExitStatus::Code(4));
    assert!(!is_running(&mark));
}

#[test]
fn dropping_kills() {
    let mark = marker("dropping");
    let child = runtime().spawn(command(&["/bin/sleep", &mark])).unwrap();
    assert!(is_running(&mark));
    drop(child);
    assert!(!is_running(&mark));
}

#[test]
fn a_sandbox_outlives_the_handle_it_was_made_with() {
    let own = Runtime::new().unwrap();
    let child = own.spawn(shell("sleep 0.1; echo still")).unwrap();
    drop(own);
    assert_eq!(finish(child).stdout, "still\n");
}

/// Not a test but the program of the next one.
#[test]
#[ignore = "started by another test"]
#[allow(clippy::print_stdout, reason = "says when to kill it")]
fn holder() {
    let mark = std::env::var("MARK").unwrap();
    let changes = Changes::new();
    let mut spec = shell(&format!(
        "setsid /bin/sleep {mark} & exec /bin/sleep {mark}"
    ));
    spec.root.upper = Some(changes.spec());
    if let Ok(uid) = std::env::var("HOLDER_UID") {
        spec.process.user.uid = uid.parse().unwrap();
    }
    let child = runtime().spawn(spec).unwrap();
    println!("\nheld {}", child.pid());
    std::thread::sleep(std::time::Duration::from_secs(100));
}

#[test]
fn a_killed_parent_leaves_nothing() {
    for (mark, uid) in [(marker("of root"), "0"), (marker("of another"), "1000")] {
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "life::holder", "--ignored", "--nocapture"])
            .env("MARK", &mark)
            .env("HOLDER_UID", uid)
            .stdout(StdStdio::piped())
            .stderr(StdStdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().starts_with("held")));
        assert!(eventually(|| is_running(&mark)));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        parent.kill().unwrap();
        parent.wait().unwrap();
        assert!(eventually(|| !is_running(&mark)), "user {uid}");
        assert_eq!(fs::read_to_string("/proc/self/mounts").unwrap(), mounts);
    }
}

#[test]
fn another_process_enters() {
    let mut spec = shell("echo here > /dev/shm/mark; exec sleep 100");
    spec.host_name = "entered".to_owned();
    let changes = Changes::new();
    spec.root.upper = Some(changes.spec());
    let child = runtime().spawn(spec).unwrap();
    assert!(eventually(|| {
        let root = format!("/proc/{}/root/dev/shm/mark", child.pid());
        fs::metadata(root).is_ok_and(|file| file.len() > 0)
    }));
    let identity = child.identity().unwrap();
    let process = |script: &str| {
        let args = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let mut process = Process::new(args);
        process.env = vec![("PATH".to_owned(), "/bin".to_owned())];
        process
    };
    let script = "cat /dev/shm/mark; hostname; ps | grep -c 'sleep 10[0]'; pwd
        grep -E '^(CapEff|Seccomp):' /proc/self/status; for p in self 1; do readlink /proc/$p/ns/cgroup; done";
    let entered = runtime()
        .enter(identity, &process(script), Stdio::piped())
        .unwrap();
    let entered = finish(entered);
    let lines: Vec<_> = entered.stdout.lines().collect();
    assert_eq!(lines[..4], ["here", "entered", "1", "/"], "{entered:?}");
    assert_eq!(lines[4..6], ["CapEff:\t00000000a80425fb", "Seccomp:\t2"]);
    assert_eq!(lines[6], lines[7]);
    let failed = runtime().enter(identity, &process("exit 9"), Stdio::piped());
    assert_eq!(failed.unwrap().wait().unwrap(), ExitStatus::Code(9));
    // Who enters ends with the sandbox.
    let mut late = runtime()
        .enter(identity, &process("sleep 100"), Stdio::piped())
        .unwrap();
    drop(child);
    assert_eq!(late.wait().unwrap(), ExitStatus::Signal(9));
    let gone = runtime().enter(identity, &process("true"), Stdio::piped());
    assert!(matches!(gone, Err(runtime::Error::Gone)), "{gone:?}");
}

#[test]
fn a_number_taken_by_another_process_is_not_entered() {
    let own = Identity::of(std::process::id()).unwrap();
    let later = Identity {
        start_time: own.start_time + 1,
        ..own
    };
    let entered = runtime().enter(
        later,
        &Process::new(vec!["/bin/true".to_owned()]),
        Stdio::piped(),
    );
    assert!(matches!(entered, Err(runtime::Error::Gone)));
}

#[test]
fn descriptors_and_cgroups_do_not_pile_up() {
    let own = Runtime::new().unwrap();
    let count = || fs::read_dir("/proc/self/task").unwrap().count();
    finish(own.spawn(shell("true")).unwrap());
    let before = count();
    for _ in 0..20 {
        let output = finish(
            own.spawn(shell("cat /proc/self/cgroup | grep ^0:"))
                .unwrap(),
        );
        assert_eq!(output.stdout, "0::/\n");
    }
    assert!(count() <= before + 2);
}

#[test]
fn cgroup_of_the_sandbox_is_its_root() {
    assert_eq!(output(shell("grep ^0: /proc/self/cgroup")), "0::/");
}

/// Not a test but the program of the next one.
#[test]
#[ignore = "started by another test"]
#[allow(clippy::print_stdout, reason = "tells what it found")]
fn sealed() {
    // Threads end with the old program.
    runtime::seal_executable().unwrap();
    // Opening it for writing would fail for as long as it runs anyway.
    let path = "/proc/self/exe";
    let access = rustix::fs::access(path, rustix::fs::Access::WRITE_OK);
    println!("\nsealed: {access:?}");
}

#[test]
fn a_sealed_program_cannot_be_written() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "life::sealed", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(output.contains("sealed: Err(Os { code: 30"), "{output}");
}
