//! What the solver asks of the memory of earlier results.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::key::{ContentKey, DefinitionKey, OperationDigest};

/// Results of earlier runs. Look-ups are synchronous and must be quick: a few system calls. A record that cannot be
/// read counts as absent.
pub trait ActionCache<Output, Error>: Send + Sync {
    /// Holds the right to run one step; given back when dropped.
    type Guard: Send;

    /// The result of the step that has this key, unless it was made longer ago than `within`.
    fn by_definition(&self, key: &DefinitionKey, within: Option<Duration>) -> Option<Output>;

    /// Whether any result of this operation is recorded under a content key. If not, asking for the content of
    /// its inputs, which may take long, cannot find anything.
    fn knows_operation(&self, operation: &OperationDigest) -> bool;

    /// The result of an operation on this content, put on top of these inputs, unless it was made longer ago than
    /// `within`.
    fn by_content(
        &self,
        key: &ContentKey,
        inputs: &[Output],
        within: Option<Duration>,
    ) -> Option<Output>;

    /// Keeps a result. Runs while later steps run, and may wait until the result's own content is known; the solve
    /// ends only when all of these have ended.
    fn record(&self, keys: Keys, output: Output) -> BoxFuture<'_, Result<(), Error>>;

    /// Waits until no other solve, of this process or another, runs the step that has this key. Held until the
    /// result is recorded. Dropping the future gives up.
    fn exclusive<'a>(&'a self, key: &'a DefinitionKey)
    -> BoxFuture<'a, Result<Self::Guard, Error>>;
}

/// Under which keys a result is to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// The operation that gave it.
    pub operation: OperationDigest,
    /// The key known before it ran.
    pub definition: DefinitionKey,
    /// The key known once its inputs were; `None` when it has none.
    pub content: Option<ContentKey>,
    /// How the result came to be.
    pub origin: Origin,
}

/// How a result that is recorded came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was made.
    Made,
    /// It was found under its content key, and is as old as what is recorded there.
    Found,
}
