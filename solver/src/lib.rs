//! The graph of a build: its nodes, their cache keys, and the scheduler that runs only what must be run.
//!
//! This crate knows no Dockerfile, no file format and no disk. What a node does and where results are kept are
//! behind traits; what happens is told as typed events.

pub mod action_cache;
pub mod event;
pub mod graph;
pub mod key;
pub mod operation;
mod scheduler;

pub use action_cache::{ActionCache, Keys, Origin};
pub use event::{Event, Hit, MissReason};
pub use futures_util::future::BoxFuture;
pub use graph::{Graph, NodeId};
pub use key::{ContentDigest, ContentKey, DefinitionKey, KeyWriter, OperationDigest};
pub use operation::{CachePolicy, Operation, RunContext};
pub use scheduler::{Foreseen, Options, SolveError, Solved, foresee, solve};
