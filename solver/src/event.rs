//! What a solve tells while it works. Events of one node come in the order of the variants here; a node that never
//! starts and is not found in the cache has the first at most. Listeners are called in place, so they must be quick.

use std::sync::Arc;

use crate::graph::NodeId;
use crate::key::DefinitionKey;

/// One thing that happened. Nodes that are the same work have the same events.
#[derive(Debug)]
pub enum Event<E> {
    /// It is known what the node is, and all that leads to it.
    Identified(NodeId, DefinitionKey),
    /// The node is complete without having run.
    Cached(NodeId, Hit),
    /// The node has to run, as soon as there is a job free for it.
    Missed(NodeId, MissReason),
    /// The node's work began.
    Started(NodeId),
    /// The work is complete and its result in use.
    Finished(NodeId),
    /// The work, or finding out what it is, ended in an error.
    Failed(NodeId, Arc<E>),
    /// The work began and was given up, because of another node's failure or from outside.
    Cancelled(NodeId),
}

/// How a node was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hit {
    /// By its definition key.
    Definition,
    /// By its content key.
    Content,
    /// It was not needed, because all that builds on it was found.
    Ancestor,
}

/// Why a node was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MissReason {
    /// Its operation has never been recorded under any content.
    NoRecord,
    /// Its operation is known, but not on this content.
    InputsChanged,
    /// Its policy is to run.
    Refresh,
    /// Its result is older than its policy takes.
    Expired,
}
