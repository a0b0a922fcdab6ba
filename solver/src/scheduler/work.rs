//! The life of one unit once its inputs are known: found by content, found while waiting for another process, or
//! run; and then recorded.

use std::sync::atomic::Ordering;

use super::Solve;
use super::unit::Unit;
use crate::action_cache::{self, ActionCache, Keys};
use crate::event::{Event, Hit, MissReason};
use crate::key::ContentKey;
use crate::operation::{Operation, RunContext};

/// A unit that has its output.
#[derive(Debug)]
pub(super) struct Worked<T, G> {
    /// The output.
    pub output: T,
    /// How it came to be.
    pub origin: Origin<G>,
}

/// Where an output comes from, with what its recording needs.
#[derive(Debug)]
pub(super) enum Origin<G> {
    /// Another process recorded it meanwhile.
    Definition,
    /// An earlier run on the same content.
    Content(ContentKey),
    /// This run.
    Run {
        /// The content key, if it has been asked for yet.
        content: Content,
        /// The right to run it, held until it is recorded.
        guard: Option<G>,
    },
}

/// What is known of a unit's content key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// Not asked for.
    Unasked,
    /// Asked for; `None` if the operation has none.
    Known(Option<ContentKey>),
}

/// Why a unit has no output.
#[derive(Debug)]
pub(super) enum Interrupted<E> {
    /// It failed by itself.
    Failed(E),
    /// The solve was ended.
    Cancelled,
}

/// What [`Solve::work`] gives.
pub(super) type Outcome<T, G, E> = Result<Worked<T, G>, Interrupted<E>>;

impl<O: Operation, C: ActionCache<O::Output, O::Error> + ?Sized> Solve<'_, O, C> {
    /// Finds or makes the output of a unit from its inputs' outputs.
    pub(super) async fn work(
        &self,
        number: usize,
        inputs: &[O::Output],
    ) -> Outcome<O::Output, C::Guard, O::Error> {
        let unit = &self.units[number];
        let known = !unit.refresh && self.cache.knows_operation(&unit.operation);
        let mut content = Content::Unasked;
        if known {
            let key = self
                .unless_cancelled(self.content_key(number, inputs))
                .await?;
            let found = key.and_then(|key| {
                let output = self.cache.by_content(&key, inputs, unit.within)?;
                Some((key, output))
            });
            if let Some((key, output)) = found {
                self.tell(number, |node| Event::Cached(node, Hit::Content));
                return Ok(Worked {
                    output,
                    origin: Origin::Content(key),
                });
            }
            content = Content::Known(key);
        }
        let mut guard = None;
        if unit.by_definition {
            guard = Some(
                self.unless_cancelled(self.cache.exclusive(&unit.definition))
                    .await?,
            );
            if let Some(output) = self.cache.by_definition(&unit.definition, unit.within) {
                self.tell(number, |node| Event::Cached(node, Hit::Definition));
                return Ok(Worked {
                    output,
                    origin: Origin::Definition,
                });
            }
        }
        let reason = self.reason(unit, known, content, inputs);
        let output = self.run(number, inputs.to_vec(), reason).await?;
        Ok(Worked {
            output,
            origin: Origin::Run { content, guard },
        })
    }

    /// Why a unit was not found.
    fn reason(
        &self,
        unit: &Unit,
        known: bool,
        content: Content,
        inputs: &[O::Output],
    ) -> MissReason {
        let key = match content {
            Content::Known(key) => key,
            Content::Unasked => None,
        };
        if unit.refresh {
            MissReason::Refresh
        } else if unit.has_expired(self.cache, key, inputs) {
            MissReason::Expired
        } else if known {
            MissReason::InputsChanged
        } else {
            MissReason::NoRecord
        }
    }

    /// Runs a unit's operation once there is a slot for it.
    async fn run(
        &self,
        number: usize,
        inputs: Vec<O::Output>,
        reason: MissReason,
    ) -> Result<O::Output, Interrupted<O::Error>> {
        let (unit, operation) = (&self.units[number], self.operation(number));
        self.tell(number, |node| Event::Missed(node, reason));
        let _slot = if operation.takes_slot() {
            let slot = self
                .cancelled
                .run_until_cancelled(self.slots.acquire())
                .await;
            Some(
                slot.ok_or(Interrupted::Cancelled)?
                    .expect("the semaphore is never closed"),
            )
        } else {
            None
        };
        unit.started.store(true, Ordering::Relaxed);
        self.tell(number, Event::Started);
        let context = RunContext {
            node: unit.node(),
            cancelled: self.cancelled.clone(),
        };
        operation.run(inputs, context).await.map_err(|error| {
            if self.cancelled.is_cancelled() {
                Interrupted::Cancelled
            } else {
                Interrupted::Failed(error)
            }
        })
    }

    /// Records the output of a unit, and gives back the right to run it.
    pub(super) async fn record(
        &self,
        number: usize,
        inputs: &[O::Output],
        worked: Worked<O::Output, C::Guard>,
    ) -> Result<(), O::Error> {
        let unit = &self.units[number];
        let (content, origin, _guard) = match worked.origin {
            Origin::Definition => return Ok(()),
            Origin::Content(key) => (Some(key), action_cache::Origin::Found, None),
            Origin::Run { content, guard } => {
                let key = match content {
                    Content::Known(key) => key,
                    Content::Unasked => self.content_key(number, inputs).await?,
                };
                (key, action_cache::Origin::Made, guard)
            }
        };
        let keys = Keys {
            operation: unit.operation,
            definition: unit.definition,
            content,
            origin,
        };
        self.cache.record(keys, worked.output).await
    }

    /// The content key of a unit.
    async fn content_key(
        &self,
        number: usize,
        inputs: &[O::Output],
    ) -> Result<Option<ContentKey>, O::Error> {
        let digest = self.operation(number).content(inputs).await?;
        Ok(digest.map(|digest| ContentKey::new(&self.units[number].operation, &digest)))
    }

    /// Awaits something that can be dropped at any time.
    async fn unless_cancelled<T>(
        &self,
        future: impl Future<Output = Result<T, O::Error>>,
    ) -> Result<T, Interrupted<O::Error>> {
        match self.cancelled.run_until_cancelled(future).await {
            None => Err(Interrupted::Cancelled),
            Some(result) => result.map_err(Interrupted::Failed),
        }
    }
}
