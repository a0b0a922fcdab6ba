//! Terminals: `-it`, sizes, and displays that are gone when they should be. util-linux's `script` is the terminal.

use std::process::{Command, Stdio};
use testkit::command;
use testkit::context::Context;
use testkit::rbuild::Rbuild;
use testkit::supervise::{PATIENCE, wait_until};

use crate::rbuild;

/// A command of the program, as its user would type it into a terminal.
pub(super) fn typed(rbuild: &Rbuild, args: &str) -> Command {
    let plain = rbuild.command([] as [&str; 0]);
    let program = plain
        .get_program()
        .to_str()
        .expect("the program's path is UTF-8")
        .to_owned();
    let mut command = Command::new("script");
    command.args([
        "-qec",
        &format!("stty rows 33 cols 77; {program} {args}"),
        "/dev/null",
    ]);
    command
        .env("RBUILD_STORE", rbuild.store())
        .env("TERM", "xterm")
        .stdin(Stdio::null());
    command
}

fn with_image() -> Rbuild {
    let rbuild = rbuild();
    rbuild.build(Context::new("FROM @busybox\n").path(), &["-t", "box"]);
    rbuild
}

#[test]
fn a_container_gets_a_terminal_of_the_right_size() {
    let rbuild = with_image();
    let said = command::run(&mut typed(
        &rbuild,
        "run --rm -it box sh -c 'tty; stty size; exit 6'",
    ));
    said.failed_with(6);
    // `script` ends its input with a zero byte, which the terminal echoes.
    let said = said.stdout.replace('\r', "").replace("^@", "");
    assert_eq!(said, "/dev/pts/0\n33 77\n");
    let without = rbuild.run(["run", "--rm", "box", "tty"]);
    assert_eq!(without.stdout, "not a tty\n");
}

#[test]
fn what_is_typed_reaches_the_command() {
    let rbuild = with_image();
    let mut child = typed(&rbuild, "run --rm -it box sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("util-linux is installed");
    let mut input = child.stdin.take().expect("the input is a pipe");
    std::io::Write::write_all(&mut input, b"echo $((40 + 2)); exit 3\n")
        .expect("script reads its input");
    let output = child.wait_with_output().expect("a child can be waited for");
    drop(input);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\n42\r\n"));
}

#[test]
fn a_terminal_shows_live_rows_and_a_pipe_plain_text() {
    let context = Context::new("FROM @busybox\nRUN echo something && sleep 1\n");
    let rbuild = rbuild();
    let live = command::run(&mut typed(
        &rbuild,
        &format!("build {}", context.path().display()),
    ));
    assert!(live.succeeded().contains("[+] Building"), "{}", live.stdout);
    assert!(live.stdout.contains("\u{1b}["), "rows are redrawn");
    context.dockerfile("FROM @busybox\nRUN echo something else\n");
    let piped = command::run(rbuild.command(["build"]).arg(context.path()));
    piped.succeeded();
    assert!(
        piped.stderr.contains("[2/2] RUN echo something else") && !piped.stderr.contains('\u{1b}'),
        "{}",
        piped.stderr
    );
}

#[test]
fn ctrl_c_leaves_the_terminal_as_it_was() {
    let context = Context::new("FROM @busybox\nRUN sleep 1000.25\n");
    let rbuild = rbuild();
    let mut command = typed(
        &rbuild,
        &format!(
            "build {}; stty -a | grep -o -E -e '-?(echo|icanon) '",
            context.path().display()
        ),
    );
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("util-linux is installed");
    wait_until(PATIENCE, "the step does not start", || {
        !command::run(Command::new("pgrep").args(["-fx", "sleep 1000.25"]))
            .stdout
            .is_empty()
    });
    let mut input = child.stdin.take().expect("the input is a pipe");
    std::io::Write::write_all(&mut input, b"\x03").expect("script reads its input");
    let output = child.wait_with_output().expect("a child can be waited for");
    drop(input);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = said.rfind("\u{1b}[?25").map(|at| &said[at..at + 6]);
    assert!(
        last.is_none() || last == Some("\u{1b}[?25h"),
        "the cursor is hidden: {said:?}"
    );
    rbuild.assert_nothing_mounted();
}
