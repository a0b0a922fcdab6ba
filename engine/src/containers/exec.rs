//! Further processes in a running container.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use runtime::{Identity, Process, Stdio, Stream, User};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::attach::{Attached, attached};
use super::environment;
use super::error::ContainerError;
use super::life::{self, Started};
use super::state::{ContainerConfig, ContainerId, ContainerState, TerminalSize};
use crate::engine::Engine;
use crate::error::StepError;

/// `passwd` and `group` beyond this are cut.
const MAX_FILE: u64 = 16 << 20;

/// A process to be started in a running container. What is `None` is as the container has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecRequest {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Variables beside those of the container: names and values.
    pub env: Vec<(String, String)>,
    /// The working directory.
    pub working_dir: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// It has a terminal, of this size at first.
    pub terminal: Option<TerminalSize>,
    /// It reads what is written to it.
    pub interactive: bool,
}

impl Engine {
    /// Starts a process in a running container and attaches this program to it: it ends with this program.
    pub async fn exec_attached(
        &self,
        container: &str,
        request: ExecRequest,
    ) -> Result<Attached, ContainerError> {
        let id = self.find_container(container)?;
        let engine = self.clone();
        attached(move || enter(&engine, &id, &request, true)).await
    }
}

/// Starts a process in a container. Without `attach` nobody reads what it writes.
pub(super) fn enter(
    engine: &Engine,
    id: &ContainerId,
    request: &ExecRequest,
    attach: bool,
) -> Result<Started, ContainerError> {
    let dir = engine.container_dir(id);
    let (target, config) = match engine.observe(id, &dir)? {
        ContainerState::Running { pid, ticks, .. } => {
            let target = Identity {
                pid,
                start_time: ticks,
            };
            (target, dir.config()?)
        }
        _ => return Err(ContainerError::NotRunning(id.short().to_owned())),
    };
    let process = process(target, &config, request)?;
    let stdio = if attach || request.terminal.is_some() {
        life::stdio(request.terminal, request.interactive)
    } else {
        Stdio::Streams {
            stdin: Stream::Null,
            stdout: Stream::Null,
            stderr: Stream::Null,
        }
    };
    match engine.runtime()?.enter(target, &process, stdio) {
        Err(runtime::Error::Gone) => Err(ContainerError::NotRunning(id.short().to_owned())),
        entered => life::follow_entered(entered?, attach),
    }
}

fn process(
    target: Identity,
    config: &ContainerConfig,
    request: &ExecRequest,
) -> Result<Process, ContainerError> {
    let user = request.user.as_ref().unwrap_or(&config.user);
    let user = user_inside(target, user)?;
    let cwd = request.working_dir.as_ref().unwrap_or(&config.working_dir);
    let env = environment::of_process(config, request.terminal.is_some(), &request.env);
    Ok(Process {
        env: environment::with_home(env, &user),
        cwd: PathBuf::from(cwd),
        user,
        ..Process::new(request.args.clone())
    })
}

/// The user of a specification, by the files that the container has now.
fn user_inside(target: Identity, spec: &str) -> Result<User, ContainerError> {
    let path = format!("/proc/{}/root", target.pid);
    let failed = |error: Errno| ContainerError::io("open", &path, error.into());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, &path, flags, Mode::empty()).map_err(failed)?;
    if !target.is_running() {
        // What was opened may be the root of another process.
        return Err(runtime::Error::Gone.into());
    }
    let read =
        |name| read_inside(&root, name).map_err(|error| ContainerError::io("read", name, error));
    let (passwd, group) = (read("etc/passwd")?, read("etc/group")?);
    runtime::resolve_user(spec, &passwd, &group).map_err(|error| StepError::from(error).into())
}

/// A file beneath a root, whatever links there are; empty where there is no regular file.
fn read_inside(root: &OwnedFd, name: &str) -> std::io::Result<Vec<u8>> {
    // A FIFO must not be waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(root, name, flags, Mode::empty(), resolve) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut content = Vec::new();
    if FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::RegularFile {
        std::fs::File::from(file)
            .take(MAX_FILE)
            .read_to_end(&mut content)?;
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_beneath_the_root_only() {
        let outside = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(outside.path().join("secret"), "secret").expect("written");
        let inside = outside.path().join("root");
        std::fs::create_dir_all(inside.join("etc")).expect("a new directory");
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, inside.join("etc").join(name)).expect("a new link");
        };
        std::fs::write(inside.join("etc/passwd"), "root").expect("written");
        link("/etc/passwd", "absolute");
        link("../../../../etc/passwd", "climbing");
        link("../../secret", "escaping");
        link("loop", "loop");
        rustix::fs::mknodat(
            CWD,
            inside.join("etc/fifo"),
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .expect("a FIFO");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, &inside, flags, Mode::empty()).expect("a directory");
        for (name, content) in [
            ("passwd", "root"),
            ("absolute", "root"),
            ("climbing", "root"),
            ("escaping", ""),
            ("loop", ""),
            ("fifo", ""),
            ("absent", ""),
            ("passwd/x", ""),
        ] {
            let read = read_inside(&root, &format!("etc/{name}")).expect("no failure");
            assert_eq!(String::from_utf8_lossy(&read), content, "{name}");
        }
    }
}
