//! The scheduler, tested with operations that count their runs.

#![allow(clippy::unwrap_used, reason = "tests")]

mod caching;
mod ending;
mod fake;
mod random;
mod running;
