//! Files on their way into layers: where they come from, which of them a copy names, and where they go.

pub(crate) mod archive;
pub(crate) mod context;
pub(crate) mod node;
pub(crate) mod planner;
pub(crate) mod resolve;
pub(crate) mod select;
pub(crate) mod view;
mod xattrs;
