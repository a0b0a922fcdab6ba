//! What a build would do: which steps would run, and how long they took when they last did.

use std::sync::Arc;
use std::time::Duration;

use frontend::plan::StepKind;
use solver::Hit;

use super::request::BuildRequest;
use super::{Seals, StepOperation, actions, failure, is_silent};
use crate::builds::{BuildRecord, RowEnd, RowRecord};
use crate::engine::Engine;
use crate::error::BuildError;
use crate::event::{CacheHit, CacheMiss, Listener};
use crate::progress::Progress;

/// A step of a build that is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeseenStep {
    /// Its name in the progress.
    pub name: String,
    /// What would become of it.
    pub fate: Fate,
    /// How long it took when it last ran, if that is remembered.
    pub last: Option<Duration>,
}

/// What would become of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It would be found in the cache.
    Cached(CacheHit),
    /// It would run.
    Run(CacheMiss),
    /// It would run unless the steps before it give what they gave before.
    Open,
}

impl Engine {
    /// Tells what a build would do. Nothing runs, and no layer is fetched or written; of base images that are not in the
    /// store the config is read from their registry.
    pub async fn foresee(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Vec<ForeseenStep>, BuildError> {
        let request = Arc::new(request);
        let progress = Progress::new(listener);
        let prepared = self
            .prepare(&request, Seals::Any, &progress, |_| ())
            .await?;
        let targets = prepared.plan.targets();
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let silent = Progress::silent();
        let graph = prepared.plan.graph.map(|_, step| {
            let row = silent.row(&*step.name, b"", Vec::new());
            StepOperation::new(Arc::clone(&prepared.build), step.clone(), row)
        });
        let actions = actions::Actions {
            engine: self.clone(),
            progress: silent.clone(),
        };
        let foreseen = solver::foresee(&graph, &targets, &actions).await;
        let foreseen =
            foreseen.map_err(|error| failure(&error, &prepared.plan, &prepared.dockerfile))?;
        let past = self.builds().unwrap_or_default();
        let steps = foreseen.into_iter();
        let steps = steps.filter(|(node, ..)| !is_silent(&prepared.plan.graph, *node));
        let told = steps.map(|(node, definition, foreseen)| {
            let step = prepared.plan.graph.get(node);
            let is_here = match &step.kind {
                StepKind::Image(image) => !prepared.build.is_remote(image),
                _ => false,
            };
            let fate = match foreseen {
                // Its layers are in the store.
                solver::Foreseen::Run(_) if is_here => Fate::Cached(CacheHit::Definition),
                solver::Foreseen::Run(why) => Fate::Run(graph.get(node).miss(why)),
                solver::Foreseen::Cached(how) => Fate::Cached(how.into()),
                solver::Foreseen::Open => Fate::Open,
            };
            ForeseenStep {
                last: last_time(&past, &step.name, &definition.to_string()),
                name: step.name.clone(),
                fate,
            }
        });
        Ok(told.collect())
    }
}

/// How long a step took when it last ran: the very same, else one of its name.
fn last_time(past: &[BuildRecord], name: &str, definition: &str) -> Option<Duration> {
    let runs = || {
        past.iter()
            .flat_map(BuildRecord::steps)
            .filter_map(|(_, row, step)| {
                let ran = matches!(row.end, RowEnd::Done(_));
                Some((row, step, row.duration().filter(|_| ran)?))
            })
    };
    let same = runs().find(|(_, step, _)| step.definition.as_deref() == Some(definition));
    let named = || runs().find(|(row, ..): &(&RowRecord, _, _)| row.name == name);
    same.or_else(named).map(|(.., time)| time)
}

impl From<Hit> for CacheHit {
    fn from(hit: Hit) -> Self {
        match hit {
            Hit::Definition => Self::Definition,
            Hit::Content => Self::Content,
            Hit::Ancestor => Self::NotNeeded,
        }
    }
}
