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
        let entered = match Need::of(command) {
            Need::Namespace => enter_namespace(),
            Need::NamespaceOf(container) => Local::open(global, settings, &caller)?.join(container),
            Need::Nothing => Ok(()),
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

/// What a command needs of an ordinary user.
enum Need<'a> {
    /// A user namespace: it runs or mounts something, or deletes files that belong to other ids.
    Namespace,
    /// The user namespace of a container.
    NamespaceOf(&'a str),
    /// Nothing: it only reads and moves what is the user's own, or sends signals.
    Nothing,
}

impl<'a> Need<'a> {
    fn of(command: &'a Command) -> Self {
        match command {
            Command::Build(_)
            | Command::Debug(_)
            | Command::Run(_)
            | Command::Info
            | Command::Du(_)
            | Command::Prune(_)
            | Command::Store(_) => Self::Namespace,
            Command::Exec(args) => args
                .words
                .first()
                .map_or(Self::Nothing, |container| Self::NamespaceOf(container)),
            Command::Ps(_)
            | Command::Logs(_)
            | Command::Stop(_)
            | Command::Kill(_)
            | Command::Rm(_)
            | Command::Wait(_)
            | Command::Images(_)
            | Command::Pull(_)
            | Command::Push(_)
            | Command::Login(_)
            | Command::Logout(_)
            | Command::Tag(_)
            | Command::Rmi(_)
            | Command::Inspect(_)
            | Command::History(_)
            | Command::Builds(_)
            | Command::Explain(_)
            | Command::Graph(_)
            | Command::Save(_)
            | Command::Load(_)
            | Command::Version => Self::Nothing,
        }
    }
}
