//! The build engine as a library.

pub mod event;
