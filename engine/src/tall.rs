//! Tall stacks: of more layers than one overlay takes the lowest become one, which is made once and kept like any
//! other layer.

use std::sync::Arc;

use layer::{LayerTree, View};
use runtime::MAX_LOWERS;
use solver::KeyWriter;

use crate::engine::Engine;
use crate::error::StepError;
use crate::rootfs::{Layer, Rootfs, Sealed};

/// How many layers lie over one another at most. One more is left for the places of mounts.
const TALLEST: usize = MAX_LOWERS - 1;
/// The lowest are merged by so many, so that a step on top of a tall stack finds them merged already.
const STEP: usize = 250;

/// How many of the lowest of so many layers are to be one.
fn surplus(layers: usize) -> usize {
    if layers <= TALLEST {
        return 0;
    }
    (layers - TALLEST + 1).next_multiple_of(STEP)
}

impl Engine {
    /// The same files in a stack that can be mounted. Waits for layers that are to be merged to be sealed.
    pub(crate) async fn mountable(&self, rootfs: &Rootfs) -> Result<Rootfs, StepError> {
        let surplus = surplus(rootfs.layers().len());
        if surplus == 0 {
            return Ok(rootfs.clone());
        }
        let (lowest, rest) = rootfs.layers().split_at(surplus);
        let lowest = Rootfs::new(lowest.to_vec()).sealed().await?;
        let engine = self.clone();
        let merged = crate::build::blocking(move || engine.merged(&lowest)).await??;
        let stack = std::iter::once(Layer::stored(merged)).chain(rest.iter().cloned());
        Ok(Rootfs::new(stack.collect()))
    }

    /// These layers, lowest first, as a stack that can be mounted.
    pub(crate) fn stack(&self, mut layers: Vec<Sealed>) -> Result<Rootfs, StepError> {
        let surplus = surplus(layers.len());
        if surplus > 0 {
            let merged = self.merged(&layers[..surplus])?;
            layers.splice(..surplus, [merged]);
        }
        Ok(Rootfs::new(layers.into_iter().map(Layer::stored).collect()))
    }

    /// One layer with the files of all these, which have nothing below them.
    fn merged(&self, layers: &[Sealed]) -> Result<Sealed, StepError> {
        let mut key = KeyWriter::new("rbuild merged layers", 1);
        key.list(layers, |key, sealed| {
            key.text(&sealed.diff_id.to_string());
        });
        let key = key.finish();
        let actions = self.store().actions();
        if let Some([known]) = actions.by_content(&key)?.as_deref()
            && let Some(sealed) = self.sealed_layer(known)?
        {
            return Ok(sealed);
        }
        let trees = layers.iter();
        let view = View::new(
            trees
                .map(|sealed| Arc::clone(&sealed.index) as Arc<dyn LayerTree>)
                .collect(),
        );
        let entries = view.plan(&view.root()?)?;
        let sealed = self.write_layer(entries, None, &|| false)?;
        actions.record_content(&key, &key, &[sealed.diff_id])?;
        Ok(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stack_becomes_one_that_can_be_mounted() {
        for layers in [1, 2, TALLEST] {
            assert_eq!(surplus(layers), 0);
        }
        for layers in TALLEST + 1..3_000 {
            let surplus = surplus(layers);
            assert!(surplus <= layers && surplus.is_multiple_of(STEP));
            assert!(layers - surplus < TALLEST, "{layers}");
        }
        assert_eq!(
            surplus(TALLEST + 1),
            surplus(TALLEST + STEP / 2),
            "steps find what was merged"
        );
    }
}
