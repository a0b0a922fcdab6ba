//! What happens first when an ordinary user runs the program.

use std::sync::Arc;

use engine::rootless::{NamespaceError, enter_namespace, is_superuser};

use crate::backend::Local;
use crate::cli::{Command, Global};
use crate::error::Error;
use crate::settings::Settings;

/// Who runs the program, as it was started.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// The machine's superuser.
    Superuser,
    /// An ordinary user. What keeps it from running and mounting things, if something does and a command needs it, is
    /// told when it comes to that: a build without `RUN` does not.
    User {
        /// Why there is no user namespace.
        powerless: Option<Arc<NamespaceError>>,
    },
}

impl Caller {
    /// Finds out who runs the program, and enters a user namespace where the command is one that runs or mounts
    /// something. The program must have no other threads yet.
    pub(crate) fn enter(
        command: &Command,
        global: &Global,
        settings: &Settings,
    ) -> Result<Self, Error> {
        if is_superuser() {
            return Ok(Self::Superuser);
        }
        let caller = Self::User { powerless: None };
        // In a namespace already, such as a container manager's.
        if rustix::process::geteuid().is_root() {
            return Ok(caller);
        }
        let entered = match command {
            Command::Build(_) | Command::Run(_) | Command::Info => enter_namespace(),
            Command::Exec(args) => match args.words.first() {
                Some(container) => Local::open(global, settings, &caller)?.join(container),
                None => Ok(()),
            },
            // These only read and move what is the user's own, and send signals.
            _ => Ok(()),
        };
        Ok(Self::User {
            powerless: entered.err().map(Arc::new),
        })
    }

    pub(crate) fn is_superuser(&self) -> bool {
        matches!(self, Self::Superuser)
    }

    pub(crate) fn powerless(&self) -> Option<Arc<NamespaceError>> {
        match self {
            Self::Superuser => None,
            Self::User { powerless } => powerless.clone(),
        }
    }
}
