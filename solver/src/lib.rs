//! The graph of a build: its nodes, their cache keys, and the scheduler that runs only what must be run.
//!
//! This crate knows no Dockerfile, no file format and no disk. What a node does and where results are kept are
//! behind traits; what happens is told as typed events.

pub mod graph;

pub use graph::{Graph, NodeId};
