//! The solver's memory of earlier results, kept in the store.

use std::time::Duration;

use solver::{ActionCache, BoxFuture, ContentKey, DefinitionKey, Keys, OperationDigest, Origin};

use crate::engine::Engine;
use crate::error::StepError;
use crate::event::Phase;
use crate::progress::Progress;
use crate::rootfs::{Layer, Rootfs};

/// Results of steps: by definition the whole stack of layers, by content the one layer that the step adds.
#[derive(Debug)]
pub(super) struct Actions {
    pub(super) engine: Engine,
    pub(super) progress: Progress,
}

impl Actions {
    fn load(&self, layers: &[layer::DiffId]) -> Option<Rootfs> {
        let layers = layers.iter().map(|diff_id| {
            let sealed = self.engine.sealed_layer(diff_id).ok().flatten()?;
            Some(Layer::stored(sealed))
        });
        Some(Rootfs::new(layers.collect::<Option<_>>()?))
    }
}

impl ActionCache<Rootfs, StepError> for Actions {
    type Guard = cache::RangeLock;

    fn by_definition(&self, key: &DefinitionKey, within: Option<Duration>) -> Option<Rootfs> {
        let _spending = self.progress.spend(Phase::Keys);
        let actions = self.engine.store().actions();
        let layers = actions.by_definition_within(key.as_bytes(), within);
        self.load(&layers.ok()??)
    }

    fn knows_operation(&self, operation: &OperationDigest) -> bool {
        self.engine
            .store()
            .actions()
            .knows_operation(operation.as_bytes())
    }

    fn by_content(
        &self,
        key: &ContentKey,
        inputs: &[Rootfs],
        within: Option<Duration>,
    ) -> Option<Rootfs> {
        let _spending = self.progress.spend(Phase::Keys);
        let actions = self.engine.store().actions();
        let added = actions.by_content_within(key.as_bytes(), within);
        let added = self.load(&added.ok()??)?;
        let base = inputs.first().cloned().unwrap_or_default();
        Some(base.with(added.layers().first()?.clone()))
    }

    fn record(&self, keys: Keys, output: Rootfs) -> BoxFuture<'_, Result<(), StepError>> {
        Box::pin(async move {
            let sealed = output.sealed().await?;
            let layers: Vec<_> = sealed.iter().map(|sealed| sealed.diff_id).collect();
            let actions = self.engine.store().actions();
            let definition = keys.definition.as_bytes();
            if let (Origin::Found, Some(content)) = (keys.origin, keys.content) {
                actions.record_found(definition, &layers, content.as_bytes())?;
                return Ok(());
            }
            actions.record_definition(definition, &layers)?;
            if let (Some(content), Some(added)) = (keys.content, layers.last()) {
                let operation = keys.operation.as_bytes();
                actions.record_content(operation, content.as_bytes(), &[*added])?;
            }
            Ok(())
        })
    }

    fn exclusive<'a>(
        &'a self,
        key: &'a DefinitionKey,
    ) -> BoxFuture<'a, Result<Self::Guard, StepError>> {
        Box::pin(async move {
            let _spending = self.progress.spend(Phase::Waiting);
            Ok(self.engine.store().exclusive(key.as_bytes()).await?)
        })
    }
}
