//! SSH agents of a build: each step that mounts one gets a socket of its own, which lets it see keys and have them sign,
//! and nothing else.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use frontend::plan::SshMount;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::error::StepError;
use crate::images::Scratch;

/// The largest message of the protocol, as OpenSSH has it.
const MAX_MESSAGE: u32 = 256 << 10;
/// What a step may ask an agent for: its keys, and to sign with one.
const ALLOWED: [u8; 2] = [11, 13];
/// The whole answer to everything else: a failure.
const REFUSED: [u8; 5] = [0, 0, 0, 1, 5];
/// The socket's name in its directory.
const SOCKET: &str = "agent";

/// The SSH agents of a build: the paths of their sockets, by id.
#[derive(Debug, Clone, Default)]
pub struct SshAgents(BTreeMap<String, PathBuf>);

impl SshAgents {
    /// Adds an agent by its socket; a second one of the same id takes the first one's place.
    pub fn insert(&mut self, id: String, socket: PathBuf) {
        self.0.insert(id, socket);
    }

    pub(super) fn get(&self, id: &str) -> Option<&Path> {
        self.0.get(id).map(PathBuf::as_path)
    }
}

/// A socket that leads to an agent, until it is dropped.
#[derive(Debug)]
pub(super) struct AgentSocket {
    directory: Scratch,
    serving: AbortHandle,
}

impl AgentSocket {
    /// Makes the socket with the owner and mode of a mount.
    pub(super) fn new(
        store: &cache::Store,
        agent: &Path,
        mount: &SshMount,
    ) -> Result<Self, StepError> {
        let directory = Scratch::new(store)?;
        let failed = |source| StepError::Io {
            action: "make the socket of an SSH agent",
            source,
        };
        let listener = bind(directory.path(), mount).map_err(failed)?;
        let agent: Arc<Path> = agent.into();
        let serving = tokio::spawn(serve(listener, agent)).abort_handle();
        Ok(Self { directory, serving })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join(SOCKET)
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Listens in a directory whose path may be longer than that of a socket can be.
fn bind(directory: &Path, mount: &SshMount) -> std::io::Result<UnixListener> {
    let path = directory.join(SOCKET);
    let directory = File::open(directory)?;
    let short = format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd());
    let listener = UnixListener::bind(short)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mount.mode & 0o777))?;
    std::os::unix::fs::chown(&path, Some(mount.uid), Some(mount.gid))?;
    Ok(listener)
}

/// Serves everyone who connects, until the task is stopped.
async fn serve(listener: UnixListener, agent: Arc<Path>) {
    let mut conversations = JoinSet::new();
    loop {
        tokio::select! {
            connected = listener.accept() => match connected {
                Ok((client, _)) => {
                    let agent = Arc::clone(&agent);
                    // One that fails ends the conversation, of which the client makes its own error.
                    conversations.spawn(async move { converse(client, &agent).await.ok() });
                }
                Err(_) => return,
            },
            Some(_) = conversations.join_next() => {}
        }
    }
}

async fn converse(mut client: UnixStream, agent: &Path) -> std::io::Result<()> {
    let mut agent = UnixStream::connect(agent).await?;
    while let Some(request) = read_message(&mut client).await? {
        let allowed = request.first().is_some_and(|kind| ALLOWED.contains(kind));
        if !allowed {
            client.write_all(&REFUSED).await?;
            continue;
        }
        write_message(&mut agent, &request).await?;
        let Some(answer) = read_message(&mut agent).await? else {
            break;
        };
        write_message(&mut client, &answer).await?;
    }
    Ok(())
}

/// The next message without its length; `None` at the end.
async fn read_message(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<Vec<u8>>> {
    let length = match from.read_u32().await {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        length => length?,
    };
    if length > MAX_MESSAGE {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length as usize];
    from.read_exact(&mut message).await?;
    Ok(Some(message))
}

async fn write_message(to: &mut UnixStream, message: &[u8]) -> std::io::Result<()> {
    // No longer than what was read.
    let mut bytes = (message.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    to.write_all(&bytes).await
}
