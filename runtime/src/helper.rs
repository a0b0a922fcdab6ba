//! Programs of the host that do something for this one.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

/// Where programs are where `PATH` is not set.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A command that is looked for in `PATH` and has nothing else of the environment. It is in a process group of its own,
/// so that a terminal's signals go to this program alone, and it is killed when the thread that starts it ends, which
/// must therefore wait for it.
pub fn helper(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    command.env_clear().env("PATH", path).process_group(0);
    let die_with_parent = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: the closure makes one system call and touches no memory.
    unsafe { command.pre_exec(die_with_parent) };
    command
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::io::Read as _;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_helper_has_nothing_of_the_environment_but_the_path() {
        let output = helper("env").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().all(|line| line.starts_with("PATH=")), "{text}");
    }

    #[test]
    fn a_helper_ends_with_the_thread_that_started_it() {
        let started = std::thread::spawn(|| {
            let mut command = helper("sleep");
            command.arg("1000").stdout(Stdio::piped()).spawn().unwrap()
        });
        let mut child = started.join().unwrap();
        let mut rest = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut rest).unwrap();
        assert!(!child.wait().unwrap().success());
    }
}
