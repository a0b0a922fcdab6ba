//! The sandbox that build steps and containers run in.
#![expect(unsafe_code, reason = "the kernel calls of a sandbox have no safe wrappers")]

mod capability;
mod error;
mod seccomp;
mod sys;
mod user;

pub use capability::{Capabilities, Capability};
pub use error::{Error, ExecError, Stage};
pub use user::{User, UserError, resolve_group, resolve_user};
