//! Terminals.

use std::os::fd::AsFd;

use runtime::{Child, Process, Stdio, TerminalSize};

use crate::support::{command, runtime, shell};

const SIZE: TerminalSize = TerminalSize {
    rows: 33,
    columns: 77,
};

/// All that is written to a terminal until nobody has it open.
fn read(child: &Child) -> String {
    let terminal = child.terminal.as_ref().unwrap();
    let mut output = vec![];
    let mut buffer = [0; 1024];
    // The end shows as an error.
    while let Ok(read @ 1..) = rustix::io::read(terminal.as_fd(), &mut buffer) {
        output.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(output).unwrap().replace('\r', "")
}

#[test]
fn a_terminal_is_one_inside() {
    let mut spec = shell(
        "tty; stty size; test -c /dev/console && echo console; ls -1 /dev/pts; echo x > /dev/tty",
    );
    spec.stdio = Stdio::Terminal(SIZE);
    let mut child = runtime().spawn(spec).unwrap();
    assert_eq!(read(&child), "/dev/pts/0\n33 77\nconsole\n0\nptmx\nx\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_is_typed_is_read_and_control_c_interrupts() {
    let mut spec = shell(
        "trap 'echo got it; exit 5' INT; read line; echo \"<$line>\"; while :; do sleep 0.01; done",
    );
    spec.stdio = Stdio::Terminal(SIZE);
    let mut child = runtime().spawn(spec).unwrap();
    let terminal = child.terminal.take().unwrap();
    rustix::io::write(&terminal, b"hello\n").unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 256];
    while !seen.contains("<hello>") {
        let read = rustix::io::read(&terminal, &mut buffer).unwrap();
        seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    rustix::io::write(&terminal, b"\x03").unwrap();
    assert_eq!(child.wait().unwrap().exit_code(), 5);
}

#[test]
fn size_changes_are_seen() {
    let mut spec = shell("trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done");
    spec.stdio = Stdio::Terminal(SIZE);
    let child = runtime().spawn(spec).unwrap();
    let terminal = child.terminal.as_ref().unwrap();
    let mut buffer = [0; 256];
    assert!(rustix::io::read(terminal.as_fd(), &mut buffer).unwrap() > 0);
    let larger = TerminalSize {
        rows: 50,
        columns: 132,
    };
    terminal.resize(larger).unwrap();
    assert_eq!(read(&child), "50 132\n");
}

#[test]
fn a_terminal_belongs_to_its_user() {
    let mut spec = shell("stat -c %u:%g:%a /dev/pts/0; tty; echo x > /dev/pts/0");
    spec.process.user.uid = 1000;
    spec.stdio = Stdio::Terminal(SIZE);
    let child = runtime().spawn(spec).unwrap();
    assert_eq!(read(&child), "1000:5:620\n/dev/pts/0\nx\n");
}

#[test]
fn who_enters_can_have_a_terminal_too() {
    let inside = runtime().spawn(command(&["/bin/sleep", "100"])).unwrap();
    let args = ["/bin/sh", "-c", "tty; stty size"]
        .map(str::to_owned)
        .to_vec();
    let mut process = Process::new(args);
    process.env = vec![("PATH".to_owned(), "/bin".to_owned())];
    let entered = runtime()
        .enter(inside.identity().unwrap(), &process, Stdio::Terminal(SIZE))
        .unwrap();
    assert_eq!(read(&entered), "/dev/pts/0\n33 77\n");
}
