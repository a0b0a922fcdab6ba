//! Starting programs, and how they end.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use runtime::{Error, ExitStatus, Signal, Stdio, Stream};

use crate::support::{Changes, command, failure, output, run, runtime, shell};

#[test]
fn exit_codes_and_signals_are_told() {
    for (script, status) in [
        ("exit 0", ExitStatus::Code(0)),
        ("exit 3", ExitStatus::Code(3)),
        ("exit 255", ExitStatus::Code(255)),
    ] {
        assert_eq!(run(shell(script)).status, status, "{script}");
    }
    let mut child = runtime().spawn(command(&["/bin/sleep", "100"])).unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    child.signal(Signal::KILL).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status, ExitStatus::Signal(9));
    assert_eq!(status.exit_code(), 137);
    assert_eq!(status.to_string(), "exit code: 137 (signal 9)");
    // Once told, it stays told, and signals go nowhere.
    assert_eq!(child.wait().unwrap(), status);
    child.signal(Signal::TERM).unwrap();
}

#[test]
fn programs_are_found_as_a_shell_finds_them() {
    let changes = Changes::new();
    let upper = changes.upper();
    for name in ["one", "two"] {
        fs::create_dir(upper.join(name)).unwrap();
    }
    let write = |path: &str, mode| {
        fs::write(upper.join(path), "#!/bin/sh\necho $0\n").unwrap();
        fs::set_permissions(upper.join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    write("one/tool", 0o644);
    write("two/tool", 0o755);
    write("one/locked", 0o644);
    write("two/orphan", 0o755);
    fs::write(upper.join("two/orphan"), "#!/no/such/shell\n").unwrap();
    fs::write(upper.join("two/garbage"), [1_u8, 2, 3]).unwrap();
    fs::set_permissions(upper.join("two/garbage"), fs::Permissions::from_mode(0o755)).unwrap();
    let spec = |name: &str| {
        let mut spec = command(&[name]);
        spec.process.env = vec![("PATH".to_owned(), "/none:/one:/two".to_owned())];
        spec.root.upper = Some(changes.spec());
        spec
    };
    assert_eq!(output(spec("tool")), "/two/tool");
    for (name, code, message) in [
        (
            "absent",
            127,
            "exec `absent`: executable file not found in $PATH",
        ),
        ("/absent", 127, "exec `/absent`: no such file or directory"),
        (
            "/two/orphan",
            127,
            "exec `/two/orphan`: no such file or directory",
        ),
        ("locked", 126, "exec `locked`: permission denied"),
        ("/one", 126, "exec `/one`: permission denied"),
        (
            "/two/garbage",
            126,
            "exec `/two/garbage`: exec format error: it is for another machine, or a script without `#!`; programs of \
             other platforms need QEMU, registered with binfmt_misc (Debian's package `qemu-user-static`)",
        ),
    ] {
        match failure(spec(name)) {
            Error::Exec(error) => {
                assert_eq!(error.to_string(), message);
                assert_eq!(error.exit_code(), code, "{name}");
            }
            other => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn bad_commands_are_refused_in_words() {
    assert!(matches!(failure(command(&[])), Error::NoCommand));
    let error = failure(command(&["/bin/echo", "a\0b"]));
    assert_eq!(error.to_string(), "an argument holds a zero byte");
    let mut spec = command(&["/bin/true"]);
    spec.process.cwd = "/nowhere".into();
    let error = failure(spec);
    assert_eq!(
        error.to_string(),
        "cannot enter the working directory `/nowhere`"
    );
}

#[test]
fn environment_and_directory_are_the_given_ones() {
    let mut spec = command(&["/bin/env"]);
    spec.process.env = vec![
        ("A".to_owned(), "1 2".to_owned()),
        ("B".to_owned(), String::new()),
    ];
    assert_eq!(output(spec), "A=1 2\nB=");
    let mut spec = command(&["/bin/pwd"]);
    spec.process.cwd = "/work".into();
    assert_eq!(output(spec), "/work");
}

#[test]
fn signals_are_as_a_new_process_expects() {
    // This process ignores the broken pipe, as every Rust program does.
    let args = ["/bin/grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"];
    let blocked = output(command(&args));
    for line in blocked.lines() {
        assert!(line.ends_with("\t0000000000000000"), "{blocked}");
    }
}

#[test]
fn input_is_read_from_a_pipe() {
    let mut spec = command(&["/bin/cat"]);
    spec.stdio = Stdio::Streams {
        stdin: Stream::Pipe,
        stdout: Stream::Pipe,
        stderr: Stream::Pipe,
    };
    let mut child = runtime().spawn(spec).unwrap();
    let stdin = child.stdin.take().unwrap();
    rustix::io::write(&stdin, b"through and through").unwrap();
    drop(stdin);
    assert_eq!(crate::support::finish(child).stdout, "through and through");
}

#[test]
fn output_goes_to_an_open_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut spec = shell("echo out; echo err >&2");
    let copy = || Stream::Open(file.reopen().map(Into::into).unwrap());
    spec.stdio = Stdio::Streams {
        stdin: Stream::Null,
        stdout: copy(),
        stderr: Stream::Null,
    };
    let mut child = runtime().spawn(spec).unwrap();
    assert!(child.stdout.is_none() && child.stderr.is_none());
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(file.path()).unwrap(), "out\n");
}

#[test]
fn the_end_can_be_awaited() {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let status = tokio.block_on(async {
        let mut child = runtime().spawn(shell("sleep 0.05; exit 7")).unwrap();
        let status = child.exited().await.unwrap();
        assert_eq!(child.exited().await.unwrap(), status);
        status
    });
    assert_eq!(status, ExitStatus::Code(7));
}

#[test]
fn many_start_at_once() {
    let threads: Vec<_> = (0..64)
        .map(|number| {
            std::thread::spawn(move || output(shell(&format!("echo {number}; sleep 0.1"))))
        })
        .collect();
    for (number, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), number.to_string());
    }
}
