//! The build engine as a library: it builds images, moves them in and out, and runs them.
//!
//! An [`Engine`] is a store and what this process has mounted of it. It reads no terminal and no environment of the
//! user's, and prints nothing: what happens is told to a [`event::Listener`]. The threads it is asked on need
//! [`STACK_SIZE`] of stack.

pub mod abilities;
pub mod build;
pub mod builds;
pub mod containers;
mod engine;
mod error;
pub mod event;
mod files;
pub mod images;
pub mod output;
mod progress;
pub mod retention;
mod rootfs;
pub mod rootless;
mod sandbox;
mod sources;
mod tall;
mod users;

pub use engine::{Engine, LayerForm, Settings};
pub use error::{BuildError, Diagnostics, FileError, ImageError, StepError};
pub use files::STACK_SIZE;
pub use runtime::{Error as SealError, seal_executable};
pub use sources::SourceError;
