//! `--squash-from`: the layers of the image from a stage or step on become one.

use std::sync::Arc;

use frontend::Span;
use frontend::plan::{History, PlannedImage, Step, StepKind};
use layer::{LayerTree, View};
use solver::{Graph, KeyWriter, NodeId};

use super::Prepared;
use super::operation::blocking;
use crate::builds::{RecordError, steps_named};
use crate::engine::Engine;
use crate::error::{BuildError, ImageError, StepError};
use crate::progress::Progress;
use crate::rootfs::Sealed;

/// What the new layer's entry in the history says.
const COMMENT: &str = "rbuild.squash.v1";

/// The layers of an image from the stage or step called `from` on as one, those below as they are, and the image whose
/// history tells it.
pub(super) async fn squash(
    prepared: &Prepared,
    planned: &PlannedImage,
    from: &str,
    layers: Vec<Sealed>,
    progress: &Progress,
) -> Result<(PlannedImage, Vec<Sealed>), BuildError> {
    let steps = steps(&prepared.plan.graph, planned);
    let first = first(prepared, &steps, from)?;
    let squashed = &steps[first..];
    if squashed.len() < 2 {
        return Ok((planned.clone(), layers));
    }
    let image = tell(planned, squashed, from);
    // What is below the steps are the layers of the base.
    let below = layers.len().saturating_sub(squashed.len());
    let row = progress.start(format!("squashing {} layers", squashed.len()));
    let engine = prepared.build.engine().clone();
    let work = blocking(move || engine.squashed(layers, below)).await;
    let layers = row.finish(work.and_then(|layers| layers));
    let layers = layers.map_err(|error| ImageError::Sealing(Arc::new(error)))?;
    Ok((image, layers))
}

/// The steps that each put a layer on the image's base, lowest first.
fn steps(graph: &Graph<Step>, planned: &PlannedImage) -> Vec<NodeId> {
    let mut steps = Vec::new();
    let mut next = planned.target;
    while let Some(node) = next {
        match graph.get(node).kind {
            StepKind::Run(_) | StepKind::Copy(_) | StepKind::MakeDirectory(_) => {
                steps.push(node);
                next = graph.inputs(node).first().copied();
            }
            StepKind::Scratch | StepKind::Image(_) | StepKind::Remote(_) | StepKind::Context(_) => {
                next = None;
            }
        }
    }
    steps.reverse();
    steps
}

/// Which of the steps is the first to be squashed: the first of a stage of this name, else the one that is called so.
fn first(prepared: &Prepared, steps: &[NodeId], from: &str) -> Result<usize, BuildError> {
    let steps = steps.iter().map(|node| prepared.plan.graph.get(*node));
    let mut stages = steps.clone().map(|step| &step.stage);
    if let Some(first) = stages.position(|stage| stage.eq_ignore_ascii_case(from)) {
        return Ok(first);
    }
    let line = |span: Span| prepared.dockerfile.text.position(span.start).line;
    let steps: Vec<_> = steps
        .map(|step| (step.name.as_str(), step.span.map(line)))
        .collect();
    match *steps_named(&steps, from)? {
        [only] => Ok(only),
        ref several => Err(RecordError::SeveralSteps {
            step: from.to_owned(),
            names: several.iter().map(|&at| steps[at].0.to_owned()).collect(),
        }
        .into()),
    }
}

/// The image as its history tells it: what was squashed has no layers of its own any more, and the last entry has the one
/// that it became.
fn tell(planned: &PlannedImage, squashed: &[NodeId], from: &str) -> PlannedImage {
    let mut planned = planned.clone();
    let mut told = planned.spec.history.iter_mut();
    told.by_ref()
        .filter(|entry| entry.step.is_some_and(|step| squashed.contains(&step)))
        .for_each(|entry| {
            entry.empty_layer = true;
            entry.step = None;
        });
    planned.spec.history.push(History {
        created_by: format!("rbuild build --squash-from={from}"),
        comment: COMMENT.to_owned(),
        ..History::default()
    });
    planned
}

impl Engine {
    /// The lowest `below` of these layers, and the others as one, which is kept like any other layer.
    fn squashed(&self, mut layers: Vec<Sealed>, below: usize) -> Result<Vec<Sealed>, StepError> {
        let upper = layers.split_off(below);
        let mut key = KeyWriter::new("rbuild squashed layers", 1);
        for stack in [&layers, &upper] {
            key.list(stack, |key, sealed| {
                key.text(&sealed.diff_id.to_string());
            });
        }
        let key = key.finish();
        let actions = self.store().actions();
        let known = match actions.by_content(&key)?.as_deref() {
            Some([known]) => self.sealed_layer(known)?,
            _ => None,
        };
        let one = if let Some(known) = known {
            known
        } else {
            let entries = layer::squash(&view(&upper), &view(&layers))?;
            let sealed = self.write_layer(entries, None, &|| false)?;
            actions.record_content(&key, &key, &[sealed.diff_id])?;
            sealed
        };
        layers.push(one);
        Ok(layers)
    }
}

fn view(layers: &[Sealed]) -> View {
    let trees = layers.iter();
    View::new(
        trees
            .map(|sealed| Arc::clone(&sealed.index) as Arc<dyn LayerTree>)
            .collect(),
    )
}
