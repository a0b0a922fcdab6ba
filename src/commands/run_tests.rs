//! From flags to containers, and from their ends to exit codes.

use super::*;
use crate::commands::fake::{Fake, run_command};
use crate::error::BackendError;

fn requested(words: &[&str]) -> RunRequest {
    let backend = Fake::default();
    let done = run_command(&backend, words);
    assert!(done.err.is_empty(), "{}", done.err);
    let mut runs = backend.runs.lock().expect("no other thread panicked");
    runs.pop().expect("a container was made")
}

#[test]
fn what_follows_the_image_belongs_to_the_command() {
    let request = requested(&[
        "run", "--rm", "-e", "A=1", "busybox", "sh", "-c", "echo", "--rm", "-t", "--", "-x",
    ]);
    assert_eq!(request.image, "busybox");
    assert_eq!(request.args, ["sh", "-c", "echo", "--rm", "-t", "--", "-x"]);
    assert!(request.remove && request.tty.is_none());
    let request = requested(&["run", "busybox", "--help"]);
    assert_eq!(request.args, ["--help"]);
    let request = requested(&["run", "busybox", "-D", "--store", "x"]);
    assert_eq!(request.args, ["-D", "--store", "x"]);
}

#[test]
fn flags_become_a_request() {
    let request = requested(&[
        "run",
        "-dit",
        "--name",
        "n",
        "-v",
        "/a:/b:ro",
        "-w",
        "/w",
        "-u",
        "1:2",
        "--entrypoint",
        "",
        "--network",
        "host",
        "-h",
        "me",
        "--add-host",
        "db:10.0.0.1",
        "--read-only",
        "--pull",
        "never",
        "--stop-signal",
        "INT",
        "busybox",
    ]);
    assert!(request.tty.is_some() && request.stdin && request.read_only && !request.remove);
    assert_eq!(request.name.as_deref(), Some("n"));
    assert_eq!(request.volumes.len(), 1);
    assert_eq!(request.entrypoint, Some(Vec::new()));
    assert_eq!(request.network, ContainerNetwork::Host);
    assert_eq!(request.hostname.as_deref(), Some("me"));
    assert_eq!(request.pull, PullPolicy::Never);
    assert_eq!(request.stop_signal, Some(2));
    assert_eq!(request.user.as_deref(), Some("1:2"));
    assert_eq!(
        requested(&["run", "--entrypoint", "sh", "busybox"]).entrypoint,
        Some(vec!["sh".to_owned()])
    );
}

#[test]
fn exit_codes_are_the_containers() {
    assert_eq!(run_command(&Fake::default(), &["run", "busybox"]).code, 143);
    assert_eq!(
        run_command(&Fake::default(), &["exec", "box", "false"]).code,
        7
    );
    let backend = Fake {
        start_error: Some(|| BackendError::CommandNotFound {
            source: "`nope` is not in the container".into(),
        }),
        ..Fake::default()
    };
    assert_eq!(run_command(&backend, &["run", "busybox", "nope"]).code, 127);
}

#[test]
fn detached_containers_are_named() {
    let backend = Fake::default();
    let done = run_command(&backend, &["run", "-d", "busybox"]);
    assert_eq!(done.out, format!("{}\n", "c".repeat(64)));
    assert_eq!(backend.calls(), ["create busybox", "start ccc"]);
}

#[test]
fn a_command_is_needed_for_exec() {
    let done = run_command(&Fake::default(), &["exec", "box"]);
    assert!(done.err.contains("a command is missing"), "{}", done.err);
}
