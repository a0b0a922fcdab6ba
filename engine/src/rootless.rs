//! What lets an ordinary user run and mount things: a user namespace, entered before the program has threads.

pub use runtime::{
    NamespaceError, Shortfall, enter_user_namespace as enter_namespace, is_superuser,
};

use runtime::{Identity, Ids};

use crate::containers::ContainerState;
use crate::engine::Engine;

impl Engine {
    /// Enters the user namespace of a running container, in which alone its processes have company. Nothing happens when
    /// there is no such container, or it does not run: whatever is to be done with it will say so.
    ///
    /// The program must have no other threads, and open another engine afterwards. It is executed anew through a mount
    /// that nobody inside can write to, and is told by its ids that it has joined already.
    pub fn join_container(&self, name: &str) -> Result<(), NamespaceError> {
        let Ok(ContainerState::Running { pid, ticks, .. }) =
            self.container(name).map(|container| container.state)
        else {
            return Ok(());
        };
        runtime::join_user_namespace(Identity {
            pid,
            start_time: ticks,
        })?;
        runtime::seal_executable().map_err(|error| NamespaceError::Seal(Box::new(error)))
    }
}

/// Why all files and processes have to belong to one user here, where that is so.
pub fn single_id() -> Option<Shortfall> {
    Ids::current().ok()?.shortfall()
}
