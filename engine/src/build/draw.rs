//! The graph of a build: all stages of the Dockerfile, and of which the target has need.

use std::collections::HashMap;
use std::sync::Arc;

use frontend::plan::{BaseImage, Plan, Step, StepKind};
use frontend::{Lowering, Need, SourceText};
use image::{Platform, Reference};
use solver::NodeId;

use super::prepare::{self, Dockerfile};
use super::request::BuildRequest;
use super::resolve::{self, Images};
use super::{epoch, is_silent};
use crate::engine::Engine;
use crate::error::BuildError;
use crate::event::Listener;
use crate::progress::Progress;

/// The graph of a build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drawing {
    /// Names of stages, and whether the target needs them.
    pub stages: Vec<(String, bool)>,
    /// Steps, each after those that it builds on.
    pub steps: Vec<DrawnStep>,
    /// What they have of each other.
    pub edges: Vec<Edge>,
}

/// A step of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawnStep {
    /// Its name in the progress.
    pub name: String,
    /// The number of its stage.
    pub stage: usize,
    /// The line of its instruction.
    pub line: Option<usize>,
    /// Whether the target needs it.
    pub needed: bool,
    /// Whether it is the last step of the target.
    pub target: bool,
}

/// What one step has of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The number of the step that gives.
    pub from: usize,
    /// The number of the step that takes.
    pub to: usize,
    /// What it does with that.
    pub kind: EdgeKind,
}

/// What a step does with what another gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeKind {
    /// It builds on it.
    Extends,
    /// It copies files of it.
    Copies,
    /// It mounts files of it.
    Mounts,
}

impl Engine {
    /// Draws the graph of a build. Nothing is fetched: of a base image that is not in the store no variables and no
    /// triggers are known.
    pub async fn draw(
        &self,
        request: BuildRequest,
        listener: Arc<dyn Listener>,
    ) -> Result<Drawing, BuildError> {
        let request = Arc::new(request);
        let progress = Progress::new(listener);
        let dockerfile = prepare::read(self, &request, &progress).await?;
        let mut images = Images::default();
        let plan = self.lower_here(&request, &dockerfile, &mut images)?;
        let mut canvas = Canvas::default();
        canvas.add(&plan, &dockerfile.text, true);
        for number in 0..dockerfile.parsed.stage_names().count() {
            let target = Some(number.to_string());
            let request = BuildRequest {
                target,
                ..(*request).clone()
            };
            // A stage that is not needed may have mistakes that do no harm.
            if let Ok(plan) = self.lower_here(&request, &dockerfile, &mut images) {
                canvas.add(&plan, &dockerfile.text, false);
            }
        }
        Ok(canvas.drawing)
    }

    fn lower_here(
        &self,
        request: &BuildRequest,
        dockerfile: &Dockerfile,
        images: &mut Images,
    ) -> Result<Plan, BuildError> {
        let mut time = None;
        loop {
            match resolve::lower_once(request, dockerfile, images, time.as_ref())? {
                Lowering::Done(plan) => return Ok(*plan),
                Lowering::NeedsTime(_) => time = Some(epoch::unknown()),
                Lowering::Needs(needs) => {
                    for need in &needs {
                        self.take_image(need, images);
                    }
                }
            }
        }
    }

    /// Takes an image of the store for a base, or one of which nothing is known.
    fn take_image(&self, need: &Need, images: &mut Images) {
        let name = &need.image.reference;
        let reference = name.parse::<Reference>().ok();
        let here = reference.and_then(|reference| {
            let wanted = &need.image.platform;
            let platform = Platform::new(&wanted.os, &wanted.architecture, &wanted.variant);
            self.local_image(&reference, &platform).ok().flatten()
        });
        if let Some(image) = here {
            images.insert(need, image);
        } else {
            let unknown = BaseImage {
                id: name.clone(),
                platform: need.image.platform.clone(),
                has_layers: true,
                ..BaseImage::default()
            };
            images.known.insert(need.image.clone(), unknown);
        }
    }
}

/// A drawing that plans for several targets are added to.
#[derive(Default)]
struct Canvas {
    drawing: Drawing,
    /// Steps by their stages and names.
    steps: HashMap<(String, String), usize>,
    stages: HashMap<String, usize>,
}

impl Canvas {
    fn add(&mut self, plan: &Plan, text: &SourceText, is_target: bool) {
        let targets = plan.targets();
        for node in plan.graph.needed_by(&targets) {
            if is_silent(&plan.graph, node) {
                continue;
            }
            let step = plan.graph.get(node);
            let key = key(step);
            if self.steps.contains_key(&key) {
                continue;
            }
            let number = self.drawing.steps.len();
            let stage = self.stage(&step.stage, is_target);
            self.drawing.steps.push(DrawnStep {
                name: step.name.clone(),
                stage,
                line: step.span.map(|span| text.position(span.start).line),
                needed: is_target,
                target: is_target && targets.contains(&node),
            });
            self.steps.insert(key, number);
            self.connect(plan, node, number);
        }
    }

    fn stage(&mut self, name: &str, needed: bool) -> usize {
        if let Some(&number) = self.stages.get(name) {
            return number;
        }
        let number = self.drawing.stages.len();
        self.drawing.stages.push((name.to_owned(), needed));
        self.stages.insert(name.to_owned(), number);
        number
    }

    fn connect(&mut self, plan: &Plan, node: NodeId, to: usize) {
        let inputs = plan.graph.inputs(node).into_iter().enumerate();
        for (number, input) in inputs {
            let kind = match (number, &plan.graph.get(node).kind) {
                (0, _) => EdgeKind::Extends,
                (_, StepKind::Run(_)) => EdgeKind::Mounts,
                _ => EdgeKind::Copies,
            };
            if let Some(&from) = self.steps.get(&key(plan.graph.get(input))) {
                self.drawing.edges.push(Edge { from, to, kind });
            }
        }
    }
}

fn key(step: &Step) -> (String, String) {
    (step.stage.clone(), step.name.clone())
}
