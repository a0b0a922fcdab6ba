//! Images against real registries and tools, and against servers and archives that lie.

#![allow(clippy::unwrap_used, reason = "tests")]

mod archives;
mod bad_archives;
mod bad_registries;
mod fake;
mod https;
mod login;
mod real_registry;
mod resumes;
mod store;
mod uploads;
