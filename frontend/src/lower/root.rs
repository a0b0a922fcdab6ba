//! What stages begin with: the steps that have no inputs.

use solver::NodeId;

use super::ImageRequest;
use super::names::Namer;
use super::options::{NamedContext, familiar};
use super::stage::Builder;
use super::stages::Node;
use crate::expand::Unset;
use crate::plan::{ImageSource, Platform, Step, StepKind};
use crate::remote::RemoteSource;
use crate::span::Span;

/// The files that a stage has so far.
#[derive(Debug, Clone, Default)]
pub(super) enum Root {
    /// None.
    #[default]
    Empty,
    /// The result of a step.
    Step(NodeId),
    /// A named context, by its full name, and where it is named. It becomes a step when something builds on all of it; who
    /// copies or mounts reads only what that names.
    Context(String, Span),
}

impl Root {
    pub(super) fn of_step(step: Option<NodeId>) -> Self {
        step.map_or(Self::Empty, Self::Step)
    }
}

impl Builder<'_> {
    /// An image without layers needs no step: it is as good as `scratch`.
    pub(super) fn add_image(&mut self, node: &Node<'_>, request: &ImageRequest) -> Option<NodeId> {
        let image = self.images.get(request)?;
        if !image.has_layers {
            return None;
        }
        let text = format!("FROM {}", request.reference);
        let name = match node.stage {
            Some(_) => {
                let platform = self.platform_in_names(node, &Unset);
                Namer::new(node, self.stages.single).next(&platform, &text, false)
            }
            None => text,
        };
        let step = Step {
            kind: StepKind::Image(ImageSource {
                reference: request.reference.clone(),
                id: image.id.clone(),
            }),
            name,
            span: Some(node.span),
            stage: node.name.clone(),
            platform: self.stages.platform(node).clone(),
        };
        Some(self.graph.add(step, &[]))
    }

    /// The files of a named context.
    pub(super) fn named_context(&mut self, name: &str, span: Span) -> Root {
        match self.options.contexts.get(name) {
            Some(NamedContext::Remote(source)) => Root::Step(self.remote(source.clone(), span)),
            Some(NamedContext::Directory) => Root::Context(name.to_owned(), span),
            Some(NamedContext::Image(_)) | None => Root::Empty,
        }
    }

    /// The step that gives files to what builds on all of them.
    pub(super) fn step_of(&mut self, root: &Root) -> Option<NodeId> {
        let (name, span) = match root {
            Root::Empty => return None,
            Root::Step(step) => return Some(*step),
            Root::Context(name, span) => (name, *span),
        };
        let graph = &mut self.graph;
        let node = self.contexts.entry(name.clone()).or_insert_with(|| {
            let step = Step {
                name: format!("[context {}] load from client", familiar(name)),
                kind: StepKind::Context(name.clone()),
                span: Some(span),
                stage: String::new(),
                platform: Platform::default(),
            };
            graph.add(step, &[])
        });
        Some(*node)
    }

    /// The step that stands for an empty root.
    pub(super) fn scratch(&mut self) -> NodeId {
        let graph = &mut self.graph;
        *self.scratch.get_or_insert_with(|| {
            let step = Step {
                kind: StepKind::Scratch,
                name: "FROM scratch".to_owned(),
                span: None,
                stage: String::new(),
                platform: Platform::default(),
            };
            graph.add(step, &[])
        })
    }

    /// The step of a source on the network.
    pub(super) fn remote(&mut self, source: RemoteSource, span: Span) -> NodeId {
        let graph = &mut self.graph;
        let node = self.remotes.entry(source).or_insert_with_key(|source| {
            let step = Step {
                name: format!("[internal] load remote source {}", source.display()),
                kind: StepKind::Remote(source.clone()),
                span: Some(span),
                stage: String::new(),
                platform: Platform::default(),
            };
            graph.add(step, &[])
        });
        *node
    }
}
