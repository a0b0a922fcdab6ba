//! Files on their way into layers: where they come from, which of them a copy names, and where they go.

pub(crate) mod archive;
pub(crate) mod context;
pub(crate) mod filter;
pub(crate) mod node;
pub(crate) mod planner;
pub(crate) mod resolve;
pub(crate) mod select;
pub(crate) mod view;
mod xattrs;

/// How much stack a thread needs that reads trees of files, which is done by recursion: paths have at most 2,048
/// components, and a debug build takes 30 KiB for each at most.
pub const STACK_SIZE: usize = 64 << 20;
