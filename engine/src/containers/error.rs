//! Why something could not be done with a container.

use std::io::ErrorKind;
use std::sync::Arc;

use crate::error::{ImageError, StepError};

/// Something that could not be done with a container.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// Nothing has this name or id.
    #[error("no such container: `{0}`")]
    NotFound(String),
    /// The beginning of more than one id.
    #[error("`{0}` begins the ids of several containers")]
    Ambiguous(String),
    /// Another container has the name.
    #[error(
        "conflict: the container name `/{name}` is already in use by container `{id}`; remove (or rename) that container \
         to be able to reuse that name"
    )]
    Conflict {
        /// The name.
        name: String,
        /// Who has it.
        id: String,
    },
    /// A name that no container can have.
    #[error("invalid container name `{0}`: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    BadName(String),
    /// Neither the image nor the caller says what to run.
    #[error("no command specified")]
    NoCommand,
    /// A working directory that is not absolute.
    #[error("the working directory `{0}` is invalid: it needs to be an absolute path")]
    BadDirectory(String),
    /// A volume whose target can't be.
    #[error("invalid volume target `{0}`: it must be an absolute path other than `/`")]
    BadTarget(String),
    /// Two volumes for one place.
    #[error("duplicate mount point: `{0}`")]
    DuplicateTarget(String),
    /// A number that is no signal.
    #[error("`{0}` is not a signal")]
    BadSignal(i32),
    /// A container that has to run does not.
    #[error("container `{0}` is not running")]
    NotRunning(String),
    /// A container that is to be started runs.
    #[error("container `{0}` is running already")]
    AlreadyRunning(String),
    /// A container that is to be removed runs.
    #[error(
        "cannot remove container `/{0}`: container is running: stop the container before removing or force remove"
    )]
    StillRunning(String),
    /// The image is not there, or could not be brought in.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The store has lost a layer of the container's image.
    #[error("layer `{layer}` of `{image}` is not in the store; pull the image again")]
    LostLayer {
        /// The layer's diff ID.
        layer: String,
        /// The image.
        image: String,
    },
    /// The process could not be started.
    #[error(transparent)]
    Start(Box<StepError>),
    /// The process could not be started by the program in the background, which said why.
    #[error("{message}")]
    Background {
        /// What it said.
        message: String,
        /// The exit code of a command that can't be executed.
        code: Option<u8>,
    },
    /// The program in the background ended without a word.
    #[error("the program that runs the container in the background ended early")]
    Supervisor,
    /// What watched the process ended before it.
    #[error("the process is not watched any more")]
    Unwatched,
    /// A failure that was told before.
    #[error(transparent)]
    Shared(Arc<Self>),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] cache::Error),
    /// The work was stopped.
    #[error("cancelled")]
    Cancelled,
    /// A file could not be used.
    #[error("cannot {action} `{what}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ContainerError {
    pub(crate) fn io(
        action: &'static str,
        what: impl std::fmt::Display,
        source: std::io::Error,
    ) -> Self {
        Self::Io {
            action,
            what: what.to_string(),
            source,
        }
    }

    /// The exit code that Docker gives for a command that can't be executed: 127 for one that is not there, else 126.
    /// `None` for all other failures.
    pub fn exit_code(&self) -> Option<u8> {
        match self {
            Self::Background { code, .. } => *code,
            Self::Shared(error) => error.exit_code(),
            Self::Start(error) => match &**error {
                StepError::Sandbox(error) => sandbox_code(error),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it says that a file is not there.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == ErrorKind::NotFound)
    }
}

fn sandbox_code(error: &runtime::Error) -> Option<u8> {
    match error {
        runtime::Error::Exec(error) => Some(error.exit_code()),
        runtime::Error::Setup {
            stage: runtime::Stage::WorkingDirectory,
            source,
            ..
        } if source.kind() == ErrorKind::NotFound => Some(127),
        runtime::Error::Setup {
            stage: runtime::Stage::WorkingDirectory,
            ..
        } => Some(126),
        _ => None,
    }
}

impl From<StepError> for ContainerError {
    fn from(error: StepError) -> Self {
        Self::Start(Box::new(error))
    }
}

impl From<runtime::Error> for ContainerError {
    fn from(error: runtime::Error) -> Self {
        StepError::from(error).into()
    }
}
