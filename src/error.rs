//! What can go wrong in the program, and where class, hint and exit code are decided: here, once.
//!
//! | exit code | when |
//! | --- | --- |
//! | 0 | it worked |
//! | 1 | it did not; for every command but `run` and `exec` also: the command line is wrong |
//! | 125 | `run`: the engine failed; `run`, `exec`: the command line is wrong |
//! | 126 | `run`, `exec`: the command cannot be executed |
//! | 127 | `run`, `exec`: the command was not found |
//! | 130, 143 | stopped by Ctrl-C, by SIGTERM |
//! | the command's own | `run`, `exec`; 128 + N if signal N ended it |

use std::error::Error as StdError;
use std::path::PathBuf;

use engine::rootless::single_id;

use crate::args::BadValue;
use crate::args::environment::EnvFileError;
use crate::display::DisplayError;

/// What an engine could not do, in classes that commands answer differently.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    /// The Dockerfile or one of its steps; the excerpt is shown above the message.
    #[error("{source}")]
    Build {
        /// Place, source lines and caret; empty for none.
        excerpt: String,
        /// Whether it was a command of the user's that failed.
        command: bool,
        /// What went wrong.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No such image, container or name.
    #[error("{source}")]
    NotFound {
        /// Which.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The command of a container is not there.
    #[error("{source}")]
    CommandNotFound {
        /// Which, and where it was searched.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The command of a container is not executable.
    #[error("{source}")]
    CommandNotExecutable {
        /// Which, and why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Everything else.
    #[error("{source}")]
    Other {
        /// What.
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// What a command could not do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The engine failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A flag or argument makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A file of variables cannot be used.
    #[error(transparent)]
    EnvFile(#[from] EnvFileError),
    /// The display asked for cannot be shown.
    #[error(transparent)]
    Display(#[from] DisplayError),
    /// A file of the host cannot be used.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The program's own file cannot be kept from those in a container.
    #[error("cannot protect the program's own file")]
    Seal(#[from] engine::SealError),
    /// Standard output, the terminal or a signal cannot be used.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Some of several things could not be done; each has been reported.
    #[error("not everything could be done")]
    Reported,
    /// The user or the system asked to stop.
    #[error("cancelled")]
    Interrupted {
        /// By which signal.
        signal: i32,
    },
}

impl From<BadValue> for Error {
    fn from(value: BadValue) -> Self {
        Self::Usage(value.0)
    }
}

impl Error {
    /// Failing to write to standard output.
    pub(crate) fn output(source: std::io::Error) -> Self {
        Self::Io {
            action: "write to standard output",
            source,
        }
    }

    /// Whether the reader of standard output has gone, which needs no word.
    fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// The exit code for `command`.
    pub(crate) fn exit_code(&self, command: &str) -> u8 {
        match self {
            Self::Interrupted { signal } => u8::try_from(128 + signal).unwrap_or(1),
            Self::Backend(BackendError::CommandNotFound { .. }) => 127,
            Self::Backend(BackendError::CommandNotExecutable { .. }) => 126,
            Self::Backend(_) if command == "exec" => 1,
            _ => failure_code(command),
        }
    }

    /// What is written to standard error: the excerpt, the message with its causes, a hint. Empty for what needs no
    /// word.
    pub(crate) fn report(&self, command: &str) -> String {
        if matches!(self, Self::Reported) || self.is_closed_pipe() {
            return String::new();
        }
        let mut text = String::new();
        if let Self::Backend(BackendError::Build { excerpt, .. }) = self
            && !excerpt.is_empty()
        {
            text = format!("{}\n", excerpt.trim_end());
        }
        text += match (command, self) {
            (_, Self::Usage(_)) | ("run" | "exec" | "ps", _) => "rbuild: error: ",
            ("build", _) => "ERROR: failed to build: ",
            _ => "rbuild: error: ",
        };
        text += &chain(self);
        text.push('\n');
        if let Some(hint) = self.hint(command) {
            text.extend(["hint: ", &hint, "\n"]);
        }
        text
    }

    fn hint(&self, command: &str) -> Option<String> {
        match self {
            Self::Usage(_) => Some(format!("`rbuild {command} --help` lists the flags")),
            Self::Display(DisplayError::NotATerminal) => {
                Some("`--progress=plain` works everywhere".to_owned())
            }
            Self::Backend(BackendError::NotFound { .. }) => match command {
                "push" | "tag" | "rmi" | "save" | "history" => {
                    Some("`rbuild images` lists the images that are here".to_owned())
                }
                "builds" | "explain" => {
                    Some("`rbuild builds ls` lists the builds that are remembered".to_owned())
                }
                "exec" | "logs" | "stop" | "kill" | "rm" | "wait" => {
                    Some("`rbuild ps -a` lists all containers".to_owned())
                }
                _ => None,
            },
            Self::Backend(BackendError::Build { command: true, .. }) => single_id().map(|reason| {
                format!("if it changes users or owners: only one id is there, as {reason}")
            }),
            _ => None,
        }
    }
}

/// The exit code when `command` fails before anything of the user's ran.
pub(crate) fn failure_code(command: &str) -> u8 {
    match command {
        "run" | "exec" => 125,
        _ => 1,
    }
}

/// An error and its causes on one line. A cause that only repeats what has been said is left out.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut said = text.clone();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !said.ends_with(&message) {
            text += ": ";
            text += &message;
        }
        said = message;
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(text: &str) -> Box<dyn StdError + Send + Sync> {
        text.to_owned().into()
    }

    #[test]
    fn exit_codes_are_those_of_the_table() {
        let not_found = || Error::Backend(BackendError::CommandNotFound { source: cause("x") });
        let denied = || Error::Backend(BackendError::CommandNotExecutable { source: cause("x") });
        let other = || Error::Backend(BackendError::Other { source: cause("x") });
        for (error, command, code) in [
            (not_found(), "run", 127),
            (denied(), "exec", 126),
            (other(), "run", 125),
            (other(), "exec", 1),
            (Error::Usage("x".to_owned()), "exec", 125),
            (other(), "build", 1),
            (Error::Usage("x".to_owned()), "run", 125),
            (Error::Usage("x".to_owned()), "images", 1),
            (Error::Interrupted { signal: 2 }, "build", 130),
            (Error::Interrupted { signal: 15 }, "pull", 143),
        ] {
            assert_eq!(error.exit_code(command), code, "{error:?} {command}");
        }
    }

    #[test]
    fn reports_have_excerpt_message_and_hint() {
        let error = Error::Backend(BackendError::Build {
            excerpt: "Dockerfile:2\n   2 | RUN false\n".to_owned(),
            command: true,
            source: cause("step failed"),
        });
        assert_eq!(
            error.report("build"),
            "Dockerfile:2\n   2 | RUN false\nERROR: failed to build: step failed\n"
        );
        let error = Error::Backend(BackendError::NotFound {
            source: cause("no such container: `x`"),
        });
        assert_eq!(
            error.report("logs"),
            "rbuild: error: no such container: `x`\nhint: `rbuild ps -a` lists all containers\n"
        );
        let closed = Error::output(std::io::ErrorKind::BrokenPipe.into());
        assert_eq!(closed.report("images"), "");
    }

    #[test]
    fn causes_are_said_once() {
        let error = Error::File {
            action: "read",
            path: "/x".into(),
            source: std::io::Error::other("gone"),
        };
        assert_eq!(chain(&error), "cannot read `/x`: gone");
        let error = Error::Backend(BackendError::Other {
            source: cause("same"),
        });
        assert_eq!(chain(&error), "same");
    }
}
