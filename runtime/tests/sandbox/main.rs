//! Real sandboxes, made by the superuser on a real kernel.

#![allow(clippy::unwrap_used, reason = "tests")]

mod devices;
mod layers;
mod life;
mod namespaces;
mod powers;
mod program;
mod support;
mod terminal;
