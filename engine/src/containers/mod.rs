//! Containers: images that run.
//!
//! There is no daemon. A container is a directory of the store ([`state`]) and, while it runs, a process that supervises
//! it: it holds the lock of the container's id, owns the sandbox, keeps the output, and writes how it ended. In the
//! foreground that is the program itself ([`attach`]), in the background the program executed anew ([`supervisor`]).
//! Every other program finds the container by its directory and signals it directly ([`stop`], [`exec`]). When a
//! supervisor is killed, the kernel ends its sandbox and frees the lock, which whoever looks next notices ([`find`]).
//!
//! The volumes that an image declares are plain directories of its containers: nothing outlives a container but what
//! is mounted from the host.

mod attach;
mod configure;
mod create;
mod environment;
mod error;
mod exec;
mod find;
mod life;
mod log;
mod names;
mod places;
mod prepare;
mod pump;
mod read_log;
mod remove;
mod signals;
mod state;
mod stop;
mod supervisor;

pub(crate) use self::attach::attach_child;
pub use self::attach::{Attached, ContainerProcess};
pub use self::configure::{CreateRequest, PullPolicy};
pub use self::error::ContainerError;
pub use self::exec::ExecRequest;
pub use self::find::Container;
pub(crate) use self::life::stdio;
pub use self::log::LogLine;
pub use self::state::{
    ContainerConfig, ContainerId, ContainerNetwork, ContainerState, TerminalSize, Volume,
};
pub use self::supervisor::{SUPERVISOR, supervise};
