//! What the solver asks of the thing that a node stands for.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::graph::NodeId;
use crate::key::{ContentDigest, OperationDigest};

/// Work that a node stands for.
///
/// All futures of one solve are polled by the task that awaits the solve, so none of them may block the thread:
/// work of more than some microseconds belongs on a blocking thread or a thread pool.
pub trait Operation: Send + Sync + 'static {
    /// What the work gives, and what it needs of its inputs. Clones are made freely and should be cheap.
    type Output: Clone + Send + Sync + 'static;
    /// Why it failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What this operation is, apart from its inputs. Asked once for each node, before anything runs; may read
    /// local files whose bytes belong to the operation.
    fn identity(&self) -> BoxFuture<'_, Result<OperationDigest, Self::Error>>;

    /// The digest of the very content that the operation reads from its inputs, or `None` when it has no content
    /// key. May wait until that content is known.
    fn content<'a>(
        &'a self,
        inputs: &'a [Self::Output],
    ) -> BoxFuture<'a, Result<Option<ContentDigest>, Self::Error>>;

    /// Does the work. Once [`RunContext::cancelled`] is triggered it should stop and return, with any result; a
    /// future that does not is dropped after [`Options::grace`](crate::Options::grace).
    fn run(
        &self,
        inputs: Vec<Self::Output>,
        context: RunContext,
    ) -> BoxFuture<'_, Result<Self::Output, Self::Error>>;

    /// Whether earlier results may be used.
    fn policy(&self) -> CachePolicy {
        CachePolicy::Use
    }

    /// Whether running it takes one of the solve's job slots. Work that only waits need not.
    fn takes_slot(&self) -> bool {
        true
    }
}

/// Whether earlier results of a node may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CachePolicy {
    /// They may.
    #[default]
    Use,
    /// The node runs whenever it is needed, and its result is recorded. Nodes that build on it may use results
    /// by content only, since a result by definition would make the run needless.
    Refresh,
    /// They may as long as they are not older than this. What builds on the node may use results by definition only
    /// while the node's own result may be used.
    Within(Duration),
}

/// What a running operation knows of its solve.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// The node that runs; where several nodes are the same work, the first of them.
    pub node: NodeId,
    /// Triggered when the result is no longer wanted.
    pub cancelled: CancellationToken,
}
