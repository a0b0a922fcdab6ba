//! Containers in the background: the program executes itself anew, and that process supervises the container.
//!
//! The new process gets the store, the form of its layers and the container as arguments, and on its standard input a
//! further process to start there, if that is its task. Once the process runs, or has failed to, it says so on its
//! standard output; then it lets go of everything that the user's terminal or pipes could be waiting for.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};

use super::error::ContainerError;
use super::exec::{self, ExecRequest};
use super::life::{self, Started};
use super::state::ContainerId;
use crate::engine::{Engine, LayerForm, Settings};
use crate::error::chain;

/// The first argument of a program that is to call [`supervise`] and nothing else.
pub const SUPERVISOR: &str = "container-supervisor";

/// What the new process says of its start.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    failure: Option<Failure>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Failure {
    message: String,
    code: Option<u8>,
}

impl Engine {
    /// Starts a container that outlives this program. The program must call [`supervise`] when [`SUPERVISOR`] is its
    /// first argument, before it has threads.
    pub async fn start_container(&self, name: &str) -> Result<(), ContainerError> {
        let id = self.find_container(name)?;
        self.in_background(&id, None).await
    }

    /// Starts a process in a running container that outlives this program, as [`Engine::start_container`] does. Nobody
    /// reads what it writes.
    pub async fn exec_detached(
        &self,
        container: &str,
        request: ExecRequest,
    ) -> Result<(), ContainerError> {
        let id = self.find_container(container)?;
        self.in_background(&id, Some(request)).await
    }

    async fn in_background(
        &self,
        id: &ContainerId,
        request: Option<ExecRequest>,
    ) -> Result<(), ContainerError> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("rbuild")
            .arg(SUPERVISOR)
            .arg(self.store().root())
            .arg(form_name(self.settings().layers))
            .arg(id.as_str())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let told = tokio::task::spawn_blocking(move || {
            talk(&mut command, request.as_ref())
                .map_err(|error| ContainerError::io("start", "a program in the background", error))
        });
        let report = told.await.map_err(|_| ContainerError::Cancelled)??;
        let report: Report =
            serde_json::from_slice(&report).map_err(|_| ContainerError::Supervisor)?;
        match report.failure {
            None => Ok(()),
            Some(Failure { message, code }) => Err(ContainerError::Background { message, code }),
        }
    }
}

/// Gives the new process its task, and returns what it says.
fn talk(command: &mut Command, request: Option<&ExecRequest>) -> io::Result<Vec<u8>> {
    let mut child = command.spawn()?;
    let mut report = Vec::new();
    if let Some(mut stdin) = child.stdin.take() {
        match serde_json::to_writer(&mut stdin, &request).map_err(io::Error::from) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut report)?;
    }
    Ok(report)
}

/// Supervises a container in this process, as its arguments say. Returns when the container has ended.
pub fn supervise() -> ExitCode {
    let arguments = std::env::args_os().skip(2).collect();
    match begin(arguments) {
        Ok((engine, started)) => {
            let told = detach(&Report { failure: None });
            // The ends that are ours stay open for as long as the process runs.
            let Started {
                life,
                process: _process,
                terminal: _terminal,
                stdin: _stdin,
                stdout: _stdout,
                stderr: _stderr,
            } = started;
            let ended = told.map(|()| life.see_through());
            // Whoever is interested reads the state; there is nobody else to tell of a failure to write it.
            engine.store().sweep().ok();
            ExitCode::from(u8::from(!matches!(ended, Ok(Ok(_)))))
        }
        Err(error) => {
            let failure = Failure {
                message: chain(&error),
                code: error.exit_code(),
            };
            // A caller that does not hear it hears the end of this process.
            detach(&Report {
                failure: Some(failure),
            })
            .ok();
            ExitCode::FAILURE
        }
    }
}

fn begin(arguments: Vec<OsString>) -> Result<(Engine, Started), ContainerError> {
    let failed = |error| ContainerError::io("read", "the supervisor's task", error);
    let [store, form, id]: [OsString; 3] = arguments
        .try_into()
        .map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?;
    let id = id.to_str().and_then(ContainerId::parse);
    let id = id.ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    leave_session()
        .map_err(|error| ContainerError::io("leave", "the session of the terminal", error))?;
    let task: Option<ExecRequest> =
        serde_json::from_reader(io::stdin()).map_err(|error| failed(error.into()))?;
    let engine = Engine::open(Settings {
        layers: form_of(&form),
        ..Settings::of_store(PathBuf::from(store))
    })?;
    let started = match task {
        None => life::start(&engine, &id, false)?,
        Some(request) => exec::enter(&engine, &id, &request, false)?,
    };
    Ok((engine, started))
}

/// Leaves everything of the caller but standard input and output: its session, its directory, and files that were left
/// open for its children, for whose end others may be waiting.
fn leave_session() -> io::Result<()> {
    let mut inherited = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        inherited.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    for number in inherited.into_iter().filter(|number| *number > 2) {
        // One of them was open for the listing only.
        nix::unistd::close(number).ok();
    }
    rustix::process::setsid()?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// Tells the caller how the start went, and lets go of its streams.
fn detach(report: &Report) -> io::Result<()> {
    let null = openat(
        CWD,
        "/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    rustix::stdio::dup2_stdin(&null)?;
    let mut stdout = io::stdout();
    let said = serde_json::to_vec(report)
        .map_err(io::Error::from)
        .and_then(|report| stdout.write_all(&report).and_then(|()| stdout.flush()));
    rustix::stdio::dup2_stdout(&null)?;
    match said {
        // The caller was killed. What it started goes on.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        said => said,
    }
}

fn form_name(form: LayerForm) -> &'static str {
    match form {
        LayerForm::Auto => "auto",
        LayerForm::Erofs => "erofs",
        LayerForm::Directory => "directory",
    }
}

fn form_of(name: &OsStr) -> LayerForm {
    match name.to_str() {
        Some("erofs") => LayerForm::Erofs,
        Some("directory") => LayerForm::Directory,
        _ => LayerForm::Auto,
    }
}
