//! Runs `git`, which believes nothing of a repository, of this user or of this machine: it reads no configuration but
//! what is given here, runs no hooks, filters or helpers, asks nobody anything, and speaks to servers only by the
//! protocols that are listed.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use frontend::remote::{host, redacted};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::super::layer::blocking;
use super::super::{Access, SourceError};

/// By what servers are spoken to.
const PROTOCOLS: &str = "http:https:git:ssh";
/// The most that is read of an answer.
const MAX_ANSWER: u64 = 256 << 20;
/// The most that is read of what is said of an error.
const MAX_SAID: u64 = 64 << 10;
/// How much of it is shown.
const SHOWN: usize = 400;
/// Seconds after which a server that sends nothing is given up.
const PATIENCE: &str = "60";
/// No file, where one is named.
const NOTHING: &str = "/dev/null";
/// The user that tokens go by.
const TOKEN_USER: &str = "x-access-token";
/// Where all repositories take the same token.
const GITHUB: [&str; 2] = ["https://github.com/", "https://www.github.com/"];

/// `git` for one repository.
#[derive(Debug, Clone)]
pub(super) struct Git {
    /// The repository's URL.
    pub(super) url: String,
    /// The repository's own directory; `None` where there is none yet.
    pub(super) directory: Option<PathBuf>,
    /// Variables: configuration and the way to servers.
    variables: Vec<(OsString, OsString)>,
    protocols: &'static str,
}

/// One use of it.
pub(super) struct Call<'a> {
    /// What it is to do, for messages.
    pub(super) action: &'static str,
    pub(super) args: &'a [&'a OsStr],
    /// The index and the directory of files, where the command has any.
    pub(super) tree: Option<(&'a Path, &'a Path)>,
    /// What it reads.
    pub(super) input: Vec<u8>,
}

impl<'a> Call<'a> {
    pub(super) fn new(action: &'static str, args: &'a [&'a OsStr]) -> Self {
        Self {
            action,
            args,
            tree: None,
            input: Vec::new(),
        }
    }
}

/// How a login is sent: the URLs that it is good for, and the header.
#[derive(Clone)]
pub(super) struct Login {
    scope: String,
    header: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl Login {
    /// The login that the secrets have for a repository: `GIT_AUTH_HEADER` or `GIT_AUTH_TOKEN`, those for its host first.
    pub(super) fn find(url: &str, access: Access<'_>) -> Result<Option<Self>, SourceError> {
        let Some(host) = host(url).filter(|_| url.starts_with("http")) else {
            return Ok(None);
        };
        let github = GITHUB.iter().find(|prefix| url.starts_with(**prefix));
        let scope = github.map_or(url, |prefix| *prefix).to_owned();
        for suffix in [format!(".{host}"), String::new()] {
            let read = |kind: &str| access.secrets.read(&format!("GIT_AUTH_{kind}{suffix}"));
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
            if let Some(header) = read("HEADER")? {
                let header = text(header.as_bytes());
                return Ok(Some(Self { scope, header }));
            }
            if let Some(token) = read("TOKEN")? {
                let login = format!("{TOKEN_USER}:{}", text(token.as_bytes()));
                let header = format!("basic {}", BASE64.encode(login));
                return Ok(Some(Self { scope, header }));
            }
        }
        Ok(None)
    }
}

impl Git {
    pub(super) fn new(
        url: &str,
        login: Option<&Login>,
        proxies: &image::registry::Proxies,
        known_hosts: &Path,
    ) -> Self {
        let mut settings = vec![
            ("core.hooksPath".to_owned(), NOTHING.to_owned()),
            ("core.fsmonitor".to_owned(), "false".to_owned()),
            ("core.symlinks".to_owned(), "true".to_owned()),
            ("core.protectNTFS".to_owned(), "true".to_owned()),
            ("core.protectHFS".to_owned(), "true".to_owned()),
            ("advice.detachedHead".to_owned(), "false".to_owned()),
            ("gc.auto".to_owned(), "0".to_owned()),
            ("maintenance.auto".to_owned(), "false".to_owned()),
            ("fetch.recurseSubmodules".to_owned(), "false".to_owned()),
            // Packs that are made by chance of two threads would differ.
            ("pack.threads".to_owned(), "1".to_owned()),
            ("fetch.unpackLimit".to_owned(), "1".to_owned()),
            ("safe.directory".to_owned(), "*".to_owned()),
            ("http.lowSpeedLimit".to_owned(), "1".to_owned()),
            ("http.lowSpeedTime".to_owned(), PATIENCE.to_owned()),
        ];
        if let Some(Login { scope, header }) = login {
            settings.push((
                format!("http.{scope}.extraHeader"),
                format!("Authorization: {header}"),
            ));
        }
        let mut variables = vec![
            ("GIT_CONFIG_COUNT".into(), settings.len().to_string().into()),
            ("GIT_SSH_COMMAND".into(), ssh(known_hosts)),
        ];
        for (number, (key, value)) in settings.into_iter().enumerate() {
            // In the environment nobody else can read it.
            variables.push((format!("GIT_CONFIG_KEY_{number}").into(), key.into()));
            variables.push((format!("GIT_CONFIG_VALUE_{number}").into(), value.into()));
        }
        for (name, value) in [
            ("http_proxy", &proxies.http),
            ("https_proxy", &proxies.https),
            ("no_proxy", &proxies.except),
        ] {
            variables.extend(value.as_ref().map(|value| (name.into(), value.into())));
        }
        Self {
            url: url.to_owned(),
            directory: None,
            variables,
            protocols: PROTOCOLS,
        }
    }

    /// The same with an agent that has keys for SSH.
    pub(super) fn with_agent(mut self, socket: Option<&Path>) -> Self {
        let variable = socket.map(|socket| ("SSH_AUTH_SOCK".into(), socket.into()));
        self.variables.extend(variable);
        self
    }

    /// The same in a repository's directory.
    pub(super) fn at(&self, directory: PathBuf) -> Self {
        Self {
            directory: Some(directory),
            ..self.clone()
        }
    }

    /// The same for what is on this machine, and nothing else.
    pub(super) fn local(&self) -> Self {
        Self {
            protocols: "file",
            ..self.clone()
        }
    }

    /// Runs it to its end, and gives what it wrote. Dropping the future kills it.
    pub(super) async fn run(&self, call: Call<'_>) -> Result<Vec<u8>, SourceError> {
        let mut command = runtime::helper("git");
        command
            .args(call.args)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .envs([
                ("HOME", NOTHING),
                ("LC_ALL", "C"),
                ("GIT_ALLOW_PROTOCOL", self.protocols),
                ("GIT_ATTR_NOSYSTEM", "1"),
                ("GIT_CONFIG_GLOBAL", NOTHING),
                ("GIT_CONFIG_NOSYSTEM", "1"),
                ("GIT_NO_REPLACE_OBJECTS", "1"),
                ("GIT_TERMINAL_PROMPT", "0"),
            ]);
        if let Some(directory) = &self.directory {
            command.env("GIT_DIR", directory);
        }
        if let Some((index, files)) = call.tree {
            command
                .env("GIT_INDEX_FILE", index)
                .env("GIT_WORK_TREE", files)
                .current_dir(files);
        }
        let (action, url, input) = (call.action, redacted(&self.url), call.input);
        let running = Running::default();
        let started = running.clone();
        let result = blocking(move || {
            let child = command.spawn().map_err(SourceError::NoGit)?;
            let output = started.finish(child, &input);
            let (succeeded, answer, said) = output.map_err(|source| SourceError::Io {
                action: "run `git`",
                source,
            })?;
            if succeeded {
                return Ok(answer);
            }
            let said = explain(&said);
            Err(SourceError::Git { action, url, said })
        });
        let result = result.await;
        drop(running);
        result
    }
}

/// SSH without anything of the user's: no configuration and no keys but those of an agent. A host is believed when it is
/// met first, and must be the same from then on.
fn ssh(known_hosts: &Path) -> OsString {
    let mut command = OsString::from(
        "ssh -F none -o BatchMode=yes -o IdentityFile=none -o StrictHostKeyChecking=accept-new \
         -o ConnectTimeout=30 -o ServerAliveInterval=20 -o UserKnownHostsFile=",
    );
    // Paths of the store are quoted for the shell that Git passes this to.
    let quoted = known_hosts.to_string_lossy().replace('\'', r"'\''");
    command.push(format!("'{quoted}'"));
    command
}

/// What Git said of a failure: its last lines, fit for a terminal and without passwords.
fn explain(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines
        .map(|line| {
            let words = line.split(' ').map(|word| match word.split_once("://") {
                Some(_) => redacted(word),
                None => word.chars().filter(|c| !c.is_control()).collect(),
            });
            words.collect::<Vec<_>>().join(" ")
        })
        .collect();
    let last = &lines[lines.len().saturating_sub(3)..];
    last.join("; ").chars().take(SHOWN).collect()
}

/// A child that is killed when the last that holds this lets go before it has ended.
#[derive(Debug, Clone, Default)]
struct Running(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    child: Option<OwnedFd>,
    abandoned: bool,
}

impl Running {
    /// Feeds a child, and waits for it: whether it succeeded, what it wrote and what it said.
    fn finish(&self, mut child: Child, input: &[u8]) -> std::io::Result<(bool, Vec<u8>, Vec<u8>)> {
        if !self.watch(&child)? {
            child.kill()?;
        }
        let mut stdin = child.stdin.take();
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        let (mut answer, mut said) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if let Some(mut stdin) = stdin.take() {
                    // A child that wants no more says why.
                    stdin.write_all(input).ok();
                }
            });
            scope.spawn(|| read(stderr.as_mut(), MAX_SAID, &mut said));
            read(stdout.as_mut(), MAX_ANSWER, &mut answer);
        });
        let status = child.wait()?;
        self.state().child = None;
        Ok((status.success(), answer, said))
    }

    /// Has the child be killed with the future. `false` if that is gone already.
    fn watch(&self, child: &Child) -> std::io::Result<bool> {
        // Ids of processes are positive.
        let id = Pid::from_raw(child.id() as i32).ok_or(std::io::ErrorKind::NotFound)?;
        let handle = pidfd_open(id, PidfdFlags::empty())?;
        let mut state = self.state();
        state.child = Some(handle);
        Ok(!state.abandoned)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.state();
        state.abandoned = true;
        if let Some(child) = state.child.take() {
            // It may have ended by itself.
            pidfd_send_signal(child, Signal::KILL).ok();
        }
    }
}

/// Reads so many bytes, and lets the rest go by.
fn read(stream: Option<&mut impl Read>, limit: u64, bytes: &mut Vec<u8>) {
    let Some(stream) = stream else { return };
    // What cannot be read is what a killed child would have written.
    stream.take(limit).read_to_end(bytes).ok();
    std::io::copy(stream, &mut std::io::sink()).ok();
}
