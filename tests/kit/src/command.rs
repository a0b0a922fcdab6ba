//! Commands that must work, and what they said when they did not.

use std::process::{Command, Output, Stdio};

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The command line, for messages.
    pub command: String,
    /// Its exit code, or 128 plus the signal that ended it, as shells have it.
    pub code: i32,
    /// What it wrote to standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// What it wrote to standard error; bytes that are not UTF-8 are replaced.
    pub stderr: String,
}

impl Outcome {
    /// The outcome of a finished command.
    pub fn new(command: String, output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status;
        Self {
            command,
            code: status
                .code()
                .or_else(|| status.signal().map(|signal| 128 + signal))
                .unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Panics unless the command ended well; gives what it wrote to standard output.
    #[track_caller]
    pub fn succeeded(&self) -> &str {
        assert_eq!(
            self.code, 0,
            "`{}` failed:\n{}{}",
            self.command, self.stdout, self.stderr
        );
        &self.stdout
    }

    /// Panics unless the command ended with `code`; gives what it wrote to standard error.
    #[track_caller]
    pub fn failed_with(&self, code: i32) -> &str {
        assert_eq!(
            self.code, code,
            "exit code of `{}`:\n{}{}",
            self.command, self.stdout, self.stderr
        );
        &self.stderr
    }

    /// Panics unless each of `parts` is in what was written to standard error.
    #[track_caller]
    pub fn says(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "`{}` should say `{part}`, but said:\n{}",
                self.command,
                self.stderr
            );
        }
        self
    }
}

/// Runs a command to its end, with nothing on standard input.
#[track_caller]
pub fn run(command: &mut Command) -> Outcome {
    run_with(command, Stdio::null())
}

/// Runs a command to its end, with this on standard input.
#[track_caller]
pub fn run_with(command: &mut Command, input: impl Into<Stdio>) -> Outcome {
    let line = format!("{command:?}");
    let output = command.stdin(input).output();
    Outcome::new(
        line.clone(),
        &output.unwrap_or_else(|error| panic!("cannot run `{line}`: {error}")),
    )
}

/// Runs a command to its end; gives how many bytes of memory it had at most, too. It must write little, since that is kept
/// back until the end.
#[track_caller]
pub fn measure(command: &Command) -> (Outcome, u64) {
    let python = "import os, sys; child = os.spawnvp(os.P_NOWAIT, sys.argv[2], sys.argv[2:]); _, status, usage = os.wait4(child, 0); \
         open(sys.argv[1], 'w').write(str(usage.ru_maxrss)); sys.exit(os.waitstatus_to_exitcode(status))";
    let directory = crate::scratch();
    let peak = directory.path().join("peak");
    let mut wrapped = Command::new("python3");
    wrapped.args(["-c", python]).arg(&peak);
    wrapped.arg(command.get_program()).args(command.get_args());
    wrapped.env_clear().envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let outcome = run(&mut wrapped);
    let kibibytes = std::fs::read_to_string(&peak)
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    (outcome, kibibytes.expect("the kernel counts it") << 10)
}

/// Runs a program that must end well; gives its standard output.
#[track_caller]
pub fn must(program: &str, args: &[&str]) -> String {
    run(Command::new(program).args(args)).succeeded().to_owned()
}

/// Runs a shell script that must end well; gives its standard output. For set-up that Rust says less clearly.
#[track_caller]
pub fn shell(directory: &std::path::Path, script: &str) -> String {
    run(Command::new("bash")
        .args(["-euc", script])
        .current_dir(directory))
    .succeeded()
    .to_owned()
}

/// Writes a program in the language of the shell. By another process: were the file open here, what another thread
/// starts just then would keep it so, and it could not be executed.
#[track_caller]
pub fn script(path: &std::path::Path, text: &str) {
    let write = "printf %s \"$2\" > \"$1\"; chmod 755 \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-euc", write, "sh"]).arg(path).arg(text);
    run(&mut command).succeeded();
}
