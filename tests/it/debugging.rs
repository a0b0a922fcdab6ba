//! Terminals and commands in the steps of a build.

use std::io::Write as _;
use std::process::Stdio;

use testkit::command::{self, Outcome};
use testkit::context::Context;
use testkit::rbuild::Rbuild;

use crate::rbuild;
use crate::terminal::typed;

/// Types into a terminal that a command of the program opens, and gives its exit code and all that was shown.
#[track_caller]
fn type_into(rbuild: &Rbuild, args: &str, keys: &str) -> (Option<i32>, String) {
    let mut child = typed(rbuild, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("util-linux is installed");
    let mut input = child.stdin.take().expect("the input is a pipe");
    input
        .write_all(keys.as_bytes())
        .expect("script reads its input");
    let output = child.wait_with_output().expect("a child can be waited for");
    drop(input);
    let shown = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    (output.status.code(), shown)
}

const DOCKERFILE: &str = "FROM @busybox AS base\nENV FROM_ENV=kept\nRUN echo base > /base\nWORKDIR /work\n\
    FROM base\nCOPY a /a\n\
    RUN --mount=type=bind,source=a,target=/mounted --mount=type=secret,id=s --mount=type=cache,target=/c \
    touch /left /c/cached && exit 9\nRUN echo never\n";

fn context() -> Context {
    Context::new(DOCKERFILE).with("a", "copied\n")
}

#[test]
fn the_step_that_failed_is_opened_as_its_command_left_it() {
    let (rbuild, context) = (rbuild(), context());
    let secret = context.join("secret");
    context.write("secret", "hidden\n");
    let args = format!(
        "build --progress=plain --on-error=shell --secret id=s,src={} {}",
        secret.display(),
        context.path().display()
    );
    let keys = "ls -1d /left /base /c/cached; cat /mounted /run/secrets/s; echo $FROM_ENV-$(pwd); tty; exit 0\n";
    let (code, shown) = type_into(&rbuild, &args, keys);
    assert_eq!(code, Some(1), "{shown}");
    let expected = "/base\n/c/cached\n/left\ncopied\nhidden\nkept-/work\n/dev/pts/0\n";
    for part in ["exit code: 9", "terminal in the step that failed", expected] {
        assert!(shown.contains(part), "no `{part}` in {shown}");
    }
    rbuild.assert_nothing_mounted();
    rbuild.assert_nothing_half_made();
}

#[test]
fn without_a_terminal_nothing_is_built() {
    let (rbuild, context) = (rbuild(), context());
    let outcome = rbuild.try_build(context.path(), &["--on-error=shell"]);
    outcome.says(&["`--on-error=shell` needs a terminal on standard input"]);
    outcome.failed_with(1);
    assert_eq!(rbuild.run(["builds", "ls", "-q"]).succeeded(), "");
}

#[track_caller]
fn debug(rbuild: &Rbuild, step: &str, context: &Context, invoke: &str) -> Outcome {
    let path = context.path().to_str().expect("scratch paths are UTF-8");
    let invoke = format!("--invoke={invoke}");
    let secret = format!("--secret=id=s,src={path}/a");
    command::run(&mut rbuild.command(["debug", &secret, &invoke, step, path]))
}

#[test]
fn a_step_is_opened_before_it_runs() {
    let (rbuild, context) = (rbuild(), context());
    let look = "cat /a /mounted; ls /left; pwd; echo $FROM_ENV; exit 5";
    let outcome = debug(&rbuild, "touch /left", &context, look);
    assert_eq!(outcome.failed_with(5), outcome.stderr);
    assert_eq!(outcome.stdout, "copied\ncopied\n/work\nkept\n");
    // By its line, and a step that runs nothing itself.
    let outcome = debug(&rbuild, "6", &context, "ls -d /a /work; cat /base");
    assert!(
        outcome.stderr.contains("/a: No such file"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.succeeded(), "/work\nbase\n");
    let outcome = debug(&rbuild, "base 1/3", &context, "ls -d /bin");
    assert_eq!(outcome.succeeded(), "/bin\n");
    let outcome = debug(&rbuild, "nothing like it", &context, "true");
    outcome.says(&["no step of the build is `nothing like it`", "COPY a /a"]);
    outcome.failed_with(1);
    let outcome = debug(&rbuild, "RUN", &context, "true");
    outcome.says(&["`RUN` is the name of several steps"]);
    outcome.failed_with(1);
}

#[test]
fn a_command_runs_in_the_finished_image_and_changes_nothing() {
    let rbuild = rbuild();
    let context = Context::new(
        "FROM @busybox\nRUN echo 'someone:x:1000:1000::/:/bin/sh' >> /etc/passwd && mkdir -p -m 777 /tmp\nARG GONE=x\nENV KEPT=y\nWORKDIR /work\nUSER someone\n",
    );
    let invoke = |command: &str| {
        let flag = format!("--invoke={command}");
        rbuild.try_build(context.path(), &["-t", "made", &flag])
    };
    let outcome = invoke("id -un; pwd; echo $KEPT$GONE; touch /tmp/mark; exit 4");
    outcome.failed_with(4);
    assert_eq!(outcome.stdout, "someone\n/work\ny\n");
    let outcome = invoke("ls /tmp/mark");
    assert!(
        outcome.stderr.contains("No such file"),
        "{}",
        outcome.stderr
    );
    rbuild
        .run(["run", "--rm", "made", "ls", "/tmp/mark"])
        .failed_with(1);
    let args = format!(
        "build --progress=plain --invoke {}",
        context.path().display()
    );
    let (code, shown) = type_into(&rbuild, &args, "echo $KEPT-$((40 + 2)); exit 3\n");
    assert_eq!(code, Some(3), "{shown}");
    assert!(shown.contains("\ny-42\n"), "{shown}");
    rbuild.assert_nothing_half_made();
}
