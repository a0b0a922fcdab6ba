//! Operations that do nothing but count, a cache in memory, and a bench that solves graphs of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::scheduler::{Options, SolveError, Solved, solve};
use crate::{
    ActionCache, BoxFuture, CachePolicy, ContentDigest, ContentKey, DefinitionKey, Event, Graph,
    KeyWriter, Keys, NodeId, Operation, OperationDigest, Origin, RunContext,
};

/// Outputs are texts that tell how they came to be.
pub(super) type Value = String;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Trouble(pub String);

/// How an operation behaves.
#[derive(Clone)]
pub(super) struct Fake {
    /// Its identity, and the name under which its runs are counted.
    pub name: String,
    /// What it gives, if not its name and its inputs.
    pub gives: Option<Value>,
    /// How long it runs.
    pub takes: Duration,
    /// What it fails with.
    pub fails: Option<&'static str>,
    /// Where it fails.
    pub stumbles: Stumble,
    /// What it does when it is cancelled.
    pub obeys: bool,
    /// Whether and when the content of its inputs is known.
    pub content: Content,
    pub policy: CachePolicy,
    pub slot: bool,
    pub counters: Arc<Counters>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stumble {
    Identity,
    Content,
    Run,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// It has no content key.
    None,
    /// It reads all of its inputs.
    Known,
    /// So it does, but they are never known.
    Never,
}

/// What operations did.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub runs: Mutex<BTreeMap<String, usize>>,
    /// How many run now, and how many did at most.
    pub now: AtomicUsize,
    pub most: AtomicUsize,
    /// How many runs were dropped before their end.
    pub dropped: AtomicUsize,
    /// How many times content was asked for.
    pub asked: AtomicUsize,
}

/// Counts a run that is going on.
struct Running<'a> {
    counters: &'a Counters,
    ended: bool,
}

impl<'a> Running<'a> {
    fn new(counters: &'a Counters) -> Self {
        let now = counters.now.fetch_add(1, Ordering::SeqCst) + 1;
        counters.most.fetch_max(now, Ordering::SeqCst);
        Self {
            counters,
            ended: false,
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.counters.now.fetch_sub(1, Ordering::SeqCst);
        if !self.ended {
            self.counters.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Fake {
    fn stumble(&self, here: Stumble) -> Result<(), Trouble> {
        match self.fails {
            Some(why) if self.stumbles == here => Err(Trouble(why.to_owned())),
            _ => Ok(()),
        }
    }

    /// What it gives for these inputs.
    pub(super) fn value(&self, inputs: &[Value]) -> Value {
        self.gives
            .clone()
            .unwrap_or_else(|| format!("{}({})", self.name, inputs.join(",")))
    }
}

impl Operation for Fake {
    type Output = Value;
    type Error = Trouble;

    fn identity(&self) -> BoxFuture<'_, Result<OperationDigest, Trouble>> {
        Box::pin(async move {
            self.stumble(Stumble::Identity)?;
            Ok(OperationDigest::of(
                KeyWriter::new("fake", 1).text(&self.name),
            ))
        })
    }

    fn content<'a>(
        &'a self,
        inputs: &'a [Value],
    ) -> BoxFuture<'a, Result<Option<ContentDigest>, Trouble>> {
        Box::pin(async move {
            self.counters.asked.fetch_add(1, Ordering::SeqCst);
            self.stumble(Stumble::Content)?;
            match self.content {
                Content::None => Ok(None),
                Content::Never => std::future::pending().await,
                Content::Known => Ok(Some(ContentDigest::of(
                    KeyWriter::new("fake content", 1).list(inputs, |writer, input| {
                        writer.text(input);
                    }),
                ))),
            }
        })
    }

    fn run(
        &self,
        inputs: Vec<Value>,
        context: RunContext,
    ) -> BoxFuture<'_, Result<Value, Trouble>> {
        Box::pin(async move {
            let mut running = Running::new(&self.counters);
            *self
                .counters
                .runs
                .lock()
                .unwrap()
                .entry(self.name.clone())
                .or_default() += 1;
            if !self.takes.is_zero() {
                let sleep = tokio::time::sleep(self.takes);
                if self.obeys && context.cancelled.run_until_cancelled(sleep).await.is_none() {
                    running.ended = true;
                    return Err(Trouble("stopped".to_owned()));
                } else if !self.obeys {
                    tokio::time::sleep(self.takes).await;
                }
            }
            running.ended = true;
            self.stumble(Stumble::Run)?;
            Ok(self.value(&inputs))
        })
    }

    fn policy(&self) -> CachePolicy {
        self.policy
    }

    fn takes_slot(&self) -> bool {
        self.slot
    }
}

/// A cache in memory. Clones share it, as processes share a store.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    pub shared: Arc<Mutex<Tables>>,
    /// How long recording takes.
    pub recording: Duration,
    /// What recording fails with.
    pub fails: Option<&'static str>,
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub definitions: HashMap<DefinitionKey, Made>,
    pub contents: HashMap<ContentKey, Made>,
    pub operations: HashSet<OperationDigest>,
    /// The time, which only tests change.
    pub now: Duration,
    locks: HashMap<DefinitionKey, Arc<tokio::sync::Mutex<()>>>,
}

/// A result and when it was made.
pub(super) type Made = (Value, Duration);

impl Tables {
    fn young(&self, found: Option<&Made>, within: Option<Duration>) -> Option<Value> {
        let (value, made) = found?;
        let young = within.is_none_or(|within| self.now.saturating_sub(*made) < within);
        young.then(|| value.clone())
    }
}

impl Memory {
    pub(super) fn tables(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.shared.lock().unwrap()
    }
}

impl ActionCache<Value, Trouble> for Memory {
    type Guard = tokio::sync::OwnedMutexGuard<()>;

    fn by_definition(&self, key: &DefinitionKey, within: Option<Duration>) -> Option<Value> {
        let tables = self.tables();
        tables.young(tables.definitions.get(key), within)
    }

    fn knows_operation(&self, operation: &OperationDigest) -> bool {
        self.tables().operations.contains(operation)
    }

    fn by_content(
        &self,
        key: &ContentKey,
        _inputs: &[Value],
        within: Option<Duration>,
    ) -> Option<Value> {
        let tables = self.tables();
        tables.young(tables.contents.get(key), within)
    }

    fn record(&self, keys: Keys, output: Value) -> BoxFuture<'_, Result<(), Trouble>> {
        Box::pin(async move {
            if !self.recording.is_zero() {
                tokio::time::sleep(self.recording).await;
            }
            if let Some(why) = self.fails {
                return Err(Trouble(why.to_owned()));
            }
            let mut tables = self.tables();
            let known = keys.content.and_then(|key| tables.contents.get(&key));
            let made = match (keys.origin, known) {
                (Origin::Found, Some((_, made))) => *made,
                _ => tables.now,
            };
            tables
                .definitions
                .insert(keys.definition, (output.clone(), made));
            if let Some(content) = keys.content {
                tables.contents.insert(content, (output, made));
                tables.operations.insert(keys.operation);
            }
            Ok(())
        })
    }

    fn exclusive<'a>(
        &'a self,
        key: &'a DefinitionKey,
    ) -> BoxFuture<'a, Result<Self::Guard, Trouble>> {
        let lock = Arc::clone(self.tables().locks.entry(*key).or_default());
        Box::pin(async move { Ok(lock.lock_owned().await) })
    }
}

/// A graph being built, and all that is observed while it is solved.
pub(super) struct Bench {
    pub graph: Graph<Fake>,
    pub cache: Memory,
    pub options: Options,
    pub counters: Arc<Counters>,
    pub events: Mutex<Vec<String>>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::on(&Memory::default())
    }

    /// A bench on a cache that others use too.
    pub(super) fn on(cache: &Memory) -> Self {
        Self {
            graph: Graph::new(),
            cache: cache.clone(),
            options: Options {
                jobs: 4,
                grace: Duration::from_millis(200),
                ..Options::default()
            },
            counters: Arc::default(),
            events: Mutex::default(),
        }
    }

    /// An operation that gives its name and its inputs at once.
    pub(super) fn fake(&self, name: &str) -> Fake {
        Fake {
            name: name.to_owned(),
            gives: None,
            takes: Duration::ZERO,
            fails: None,
            stumbles: Stumble::Run,
            obeys: true,
            content: Content::Known,
            policy: CachePolicy::Use,
            slot: true,
            counters: Arc::clone(&self.counters),
        }
    }

    pub(super) fn add(&mut self, name: &str, inputs: &[NodeId]) -> NodeId {
        let fake = self.fake(name);
        self.graph.add(fake, inputs)
    }

    pub(super) fn add_with(
        &mut self,
        name: &str,
        inputs: &[NodeId],
        change: impl FnOnce(&mut Fake),
    ) -> NodeId {
        let mut fake = self.fake(name);
        change(&mut fake);
        self.graph.add(fake, inputs)
    }

    pub(super) async fn try_solve(
        &self,
        targets: &[NodeId],
    ) -> Result<Solved<Value>, SolveError<Trouble>> {
        let listen = |event: Event<Trouble>| self.events.lock().unwrap().extend(self.told(&event));
        solve(
            &self.graph,
            targets,
            &self.cache,
            self.options.clone(),
            &listen,
        )
        .await
    }

    /// The output of a target.
    pub(super) async fn solve(&self, target: NodeId) -> Value {
        let solved = self.try_solve(&[target]).await.unwrap();
        solved.output(target).unwrap().clone()
    }

    /// How often each operation ran, as `name` or `name*2`, sorted.
    pub(super) fn runs(&self) -> String {
        let runs = self.counters.runs.lock().unwrap();
        let text = |(name, count): (&String, &usize)| {
            if *count == 1 {
                name.clone()
            } else {
                format!("{name}*{count}")
            }
        };
        runs.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    /// What was told, in order.
    pub(super) fn events(&self) -> Vec<String> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }

    fn told(&self, event: &Event<Trouble>) -> Option<String> {
        let name = |node: &NodeId| &self.graph.get(*node).name;
        Some(match event {
            Event::Identified(..) => return None,
            Event::Cached(node, hit) => format!("{} cached {hit:?}", name(node)),
            Event::Missed(node, reason) => format!("{} missed {reason:?}", name(node)),
            Event::Started(node) => format!("{} started", name(node)),
            Event::Finished(node) => format!("{} finished", name(node)),
            Event::Failed(node, error) => format!("{} failed: {error}", name(node)),
            Event::Cancelled(node) => format!("{} cancelled", name(node)),
        })
    }
}
